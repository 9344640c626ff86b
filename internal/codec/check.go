package codec

import (
	"encoding"
	"math"
	"reflect"
	"slices"
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
	var found *fault
	if m, ok := v.(map[string]any); ok {
		found = checkDynamic(n, m, 0)
	} else {
		found = checkTyped(n, reflect.ValueOf(v), 0)
	}
	if found == nil {
		return nil
	}
	slices.Reverse(found.path)
	return &FieldError{Field: joinPath(found.path), Problem: found.problem}
}

// fault is what a check found. Its path grows on the way out, from the inside,
// so that values without one cost no bookkeeping.
type fault struct {
	path    []step
	problem string
}

// in says where the fault lies; nil stays nil.
func (f *fault) in(st step) *fault {
	if f != nil {
		f.path = append(f.path, st)
	}
	return f
}

func checkText(s string) *fault {
	switch {
	case strings.IndexByte(s, 0) >= 0:
		return &fault{problem: "holds U+0000"}
	case !utf8.ValidString(s):
		return &fault{problem: "invalid UTF-8"}
	}
	return nil
}

func checkFloat(f float64) *fault {
	if math.IsNaN(f) {
		return &fault{problem: "is NaN"}
	}
	return nil
}

func checkDepth(depth int) *fault {
	if depth > 1000 { // as deep as the Avro library goes
		return &fault{problem: "nested too deep"}
	}
	return nil
}

// checkDynamic checks what decoding into an any gives. n is nil where the branch
// of a union is not known.
func checkDynamic(n *node, v any, depth int) *fault {
	if f := checkDepth(depth); f != nil {
		return f
	}
	switch v := v.(type) {
	case nil, bool, int32, int64, int:
		return nil
	case string:
		return checkText(v)
	case float64:
		return checkFloat(v)
	case float32:
		return checkFloat(float64(v))
	case []byte:
		if n = n.only(); n != nil && n.kind == kindString {
			return checkText(string(v))
		}
		return nil
	case []any:
		n = n.only()
		for i, e := range v {
			if f := checkDynamic(n.item(), e, depth+1); f != nil {
				return f.in(step{index: i})
			}
		}
		return nil
	case map[string]any:
		if n = n.only(); n != nil && n.kind == kindRecord {
			for i := range n.fields {
				if f := checkDynamic(n.fields[i].node, v[n.fields[i].name], depth+1); f != nil {
					return f.in(step{name: n.fields[i].name})
				}
			}
			return nil
		}
		for k, e := range v {
			f := checkText(k)
			if f == nil {
				f = checkDynamic(n.item(), e, depth+1)
			}
			if f != nil {
				return f.in(step{index: anyKey})
			}
		}
		return nil
	}
	return checkTyped(n, reflect.ValueOf(v), depth)
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

// checkTyped checks structs, and what else is not what decoding into an any
// gives.
func checkTyped(n *node, v reflect.Value, depth int) *fault {
	if f := checkDepth(depth); f != nil {
		return f
	}
	for v.Kind() == reflect.Pointer || v.Kind() == reflect.Interface {
		if v.IsNil() {
			return nil
		}
		v = v.Elem()
	}
	if !v.IsValid() {
		return nil
	}
	t := v.Type()
	if t == timeType {
		return nil
	}
	n = n.only()
	if v.Kind() != reflect.String && (n == nil || n.kind == kindString) && t.NumMethod() > 0 && t.Implements(textMarshaler) {
		text, err := v.Interface().(encoding.TextMarshaler).MarshalText()
		if err != nil {
			return &fault{problem: "cannot be written as text"}
		}
		return checkText(string(text))
	}
	switch v.Kind() {
	case reflect.String:
		if n != nil && (n.kind == kindBytes || n.kind == kindFixed) {
			return nil
		}
		return checkText(v.String())
	case reflect.Float32, reflect.Float64:
		return checkFloat(v.Float())
	case reflect.Struct:
		return checkStruct(n, v, depth)
	case reflect.Map:
		return checkMap(n, v, depth)
	case reflect.Slice, reflect.Array:
		if t.Elem().Kind() == reflect.Uint8 {
			if n != nil && n.kind == kindString && v.Kind() == reflect.Slice {
				return checkText(string(v.Bytes()))
			}
			return nil
		}
		for i := range v.Len() {
			if f := checkTyped(n.item(), v.Index(i), depth+1); f != nil {
				return f.in(step{index: i})
			}
		}
	}
	return nil
}

var textMarshaler = reflect.TypeFor[encoding.TextMarshaler]()

func checkMap(n *node, v reflect.Value, depth int) *fault {
	if v.Type().Key().Kind() != reflect.String {
		return nil // the encoder refuses it
	}
	for it := v.MapRange(); it.Next(); {
		child, st := n.item(), step{index: anyKey}
		if n != nil && n.kind == kindRecord {
			i, ok := n.byName[it.Key().String()]
			if !ok {
				continue
			}
			child, st = n.fields[i].node, step{name: n.fields[i].name}
		}
		f := checkText(it.Key().String())
		if f == nil {
			f = checkTyped(child, it.Value(), depth+1)
		}
		if f != nil {
			return f.in(st)
		}
	}
	return nil
}

// checkedField is a struct field that can hold what a check may refuse.
type checkedField struct {
	name  string
	index []int
}

var checkedFields cache[reflect.Type, []checkedField]

func checkStruct(n *node, v reflect.Value, depth int) *fault {
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
		if f := checkTyped(child, f, depth+1); f != nil {
			return f.in(step{name: fields[i].name})
		}
	}
	return nil
}
