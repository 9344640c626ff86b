package codec

import (
	"errors"
	"math"
	"reflect"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/avro"

	"firehose/schemas"
)

// encodeError says which field of a caller's value is wrong.
func encodeError(err error) error {
	var field string
	var semantic *avro.SemanticError
	problem := "does not fit the schema"
	if errors.As(err, &semantic) {
		field = clip(semantic.Field, 4*maxName)
		if semantic.AvroType != "" {
			problem = "does not fit type " + clip(semantic.AvroType, maxName)
		}
	}
	return &FieldError{Field: field, Problem: problem}
}

// Key returns the key of v, a value of s: a pointer to a struct with avro tags,
// or a map[string]any. An empty key is an error.
func Key(s *schemas.Schema, v any) (string, error) {
	f, err := fieldOf(v, s.Key)
	if err != nil {
		return "", err
	}
	if !f.IsValid() {
		return "", &FieldError{Field: s.Key, Problem: "missing"}
	}
	if f.Kind() == reflect.String {
		if f.Len() == 0 {
			return "", &FieldError{Field: s.Key, Problem: "empty"}
		}
		return f.String(), nil
	}
	n, ok := integer(f)
	if !ok {
		return "", &FieldError{Field: s.Key, Problem: "want a string or a whole number"}
	}
	return strconv.FormatInt(n, 10), nil
}

// Version returns the version of v, a value of the entity schema s. A negative
// one is an error.
func Version(s *schemas.Schema, v any) (int64, error) {
	f, err := fieldOf(v, s.Contract.Version)
	if err != nil {
		return 0, err
	}
	n, ok := integer(f)
	switch {
	case !ok:
		return 0, &FieldError{Field: s.Contract.Version, Problem: "want a whole number"}
	case n < 0:
		return 0, &FieldError{Field: s.Contract.Version, Problem: "want 0 or more"}
	}
	return n, nil
}

// Time returns the contract's time field of v, a value of s, and whether the
// contract names one.
func Time(s *schemas.Schema, v any) (time.Time, bool, error) {
	if s.Contract.Time == "" {
		return time.Time{}, false, nil
	}
	f, err := fieldOf(v, s.Contract.Time)
	if err != nil {
		return time.Time{}, false, err
	}
	if f.IsValid() && f.Type() == timeType {
		if f.CanAddr() {
			return *f.Addr().Interface().(*time.Time), true, nil // without a copy on the heap
		}
		return f.Interface().(time.Time), true, nil
	}
	n, ok := integer(f)
	if !ok {
		return time.Time{}, false, &FieldError{Field: s.Contract.Time, Problem: "want a time"}
	}
	root, err := nodeOf(s.Avro)
	if err != nil {
		return time.Time{}, false, err
	}
	return fromEpoch(n, root.fields[root.byName[s.Contract.Time]].node.unit), true, nil
}

var timeType = reflect.TypeFor[time.Time]()

func integer(v reflect.Value) (int64, bool) {
	switch {
	case !v.IsValid():
		return 0, false
	case v.CanInt():
		return v.Int(), true
	case v.CanUint() && v.Uint() <= math.MaxInt64:
		return int64(v.Uint()), true
	}
	return 0, false
}

// fieldOf returns the field of v that the schema calls name; the zero Value when
// a map has none or it is nil.
func fieldOf(v any, name string) (reflect.Value, error) {
	if m, ok := v.(map[string]any); ok {
		return reflect.ValueOf(m[name]), nil
	}
	rv := reflect.ValueOf(v)
	for rv.Kind() == reflect.Pointer || rv.Kind() == reflect.Interface {
		rv = rv.Elem()
	}
	if rv.Kind() == reflect.Map {
		if m, ok := reflect.TypeAssert[map[string]any](rv); ok {
			return reflect.ValueOf(m[name]), nil
		}
	}
	if rv.Kind() != reflect.Struct {
		return reflect.Value{}, &FieldError{Problem: "want a record"}
	}
	index, ok := fieldIndexes.get(structField{rv.Type(), name})
	if !ok {
		index = findField(rv.Type(), name)
		fieldIndexes.put(structField{rv.Type(), name}, index)
	}
	if index == nil {
		return reflect.Value{}, &FieldError{Field: name, Problem: "the type " + rv.Type().String() + " has no such field"}
	}
	f, err := rv.FieldByIndexErr(index)
	if err != nil {
		return reflect.Value{}, &FieldError{Field: name, Problem: "missing"}
	}
	for f.Kind() == reflect.Pointer {
		f = f.Elem()
	}
	return f, nil
}

type structField struct {
	typ  reflect.Type
	name string
}

var fieldIndexes cache[structField, []int]

// findField finds the struct field that holds the Avro field of that name, as
// the Avro library does: a tag beats a Go name, the shallower the deeper.
func findField(t reflect.Type, name string) []int {
	var found []int
	foundTagged := false
	eachField(t, nil, 0, func(f avroField) {
		if f.name != name {
			return
		}
		better := found == nil || f.tagged && !foundTagged || f.tagged == foundTagged && len(f.index) < len(found)
		if better {
			found, foundTagged = f.index, f.tagged
		}
	})
	return found
}

type avroField struct {
	name   string
	tagged bool
	index  []int
	typ    reflect.Type
}

// eachField calls visit for the fields of a struct that hold Avro fields, those
// of embedded and inlined structs included.
func eachField(t reflect.Type, index []int, depth int, visit func(avroField)) {
	if depth > 16 {
		return // a struct that embeds itself
	}
	for i := range t.NumField() {
		f := t.Field(i)
		name, options, _ := strings.Cut(f.Tag.Get("avro"), ",")
		if name == "-" {
			continue
		}
		at := append(append([]int(nil), index...), i)
		inner := f.Type
		if inner.Kind() == reflect.Pointer {
			inner = inner.Elem()
		}
		inlined := name == "" && (f.Anonymous || options == "inline")
		switch {
		case inlined && inner.Kind() == reflect.Struct && inner != timeType:
			eachField(inner, at, depth+1, visit)
		case !f.IsExported():
		case name == "":
			visit(avroField{name: f.Name, index: at, typ: f.Type})
		default:
			visit(avroField{name: name, tagged: true, index: at, typ: f.Type})
		}
	}
}
