package codec

import (
	"strconv"
	"unicode"

	"github.com/twmb/avro"
)

const (
	// maxDepth bounds how deep values lie in one another, for schemas that
	// refer to themselves.
	maxDepth = 128
	// Reading a union may read a value once per branch. workPerByte bounds the
	// sum, which nested unions would let grow exponentially.
	workPerByte = 16
)

// ParseJSON reads one value of the schema s from plain JSON and returns what
// decoding its Avro binary into an any would give: map[string]any for a record,
// []any, string, int32, int64, time.Time and so on. It is ready for
// Encoder.AppendEncode. In plain JSON
//
//   - a union's value is not wrapped in an object that names its branch; the
//     first branch that fits is taken,
//   - a timestamp is an RFC 3339 string or a whole number in the schema's unit;
//     what is finer than the unit is cut off. Dates and times likewise,
//   - a decimal is a number or a string such as "12.50",
//   - bytes and fixed are standard base64, a UUID its text,
//   - a field that has a default may be left out, no other one.
//
// Everything else is refused: unknown fields, the wrong type, numbers out of
// range, unknown enum symbols, invalid UTF-8, U+0000, NaN in any spelling, a
// name twice, text after the value. The error is a *FieldError and names the
// field.
func ParseJSON(s *avro.Schema, data []byte) (any, error) {
	n, err := nodeOf(s)
	if err != nil {
		return nil, err
	}
	p := parser{scanner: scanner{data: data}, work: workPerByte * (len(data) + 64)}
	if p.peek() == 0 && p.pos >= len(data) {
		return nil, p.fail("not JSON: empty")
	}
	v, err := p.value(n, 0)
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos != len(data) {
		return nil, &FieldError{Problem: "text after the JSON value at byte " + strconv.Itoa(p.pos)}
	}
	return v, nil
}

type parser struct {
	scanner
	work int // values that may still be read
}

func (p *parser) value(n *node, depth int) (any, error) {
	if depth > maxDepth {
		return nil, p.fail("nested too deep")
	}
	if p.work--; p.work < 0 {
		return nil, p.fail("too ambiguous")
	}
	c := p.class()
	if c == classNone {
		return nil, p.notJSON()
	}
	if n.kind == kindUnion {
		return p.union(n, c, depth)
	}
	if !n.accepts(c) {
		return nil, p.fail("want %s, got %s", n.want(), c.got())
	}
	switch c {
	case classNull:
		return nil, p.literal("null")
	case classBool:
		if p.data[p.pos] == 't' {
			return true, p.literal("true")
		}
		return false, p.literal("false")
	case classNumber:
		return p.numeric(n)
	case classString:
		text, err := p.text()
		if err != nil {
			return nil, err
		}
		return p.textual(n, text)
	case classArray:
		return p.array(n, depth)
	default:
		switch {
		case n.logical == logicalDuration:
			return p.duration()
		case n.kind == kindMap:
			return p.object(n, depth)
		default:
			return p.record(n, depth)
		}
	}
}

// accepts reports whether plain JSON of class c can hold a value of n.
func (n *node) accepts(c class) bool {
	switch n.kind {
	case kindNull:
		return c == classNull
	case kindBool:
		return c == classBool
	case kindInt, kindLong:
		return c == classNumber || c == classString && n.logical != logicalNone
	case kindFloat, kindDouble:
		return c == classNumber
	case kindString, kindEnum:
		return c == classString
	case kindBytes, kindFixed:
		if n.logical == logicalDuration {
			return c == classObject
		}
		return c == classString || c == classNumber && (n.logical == logicalDecimal || n.logical == logicalBigDecimal)
	case kindArray:
		return c == classArray
	case kindMap, kindRecord:
		return c == classObject
	case kindUnion:
		for _, b := range n.branches {
			if b.accepts(c) {
				return true
			}
		}
	}
	return false
}

func (p *parser) union(n *node, c class, depth int) (any, error) {
	var fitting []*node
	for _, b := range n.branches {
		if b.accepts(c) {
			fitting = append(fitting, b)
		}
	}
	if len(fitting) == 0 {
		return nil, p.fail("want %s, got %s", n.want(), c.got())
	}
	start, path := p.pos, len(p.path)
	var err error
	for _, b := range fitting {
		p.pos, p.path = start, p.path[:path]
		var v any
		if v, err = p.value(b, depth+1); err == nil {
			if n.tagged && (b.kind == kindRecord || b.kind == kindMap) {
				// The value alone does not tell its branch.
				return map[string]any{b.name: v}, nil
			}
			return v, nil
		}
	}
	if len(fitting) == 1 {
		return nil, err
	}
	p.path = p.path[:path]
	return nil, p.fail("want %s", n.want())
}

func (p *parser) array(n *node, depth int) (any, error) {
	p.pos++ // [
	list := []any{}
	if p.take(']') {
		return list, nil
	}
	for i := 0; ; i++ {
		p.push(step{index: i})
		v, err := p.value(n.items, depth+1)
		if err != nil {
			return nil, err
		}
		p.pop()
		list = append(list, v)
		switch {
		case p.take(','):
		case p.take(']'):
			return list, nil
		default:
			return nil, p.notJSON()
		}
	}
}

// members calls each for every member of an object, after its name and colon.
func (p *parser) members(each func(name string) error) error {
	p.pos++ // {
	if p.take('}') {
		return nil
	}
	for {
		if p.class() != classString {
			return p.notJSON()
		}
		name, err := p.text()
		if err != nil {
			return err
		}
		if !p.take(':') {
			return p.notJSON()
		}
		if err := each(name); err != nil {
			return err
		}
		switch {
		case p.take(','):
		case p.take('}'):
			return nil
		default:
			return p.notJSON()
		}
	}
}

func (p *parser) object(n *node, depth int) (any, error) {
	m := map[string]any{}
	err := p.members(func(key string) error {
		p.push(step{index: anyKey})
		if _, ok := m[key]; ok {
			return p.fail("the same key twice")
		}
		v, err := p.value(n.items, depth+1)
		if err != nil {
			return err
		}
		p.pop()
		m[key] = v
		return nil
	})
	return m, err
}

func (p *parser) record(n *node, depth int) (any, error) {
	m := make(map[string]any, len(n.fields))
	err := p.members(func(name string) error {
		i, ok := n.byName[name]
		if !ok {
			p.push(step{name: printable(name)})
			return p.fail("unknown field")
		}
		p.push(step{name: name})
		if _, ok := m[name]; ok {
			return p.fail("the same field twice")
		}
		v, err := p.value(n.fields[i].node, depth+1)
		if err != nil {
			return err
		}
		p.pop()
		m[name] = v
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(m) == len(n.fields) {
		return m, nil
	}
	for i := range n.fields {
		f := &n.fields[i]
		if _, ok := m[f.name]; ok {
			continue
		}
		if !f.hasDefault {
			p.push(step{name: f.name})
			return nil, p.fail("missing")
		}
		m[f.name] = copyValue(f.value)
	}
	return m, nil
}

// printable makes a name that somebody sent fit for an error.
func printable(name string) string {
	for _, r := range name {
		if !unicode.IsPrint(r) {
			return "?"
		}
	}
	if name == "" {
		return `""`
	}
	return clip(name, 64)
}
