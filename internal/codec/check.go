package codec

import (
	"encoding"
	"math"
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/twmb/avro"
)

// CheckValue refuses what Avro can hold but a store would refuse or bend:
// U+0000 and invalid UTF-8 in text, NaN. v is a value of s: a pointer to a
// struct with avro tags, or what ParseJSON or decoding into an any gave. The
// error is a *FieldError.
func CheckValue(s *avro.Schema, v any) error {
	n, err := nodeOf(s)
	if err != nil {
		return err
	}
	var c checker
	if m, ok := v.(map[string]any); ok {
		return c.dynamic(n, m, 0)
	}
	return c.reflected(n, reflect.ValueOf(v), 0)
}

type checker struct{ path []step }

func (c *checker) fail(problem string) error {
	return &FieldError{Field: joinPath(c.path), Problem: problem}
}

func (c *checker) text(s string) error {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return c.fail("holds U+0000")
	case !utf8.ValidString(s):
		return c.fail("invalid UTF-8")
	}
	return nil
}

func (c *checker) float(f float64) error {
	if math.IsNaN(f) {
		return c.fail("is NaN")
	}
	return nil
}

func (c *checker) in(st step, check func() error) error {
	c.path = append(c.path, st)
	err := check()
	c.path = c.path[:len(c.path)-1]
	return err
}

// dynamic checks what decoding into an any gives. n is nil where the branch of
// a union is not known.
func (c *checker) dynamic(n *node, v any, depth int) error {
	if depth > 1000 {
		return c.fail("nested too deep")
	}
	switch v := v.(type) {
	case nil, bool, int32, int64, int:
		return nil
	case string:
		return c.text(v)
	case float64:
		return c.float(v)
	case float32:
		return c.float(float64(v))
	case []byte:
		if n = n.only(); n != nil && n.kind == kindString {
			return c.text(string(v))
		}
		return nil
	case []any:
		n = n.only()
		for i, e := range v {
			if err := c.in(step{index: i}, func() error { return c.dynamic(n.item(), e, depth+1) }); err != nil {
				return err
			}
		}
		return nil
	case map[string]any:
		n = n.only()
		if n != nil && n.kind == kindRecord {
			for i := range n.fields {
				f := &n.fields[i]
				if err := c.in(step{name: f.name}, func() error { return c.dynamic(f.node, v[f.name], depth+1) }); err != nil {
					return err
				}
			}
			return nil
		}
		return c.in(step{index: anyKey}, func() error {
			for k, e := range v {
				if err := c.text(k); err != nil {
					return err
				}
				if err := c.dynamic(n.item(), e, depth+1); err != nil {
					return err
				}
			}
			return nil
		})
	}
	return c.reflected(n, reflect.ValueOf(v), depth)
}

// only returns the node of a value that is not null: the one branch there is of
// an optional, nil where there are several.
func (n *node) only() *node {
	if n == nil || n.kind != kindUnion {
		return n
	}
	var one *node
	for _, b := range n.branches {
		if b.kind == kindNull {
			continue
		}
		if one != nil {
			return nil
		}
		one = b
	}
	return one
}

func (n *node) item() *node {
	if n == nil {
		return nil
	}
	return n.items
}

// reflected checks typed values.
func (c *checker) reflected(n *node, v reflect.Value, depth int) error {
	if depth > 1000 {
		return c.fail("nested too deep")
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !v.IsValid() || v.Type() == timeType {
		return nil
	}
	n = n.only()
	if v.Kind() != reflect.String && v.Type().Implements(textMarshaler) && (n == nil || n.kind == kindString) {
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return c.fail("cannot be written as text")
		}
		return c.text(string(text))
	}
	switch v.Kind() {
	case reflect.String:
		if n != nil && (n.kind == kindBytes || n.kind == kindFixed) {
			return nil
		}
		return c.text(v.String())
	case reflect.Float32, reflect.Float64:
		return c.float(v.Float())
	case reflect.Struct:
		return c.structure(n, v, depth)
	case reflect.Map:
		for it := v.MapRange(); it.Next(); {
			child := n.item()
			st := step{index: anyKey}
			if n != nil && n.kind == kindRecord {
				i, ok := n.byName[it.Key().String()]
				if !ok {
					continue
				}
				child, st = n.fields[i].node, step{name: n.fields[i].name}
			}
			err := c.in(st, func() error {
				if err := c.text(it.Key().String()); err != nil {
					return err
				}
				return c.reflected(child, it.Value(), depth+1)
			})
			if err != nil {
				return err
			}
		}
	case reflect.Slice, reflect.Array:
		if v.Type().Elem().Kind() == reflect.Uint8 {
			if n != nil && n.kind == kindString && v.Kind() == reflect.Slice {
				return c.text(string(v.Bytes()))
			}
			return nil
		}
		for i := range v.Len() {
			c.path = append(c.path, step{index: i})
			if err := c.reflected(n.item(), v.Index(i), depth+1); err != nil {
				return err
			}
			c.path = c.path[:len(c.path)-1]
		}
	}
	return nil
}

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

// checkedField is a struct field that can hold what a check may refuse.
type checkedField struct {
	name  string
	index []int
}

var checkedFields cache[reflect.Type, []checkedField]

func (c *checker) structure(n *node, v reflect.Value, depth int) error {
	t := v.Type()
	fields, ok := checkedFields.get(t)
	if !ok {
		eachField(t, nil, 0, func(f avroField) {
			switch f.typ.Kind() {
			case reflect.String, reflect.Float32, reflect.Float64, reflect.Struct, reflect.Map,
				reflect.Slice, reflect.Array, reflect.Pointer, reflect.Interface:
				if f.typ != timeType {
					fields = append(fields, checkedField{f.name, f.index})
				}
			}
		})
		checkedFields.put(t, fields)
	}
	for i := range fields {
		var child *node
		if n != nil && n.kind == kindRecord {
			at, ok := n.byName[fields[i].name]
			if !ok {
				continue
			}
			child = n.fields[at].node
		}
		f, err := v.FieldByIndexErr(fields[i].index)
		if err != nil {
			continue // in an embedded pointer that is nil
		}
		c.path = append(c.path, step{name: fields[i].name})
		if err := c.reflected(child, f, depth+1); err != nil {
			return err
		}
		c.path = c.path[:len(c.path)-1]
	}
	return nil
}
