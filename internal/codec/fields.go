package codec

import (
	"reflect"
	"strconv"
	"sync/atomic"
	"time"

	"firehose/schemas"
)

// Fields reads the fields that a contract names from values of its schema:
// pointers to structs with avro tags, or map[string]any. It is safe for
// concurrent use, and quickest with one Go type.
type Fields struct {
	schema *schemas.Schema
	last   atomic.Pointer[structFields]
}

// structFields is where a Go type keeps those fields; nil: it has no such field.
type structFields struct {
	typ                reflect.Type
	key, version, time []int
}

// FieldsOf returns what reads the contract's fields from values of s.
func FieldsOf(s *schemas.Schema) *Fields { return &Fields{schema: s} }

// Key returns the key of v. An empty key is an error.
func (f *Fields) Key(v any) (string, error) {
	field, err := f.field(v, f.schema.Key, func(s *structFields) []int { return s.key })
	if err != nil {
		return "", err
	}
	if !field.IsValid() {
		return "", &FieldError{Field: f.schema.Key, Problem: "missing"}
	}
	if field.Kind() == reflect.String {
		if field.Len() == 0 {
			return "", &FieldError{Field: f.schema.Key, Problem: "empty"}
		}
		return field.String(), nil
	}
	n, ok := integer(field)
	if !ok {
		return "", &FieldError{Field: f.schema.Key, Problem: "want a string or a whole number"}
	}
	return strconv.FormatInt(n, 10), nil
}

// Version returns the version of v, where the contract has one. A negative one
// is an error.
func (f *Fields) Version(v any) (int64, error) {
	name := f.schema.Contract.Version
	field, err := f.field(v, name, func(s *structFields) []int { return s.version })
	if err != nil {
		return 0, err
	}
	n, ok := integer(field)
	switch {
	case !ok:
		return 0, &FieldError{Field: name, Problem: "want a whole number"}
	case n < 0:
		return 0, &FieldError{Field: name, Problem: "want 0 or more"}
	}
	return n, nil
}

// Time returns the contract's time field of v, and whether the contract names
// one.
func (f *Fields) Time(v any) (time.Time, bool, error) {
	name := f.schema.Contract.Time
	if name == "" {
		return time.Time{}, false, nil
	}
	field, err := f.field(v, name, func(s *structFields) []int { return s.time })
	if err != nil {
		return time.Time{}, false, err
	}
	if field.IsValid() && field.Type() == timeType {
		if field.CanAddr() {
			return *field.Addr().Interface().(*time.Time), true, nil // without a copy on the heap
		}
		return field.Interface().(time.Time), true, nil
	}
	n, ok := integer(field)
	if !ok {
		return time.Time{}, false, &FieldError{Field: name, Problem: "want a time"}
	}
	root, err := nodeOf(f.schema.Avro)
	if err != nil {
		return time.Time{}, false, err
	}
	return fromEpoch(n, root.fields[root.byName[name]].node.unit), true, nil
}

// field returns the field of v that the schema calls name; the zero Value when a
// map has none or it is nil.
func (f *Fields) field(v any, name string, index func(*structFields) []int) (reflect.Value, error) {
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
	s := f.last.Load()
	if s == nil || s.typ != rv.Type() {
		contract := f.schema.Contract
		s = &structFields{
			typ: rv.Type(), key: findField(rv.Type(), contract.Key),
			version: findField(rv.Type(), contract.Version), time: findField(rv.Type(), contract.Time),
		}
		f.last.Store(s)
	}
	at := index(s)
	if at == nil {
		return reflect.Value{}, &FieldError{Field: name, Problem: "the type " + rv.Type().String() + " has no such field"}
	}
	found, err := rv.FieldByIndexErr(at)
	if err != nil {
		return reflect.Value{}, &FieldError{Field: name, Problem: "missing"}
	}
	for found.Kind() == reflect.Pointer {
		found = found.Elem()
	}
	return found, nil
}
