package schemas

import (
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// Compatible reports whether a reader of either schema can read what a writer of
// the other one wrote (Confluent's FULL), and reads the same in it: a field that
// both have keeps its type and its logical type. Registries look at the first
// only; a time that was milliseconds and is microseconds would change every
// value in every store without anybody being told. The older one comes first.
func Compatible(older, newer *avro.Schema) error {
	if err := Readable(older, newer); err != nil {
		return fmt.Errorf("the newer cannot read the older: %w", err)
	}
	if err := Readable(newer, older); err != nil {
		return fmt.Errorf("the older cannot read the newer: %w", err)
	}
	return walk(older, newer, sameMeaning)
}

// Readable reports whether a reader of one schema can read what was written with
// another, as registries judge it (Confluent's BACKWARD, where the reader is the
// newer): by Avro's rules for schema resolution, under which a field that the
// writer does not have needs a default, also where it may be null.
func Readable(writer, reader *avro.Schema) error {
	if err := avro.CheckCompatibility(writer, reader); err != nil {
		return err
	}
	return walk(writer, reader, hasDefaults)
}

// pairing walks two schemas that Avro's rules can resolve.
type pairing struct {
	look            func(at string, writer, reader *avro.SchemaNode) error
	writers, reader map[string]*avro.SchemaNode // named types by full name
	seen            map[[2]string]bool          // pairs of named types
}

func walk(writer, reader *avro.Schema, look func(string, *avro.SchemaNode, *avro.SchemaNode) error) error {
	p := &pairing{look, map[string]*avro.SchemaNode{}, map[string]*avro.SchemaNode{}, map[[2]string]bool{}}
	w, r := writer.Root(), reader.Root()
	collect(w, p.writers)
	collect(r, p.reader)
	return p.pair("", w, r)
}

// collect finds the named types in a schema.
func collect(n *avro.SchemaNode, named map[string]*avro.SchemaNode) {
	switch n.Type {
	case "record", "error", "enum", "fixed":
		named[fullName(n)] = n
	}
	for i := range n.Fields {
		collect(&n.Fields[i].Type, named)
	}
	for i := range n.Branches {
		collect(&n.Branches[i], named)
	}
	if n.Items != nil {
		collect(n.Items, named)
	}
	if n.Values != nil {
		collect(n.Values, named)
	}
}

func fullName(n *avro.SchemaNode) string {
	if n.Namespace == "" || strings.Contains(n.Name, ".") {
		return n.Name
	}
	return n.Namespace + "." + n.Name
}

func (p *pairing) pair(at string, w, r *avro.SchemaNode) error {
	if definition, ok := p.writers[w.Type]; ok {
		w = definition
	}
	if definition, ok := p.reader[r.Type]; ok {
		r = definition
	}
	if w.Name != "" && r.Name != "" {
		names := [2]string{fullName(w), fullName(r)}
		if p.seen[names] {
			return nil
		}
		p.seen[names] = true
	}
	if err := p.look(at, w, r); err != nil {
		return err
	}
	switch {
	case w.Type == "union" || r.Type == "union":
		return p.branches(at, w, r)
	case w.Type == "array" && r.Type == "array":
		return p.pair(at+"[]", w.Items, r.Items)
	case w.Type == "map" && r.Type == "map":
		return p.pair(at+"{}", w.Values, r.Values)
	}
	for i := range r.Fields {
		field := &r.Fields[i]
		if written := fieldOf(w, field); written != nil {
			if err := p.pair(strings.TrimPrefix(at+"."+field.Name, "."), &written.Type, &field.Type); err != nil {
				return err
			}
		}
	}
	return nil
}

// branches pairs each branch of the writer with the reader's of its type.
func (p *pairing) branches(at string, w, r *avro.SchemaNode) error {
	for _, written := range branchesOf(w) {
		for _, read := range branchesOf(r) {
			if p.kind(p.writers, written) != p.kind(p.reader, read) {
				continue
			}
			if err := p.pair(at, written, read); err != nil {
				return err
			}
		}
	}
	return nil
}

// kind is what a union may have once: a type, or a name.
func (p *pairing) kind(named map[string]*avro.SchemaNode, n *avro.SchemaNode) string {
	if definition, ok := named[n.Type]; ok {
		n = definition
	}
	name := n.Name[strings.LastIndexByte(n.Name, '.')+1:] // resolution compares unqualified names
	return n.Type + " " + name
}

func branchesOf(n *avro.SchemaNode) []*avro.SchemaNode {
	if n.Type != "union" {
		return []*avro.SchemaNode{n}
	}
	all := make([]*avro.SchemaNode, len(n.Branches))
	for i := range n.Branches {
		all[i] = &n.Branches[i]
	}
	return all
}

// fieldOf returns the writer's field that a reader's field is read from, by its
// name or an alias of it; nil where there is none.
func fieldOf(writer *avro.SchemaNode, field *avro.SchemaField) *avro.SchemaField {
	for _, name := range append([]string{field.Name}, field.Aliases...) {
		for i := range writer.Fields {
			if writer.Fields[i].Name == name {
				return &writer.Fields[i]
			}
		}
	}
	return nil
}

// hasDefaults reports a reader's field that the writer does not have and that
// has no default. The library reads null where null is allowed; others do not.
func hasDefaults(at string, w, r *avro.SchemaNode) error {
	if w.Type != "record" {
		return nil
	}
	for i := range r.Fields {
		if field := &r.Fields[i]; !field.HasDefault && fieldOf(w, field) == nil {
			return fmt.Errorf("field %s: the writer does not have it and there is no default",
				strings.TrimPrefix(at+"."+field.Name, "."))
		}
	}
	return nil
}

// sameMeaning reports a value that would be read, but as something else.
func sameMeaning(at string, w, r *avro.SchemaNode) error {
	was, is := meaning(w), meaning(r)
	text := map[string]bool{"string": true, "bytes": true} // either is read as the other
	if was == is || text[was] && text[is] || w.Type == "union" || r.Type == "union" {
		return nil
	}
	return fmt.Errorf("field %s: it was %s and has to stay, it is %s now", at, was, is)
}

func meaning(n *avro.SchemaNode) string {
	switch {
	case n.LogicalType == "":
		return n.Type
	case n.Precision != 0:
		return fmt.Sprintf("%s of %s(%d,%d)", n.Type, n.LogicalType, n.Precision, n.Scale)
	}
	return n.Type + " of " + n.LogicalType
}
