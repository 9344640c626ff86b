package codec

import (
	"reflect"
	"strconv"
	"sync/atomic"
	"time"
	"unsafe"

	"firehose/schemas"
)

// Fields reads the fields that a contract names from values of its schema:
// pointers to structs with avro tags, or map[string]any. It is safe for
// concurrent use, and quickest with one Go type.
type Fields struct {
	schema *schemas.Schema
	last   atomic.Pointer[structFields]
}

// structFields is where a Go type keeps those fields.
type structFields struct {
	typ, pointer       reflect.Type // the struct, and the pointer to it
	key, version, time place
}

// place is where a struct keeps a field. A publisher reads three of them from
// every event, so what lies at the same distance from the start of every value,
// and is a string, an int64 (of any name) or a time.Time, is read from there.
type place struct {
	index  []int // nil: the type has no such field
	direct bool
	offset uintptr
}

func placeOf(t reflect.Type, name string, want reflect.Type) place {
	p := place{index: findField(t, name)}
	for i, n := range p.index {
		if t.Kind() != reflect.Struct {
			return p // embedded by pointer
		}
		f := t.Field(n)
		p.offset += f.Offset
		t = f.Type
		p.direct = i == len(p.index)-1 && t.Kind() == want.Kind() && (want != timeType || t == timeType)
	}
	return p
}

// direct returns where v has the field, when it can be read from there.
func (f *Fields) direct(v any, of func(*structFields) *place) unsafe.Pointer {
	s := f.last.Load()
	if s == nil || reflect.TypeOf(v) != s.pointer {
		return nil
	}
	p, at := of(s), reflect.ValueOf(v).UnsafePointer()
	if !p.direct || at == nil {
		return nil
	}
	return unsafe.Add(at, p.offset)
}

func keyPlace(s *structFields) *place     { return &s.key }
func versionPlace(s *structFields) *place { return &s.version }
func timePlace(s *structFields) *place    { return &s.time }

// FieldsOf returns what reads the contract's fields from values of s.
func FieldsOf(s *schemas.Schema) *Fields { return &Fields{schema: s} }

// Key returns the key of v. An empty key is an error.
func (f *Fields) Key(v any) (string, error) {
	if at := f.direct(v, keyPlace); at != nil {
		if key := *(*string)(at); key != "" {
			return key, nil
		}
	}
	field, err := f.field(v, f.schema.Key, keyPlace)
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
	if at := f.direct(v, versionPlace); at != nil {
		if version := *(*int64)(at); version >= 0 {
			return version, nil
		}
	}
	name := f.schema.Contract.Version
	field, err := f.field(v, name, versionPlace)
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
	if at := f.direct(v, timePlace); at != nil {
		return *(*time.Time)(at), true, nil
	}
	field, err := f.field(v, name, timePlace)
	if err != nil {
		return time.Time{}, false, err
	}
	if field.IsValid() && field.Type() == timeType {
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
func (f *Fields) field(v any, name string, of func(*structFields) *place) (reflect.Value, error) {
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
		contract, typ := f.schema.Contract, rv.Type()
		s = &structFields{
			typ: typ, pointer: reflect.PointerTo(typ),
			key:     placeOf(typ, contract.Key, stringType),
			version: placeOf(typ, contract.Version, int64Type),
			time:    placeOf(typ, contract.Time, timeType),
		}
		f.last.Store(s)
	}
	at := of(s).index
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
