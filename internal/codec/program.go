package codec

import (
	"encoding"
	"encoding/json"
	"reflect"
	"strings"
	"unsafe"
)

// program reads the values of one schema into one Go struct: an instruction for
// each field, in the order in which they are written. The Avro library asks the
// schema and the type again with every value; a program asked when it was made.
//
// It knows what events are made of, and of that only what every writer writes.
// Whatever else comes, and whatever is wrong, it leaves to the library, which
// then reads the value from its start: what is valid, and what an error says, is
// decided there alone.
type program []instruction

type instruction struct {
	do      operation
	offset  uintptr // of the Go field in its struct
	symbols []string
	present byte         // of an optional: what is written before a value, a zigzag index
	typ     reflect.Type // of an array: the slice; of an optional: what it points to
	size    uintptr      // of an array's item in Go
	least   int          // of an array's item as it is written, in bytes
	inner   program      // of an array's item, or of what an optional holds
}

type operation uint8

const (
	readBool operation = iota
	readInt32
	readInt64      // a long
	readIntAsInt64 // an int
	readFloat32
	readFloat64
	readText
	readSymbol
	readBytes
	readMillis
	readMicros
	readOptional // of a scalar
	readArray
)

// maxNesting bounds records and arrays within each other: a schema may hold itself.
const maxNesting = 16

// compileProgram returns nil when something of the schema or of the type is for
// the library to read.
func compileProgram(n *node, t reflect.Type) program {
	if n.kind != kindRecord {
		return nil
	}
	p, _ := program(nil).record(n, t, 0, 0)
	return p
}

// record appends what reads a record into a struct, offset bytes from the start
// of the outermost.
func (p program) record(n *node, t reflect.Type, offset uintptr, depth int) (program, bool) {
	if depth > maxNesting || !isPlain(t) {
		return nil, false
	}
	for i := range n.fields {
		if n.fields[i].logicalBeside {
			return nil, false
		}
		f, ok := soleField(t, n.fields[i].name)
		if !ok {
			return nil, false
		}
		if p, ok = p.value(n.fields[i].node, f.Type, offset+f.Offset, depth); !ok {
			return nil, false
		}
	}
	return p, true
}

// isPlain says that t is a struct that has its fields itself: which one the
// library means when some are those of structs within is its own affair.
func isPlain(t reflect.Type) bool {
	if t.Kind() != reflect.Struct || t == timeType {
		return false
	}
	for i := range t.NumField() {
		f := t.Field(i)
		_, options, _ := strings.Cut(f.Tag.Get("avro"), ",")
		if f.Anonymous || strings.Contains(options, "inline") {
			return false
		}
	}
	return true
}

// soleField returns the field of that name of a plain struct, when no other could
// be meant.
func soleField(t reflect.Type, name string) (reflect.StructField, bool) {
	var found []int
	eachField(t, nil, 0, func(f avroField) {
		if f.name == name {
			found = append(found, f.index...)
		}
	})
	if len(found) != 1 {
		return reflect.StructField{}, false
	}
	return t.Field(found[0]), true
}

func (p program) value(n *node, t reflect.Type, offset uintptr, depth int) (program, bool) {
	if n.kind == kindRecord {
		return p.record(n, t, offset, depth+1)
	}
	in := instruction{offset: offset, symbols: n.symbols}
	ok := false
	switch n.kind {
	case kindArray:
		ok = in.array(n, t, depth)
	case kindUnion:
		ok = in.optional(n, t)
	default:
		in.do, ok = scalarInto(n, t)
	}
	return append(p, in), ok
}

// array reads into a slice that is used again, with what its items' pointers point
// to, as the library does.
func (in *instruction) array(n *node, t reflect.Type, depth int) bool {
	if t.Kind() != reflect.Slice {
		return false
	}
	item, ok := program(nil).value(n.items, t.Elem(), 0, depth+1)
	if !ok || len(item) == 0 {
		return false
	}
	in.do, in.typ, in.size, in.least, in.inner = readArray, t, t.Elem().Size(), item.least(), item
	return true
}

// least returns how few bytes p can read.
func (p program) least() int {
	n := 0
	for i := range p {
		switch p[i].do {
		case readFloat32:
			n += 4
		case readFloat64:
			n += 8
		default:
			n++
		}
	}
	return n
}

// optional reads a union of null and a scalar into a pointer.
func (in *instruction) optional(n *node, t reflect.Type) bool {
	if len(n.branches) != 2 || n.only() == nil || t.Kind() != reflect.Pointer {
		return false
	}
	do, ok := scalarInto(n.only(), t.Elem())
	if !ok {
		return false
	}
	if n.branches[1].kind != kindNull {
		in.present = 2 // a zigzag 1
	}
	in.do, in.typ, in.inner = readOptional, t.Elem(), program{{do: do, symbols: n.only().symbols}}
	return true
}

var (
	textUnmarshaler = reflect.TypeFor[encoding.TextUnmarshaler]()
	numberType      = reflect.TypeFor[json.Number]()
	bytesType       = reflect.TypeFor[[]byte]()
)

// scalarInto returns what reads a value without parts into a Go type that holds
// it as it is.
func scalarInto(n *node, t reflect.Type) (operation, bool) {
	switch n.logical {
	case logicalTimestamp:
		switch {
		case t == timeType && n.unit == millis:
			return readMillis, true
		case t == timeType && n.unit == micros:
			return readMicros, true
		}
		return 0, false
	case logicalNone:
	default:
		return 0, false
	}
	switch k := t.Kind(); {
	case n.kind == kindBool && k == reflect.Bool:
		return readBool, true
	case n.kind == kindInt && k == reflect.Int32:
		return readInt32, true
	case n.kind == kindInt && k == reflect.Int64:
		return readIntAsInt64, true
	case n.kind == kindLong && k == reflect.Int64:
		return readInt64, true
	case n.kind == kindFloat && k == reflect.Float32:
		return readFloat32, true
	case n.kind == kindDouble && k == reflect.Float64:
		return readFloat64, true
	case n.kind == kindString && isText(t):
		return readText, true
	case n.kind == kindEnum && isText(t):
		return readSymbol, true
	case n.kind == kindBytes && t == bytesType:
		return readBytes, true
	}
	return 0, false
}

// isText says that any text is a value of t, and is kept as it is.
func isText(t reflect.Type) bool {
	return t.Kind() == reflect.String && t != numberType && !reflect.PointerTo(t).Implements(textUnmarshaler)
}

// programs keeps the programs that read values of one schema, by the pointer
// type that they are read into.
type programs struct {
	from *node
	of   cache[reflect.Type, program]
}

// read reads payload into v, a pointer to a struct. False: nothing is known of
// the payload, and v may have been written in part.
func (p *programs) read(payload []byte, v any) bool {
	if p == nil {
		return false
	}
	t := reflect.TypeOf(v)
	code, ok := p.of.get(t)
	if !ok {
		if t != nil && t.Kind() == reflect.Pointer {
			code = compileProgram(p.from, t.Elem())
		}
		p.of.put(t, code)
	}
	if code == nil { // the library's to read, or a record without fields
		return false
	}
	to := reflect.ValueOf(v).UnsafePointer()
	return to != nil && code.read(payload, to)
}

// read reads all of payload into the struct at to.
func (p program) read(payload []byte, to unsafe.Pointer) bool {
	r := readers.Get().(*reader)
	r.data, r.at = payload, 0
	ok := r.run(p, to) && r.at == len(payload)
	r.data = nil
	readers.Put(r)
	return ok
}
