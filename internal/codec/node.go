package codec

import (
	"fmt"
	"strings"

	"github.com/twmb/avro"
)

// kind is an Avro type.
type kind uint8

const (
	kindNull kind = iota
	kindBool
	kindInt
	kindLong
	kindFloat
	kindDouble
	kindBytes
	kindString
	kindFixed
	kindEnum
	kindArray
	kindMap
	kindRecord
	kindUnion
)

var kinds = map[string]kind{
	"null": kindNull, "boolean": kindBool, "int": kindInt, "long": kindLong, "float": kindFloat,
	"double": kindDouble, "bytes": kindBytes, "string": kindString, "fixed": kindFixed,
	"enum": kindEnum, "array": kindArray, "map": kindMap, "record": kindRecord, "error": kindRecord,
	"union": kindUnion,
}

// logical is what an Avro type stands for.
type logical uint8

const (
	logicalNone logical = iota
	logicalDate
	logicalTime // of day, by unit
	logicalTimestamp
	logicalLocalTimestamp
	logicalDecimal
	logicalBigDecimal
	logicalUUID
	logicalDuration
)

// node is a schema made ready for plain JSON: references are resolved, so it
// may be cyclic.
type node struct {
	kind     kind
	logical  logical
	unit     unit   // of times
	name     string // full name of named types, else the type
	fields   []field
	byName   map[string]int // index in fields
	items    *node          // of arrays and maps
	branches []*node
	tagged   bool // a union of which only the branch's name says which it is
	symbols  []string
	size     int // of fixed
	// Of decimals.
	precision, scale int
}

type field struct {
	name       string
	node       *node
	hasDefault bool
	// The logical type stands beside the field's type, not in it. To Avro it is
	// none; the Avro library takes it for one of the type's.
	logicalBeside bool
	value         any // the default, as Decode would give it; not to be handed out as it is
}

// nodes keeps what compile made. Schemas are never changed, so their address
// identifies them.
var nodes cache[*avro.Schema, *node]

func nodeOf(s *avro.Schema) (*node, error) {
	if n, ok := nodes.get(s); ok {
		return n, nil
	}
	c := compiler{named: map[string]*node{}}
	n, err := c.compile(s.Root(), "")
	if err != nil {
		return nil, err
	}
	nodes.put(s, n)
	return n, nil
}

type compiler struct{ named map[string]*node }

// compile makes a node; namespace is that of the enclosing named type.
func (c *compiler) compile(s *avro.SchemaNode, namespace string) (*node, error) {
	k, ok := kinds[s.Type]
	if !ok {
		return c.reference(s.Type, namespace)
	}
	n := &node{kind: k, name: s.Type, size: s.Size, symbols: s.Symbols, precision: s.Precision, scale: s.Scale}
	n.logical, n.unit = logicalOf(s, k)
	if k == kindRecord || k == kindEnum || k == kindFixed {
		n.name = s.Name
		if !strings.Contains(s.Name, ".") && s.Namespace != "" {
			n.name = s.Namespace + "." + s.Name
		}
		namespace = n.name[:max(0, strings.LastIndexByte(n.name, '.'))]
		c.named[n.name] = n
	}
	var err error
	switch k {
	case kindArray:
		n.items, err = c.compile(s.Items, namespace)
	case kindMap:
		n.items, err = c.compile(s.Values, namespace)
	case kindUnion:
		err = c.union(n, s, namespace)
	case kindRecord:
		err = c.record(n, s, namespace)
	default: // a primitive, fixed or enum has nothing below it
	}
	return n, err
}

func (c *compiler) reference(name, namespace string) (*node, error) {
	if namespace != "" && !strings.Contains(name, ".") {
		if n, ok := c.named[namespace+"."+name]; ok {
			return n, nil
		}
	}
	if n, ok := c.named[name]; ok {
		return n, nil
	}
	return nil, fmt.Errorf("schema names %s, which it does not define", clip(name, maxName))
}

func (c *compiler) union(n *node, s *avro.SchemaNode, namespace string) error {
	objects := 0
	for i := range s.Branches {
		b, err := c.compile(&s.Branches[i], namespace)
		if err != nil {
			return err
		}
		if b.kind == kindRecord || b.kind == kindMap {
			objects++
		}
		n.branches = append(n.branches, b)
	}
	n.tagged = objects > 1
	return nil
}

func (c *compiler) record(n *node, s *avro.SchemaNode, namespace string) error {
	n.byName = make(map[string]int, len(s.Fields))
	n.fields = make([]field, len(s.Fields))
	for i := range s.Fields {
		f := &s.Fields[i]
		child, err := c.compile(&f.Type, namespace)
		if err != nil {
			return err
		}
		_, beside := f.Props["logicalType"]
		n.fields[i] = field{name: f.Name, node: child, hasDefault: f.HasDefault, logicalBeside: beside}
		n.byName[f.Name] = i
	}
	return n.readDefaults(s)
}

// readDefaults lets the Avro library turn the fields' defaults into values: it
// resolves a record without fields to one with only those that have a default.
func (n *node) readDefaults(s *avro.SchemaNode) error {
	reader, writer := *s, *s
	reader.Fields, writer.Fields = []avro.SchemaField{}, []avro.SchemaField{}
	for i := range s.Fields {
		if s.Fields[i].HasDefault {
			reader.Fields = append(reader.Fields, s.Fields[i])
		}
	}
	if len(reader.Fields) == 0 {
		return nil
	}
	from, err := writer.Schema()
	if err != nil {
		return fmt.Errorf("defaults of %s: %w", n.name, err)
	}
	to, err := reader.Schema()
	if err != nil {
		return fmt.Errorf("defaults of %s: %w", n.name, err)
	}
	resolved, err := avro.Resolve(from, to)
	if err != nil {
		return fmt.Errorf("defaults of %s: %w", n.name, err)
	}
	var values map[string]any
	if _, err := resolved.Decode(nil, &values); err != nil {
		return fmt.Errorf("defaults of %s: %w", n.name, err)
	}
	for i := range n.fields {
		if n.fields[i].hasDefault {
			n.fields[i].value = values[n.fields[i].name]
		}
	}
	return nil
}

// copyValue copies what a caller could change.
func copyValue(v any) any {
	switch v := v.(type) {
	case map[string]any:
		m := make(map[string]any, len(v))
		for k, e := range v {
			m[k] = copyValue(e)
		}
		return m
	case []any:
		l := make([]any, len(v))
		for i, e := range v {
			l[i] = copyValue(e)
		}
		return l
	case []byte:
		return append([]byte{}, v...)
	}
	return v
}

// logicalOf returns the logical type where it is valid for the type; Avro
// ignores the others.
func logicalOf(s *avro.SchemaNode, k kind) (logical, unit) {
	switch s.LogicalType {
	case "date":
		if k == kindInt {
			return logicalDate, day
		}
	case "time-millis":
		if k == kindInt {
			return logicalTime, millis
		}
	case "time-micros":
		if k == kindLong {
			return logicalTime, micros
		}
	case "decimal":
		if (k == kindBytes || k == kindFixed) && s.Precision > 0 {
			return logicalDecimal, 0
		}
	case "big-decimal":
		if k == kindBytes {
			return logicalBigDecimal, 0
		}
	case "uuid":
		if k == kindString || k == kindFixed && s.Size == 16 {
			return logicalUUID, 0
		}
	case "duration":
		if k == kindFixed && s.Size == 12 {
			return logicalDuration, 0
		}
	}
	if k != kindLong {
		return logicalNone, 0
	}
	name, local := strings.CutPrefix(s.LogicalType, "local-")
	u, ok := map[string]unit{"timestamp-millis": millis, "timestamp-micros": micros, "timestamp-nanos": nanos}[name]
	switch {
	case !ok:
		return logicalNone, 0
	case local:
		return logicalLocalTimestamp, u
	default:
		return logicalTimestamp, u
	}
}

// want names what plain JSON has to hold.
func (n *node) want() string {
	switch n.logical {
	case logicalDate:
		return `a date such as "2006-01-02"`
	case logicalTime:
		return `a time such as "15:04:05"`
	case logicalTimestamp:
		return `an RFC 3339 time such as "2006-01-02T15:04:05Z"`
	case logicalLocalTimestamp:
		return `a time without zone such as "2006-01-02T15:04:05"`
	case logicalDecimal, logicalBigDecimal:
		return `a decimal number`
	case logicalUUID:
		return "a UUID"
	case logicalDuration:
		return "an object of months, days and milliseconds"
	case logicalNone:
	}
	switch n.kind {
	case kindNull:
		return "null"
	case kindBool:
		return "true or false"
	case kindInt, kindLong:
		return "a whole number"
	case kindFloat, kindDouble:
		return "a number"
	case kindBytes:
		return "base64"
	case kindFixed:
		return fmt.Sprintf("%d bytes of base64", n.size)
	case kindString:
		return "a string"
	case kindEnum:
		return "one of " + clip(strings.Join(n.symbols, ", "), maxReason)
	case kindArray:
		return "an array"
	case kindMap, kindRecord:
		return "an object"
	case kindUnion:
		names := make([]string, len(n.branches))
		for i, b := range n.branches {
			names[i] = b.want()
		}
		return clip(strings.Join(names, " or "), maxReason)
	}
	return n.name
}
