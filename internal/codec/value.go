package codec

import (
	"errors"
	"math"
	"reflect"
	"strings"
	"time"

	"github.com/twmb/avro"
)

// encodeError says which field of a caller's value is wrong.
func encodeError(err error) error {
	var field string
	var semantic *avro.SemanticError
	problem := "does not fit the schema"
	if errors.As(err, &semantic) {
		field = clip(semantic.Field, 4*maxName)
		switch name, missing := missingField(semantic); {
		case missing:
			field = clip(strings.TrimPrefix(semantic.Field+"."+name, "."), 4*maxName)
			problem = "Go type " + clip(semantic.GoType.String(), maxName) + " has no such field"
		case semantic.AvroType != "":
			problem = "does not fit type " + clip(semantic.AvroType, maxName)
		}
	}
	return &FieldError{Field: field, Problem: problem}
}

// missingField returns the name of the schema's field that a Go struct lacks: the
// Avro library has it in a text only.
func missingField(e *avro.SemanticError) (name string, missing bool) {
	if e.Err == nil || e.GoType == nil {
		return "", false
	}
	return strings.CutPrefix(e.Err.Error(), "missing field ")
}

var (
	timeType   = reflect.TypeFor[time.Time]()
	stringType = reflect.TypeFor[string]()
	int64Type  = reflect.TypeFor[int64]()
)

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
