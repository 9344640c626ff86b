package codec

import (
	"encoding/json"
	"fmt"

	"github.com/twmb/avro"
)

// identity returns what makes two texts the same schema for us: names, types
// and order of fields, logical types, and attributes of our own such as
// "firehose". Not docs, aliases and defaults, which do not change what is
// written, and by which registries do not tell schemas apart; not spelling,
// which they change.
func identity(s *avro.Schema) (string, error) {
	text, err := json.Marshal(nodeIdentity(s.Root()))
	if err != nil {
		return "", fmt.Errorf("compare schemas: %w", err)
	}
	return string(text), nil
}

func nodeIdentity(n *avro.SchemaNode) any {
	m := map[string]any{"type": n.Type}
	set := func(key string, v any, present bool) {
		if present {
			m[key] = v
		}
	}
	set("name", n.Name, n.Name != "")
	set("namespace", n.Namespace, n.Namespace != "")
	set("symbols", n.Symbols, n.Symbols != nil)
	set("size", n.Size, n.Type == "fixed")
	set("logicalType", n.LogicalType, n.LogicalType != "")
	set("precision", n.Precision, n.Precision != 0)
	set("scale", n.Scale, n.Scale != 0)
	set("attributes", n.Props, len(n.Props) > 0)
	if n.Items != nil {
		m["items"] = nodeIdentity(n.Items)
	}
	if n.Values != nil {
		m["values"] = nodeIdentity(n.Values)
	}
	if n.Branches != nil {
		branches := make([]any, len(n.Branches))
		for i := range n.Branches {
			branches[i] = nodeIdentity(&n.Branches[i])
		}
		m["branches"] = branches
	}
	if n.Fields != nil {
		fields := make([]any, len(n.Fields))
		for i := range n.Fields {
			f := &n.Fields[i]
			fields[i] = map[string]any{"name": f.Name, "type": nodeIdentity(&f.Type), "attributes": f.Props}
		}
		m["fields"] = fields
	}
	return m
}
