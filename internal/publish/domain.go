package publish

import (
	"bytes"
	"encoding/binary"
	"math"
	"strings"
	"unicode/utf8"

	"github.com/twmb/avro"

	"firehose/internal/event"
)

// domain checks encoded values: every text valid UTF-8 without U+0000, no
// number NaN. Avro can hold these and stores cannot. It is what
// codec.CheckValue checks, on the bytes that have just been encoded, which
// costs a tenth of walking the value; CheckValue then says which field it was.
// It is for bytes of our own making: it bounds nothing.
type domain struct {
	op     domainOp
	size   int       // opSkip: bytes; opVarints: how many
	parts  []*domain // opRecord: in order; opUnion: by branch
	repeat *domain   // opArray, opMap
}

type domainOp uint8

const (
	opVarints domainOp = iota
	opSkip
	opBytes
	opText
	opFloat
	opDouble
	opArray
	opMap
	opRecord
	opUnion
)

// newDomain compiles a schema.
func newDomain(s *avro.Schema) *domain {
	return compileDomain(s.Root(), "", map[string]*domain{})
}

// compileDomain compiles a node within a namespace. named holds what has been
// defined so far, by full name.
func compileDomain(n *avro.SchemaNode, namespace string, named map[string]*domain) *domain {
	if n.Name != "" {
		namespace = n.Namespace
	}
	name := fullName(namespace, n.Name)
	switch n.Type {
	case "null":
		return &domain{op: opSkip}
	case "boolean":
		return &domain{op: opSkip, size: 1}
	case "int", "long":
		return &domain{op: opVarints, size: 1}
	case "enum":
		d := &domain{op: opVarints, size: 1}
		named[name] = d
		return d
	case "fixed":
		d := &domain{op: opSkip, size: n.Size}
		named[name] = d
		return d
	case "float":
		return &domain{op: opFloat}
	case "double":
		return &domain{op: opDouble}
	case "bytes":
		return &domain{op: opBytes}
	case "string":
		return &domain{op: opText}
	case "array":
		return &domain{op: opArray, repeat: compileDomain(n.Items, namespace, named)}
	case "map":
		return &domain{op: opMap, repeat: compileDomain(n.Values, namespace, named)}
	case "union":
		d := &domain{op: opUnion}
		for i := range n.Branches {
			d.parts = append(d.parts, compileDomain(&n.Branches[i], namespace, named))
		}
		return d
	case "record", "error":
		d := &domain{op: opRecord}
		named[name] = d // before its fields, which may refer to it
		for i := range n.Fields {
			field := compileDomain(&n.Fields[i].Type, namespace, named)
			if last := len(d.parts) - 1; field != nil && field.op == opVarints && last >= 0 && d.parts[last].op == opVarints {
				d.parts[last] = &domain{op: opVarints, size: d.parts[last].size + field.size}
				continue
			}
			d.parts = append(d.parts, field)
		}
		return d
	}
	// A reference to what was defined before it. A nil one holds nothing.
	if d, ok := named[fullName(namespace, n.Type)]; ok {
		return d
	}
	return named[n.Type]
}

func fullName(namespace, name string) string {
	if namespace == "" || strings.Contains(name, ".") {
		return name
	}
	return namespace + "." + name
}

// holds reports whether the encoded value is within the domain.
func (d *domain) holds(encoded []byte) bool {
	rest, ok := d.walk(encoded)
	return ok && len(rest) == 0
}

// walk reads one value and returns what follows it.
func (d *domain) walk(b []byte) (rest []byte, ok bool) {
	if d == nil {
		return nil, false
	}
	switch d.op {
	case opVarints:
		for range d.size {
			i := 0
			for i < len(b) && b[i] >= 0x80 {
				i++
			}
			if i >= len(b) {
				return nil, false
			}
			b = b[i+1:]
		}
		return b, true
	case opSkip:
		if d.size > len(b) {
			return nil, false
		}
		return b[d.size:], true
	case opBytes:
		_, b, ok = chunk(b)
		return b, ok
	case opText:
		return text(b)
	case opFloat:
		if len(b) < 4 {
			return nil, false
		}
		f := math.Float32frombits(binary.LittleEndian.Uint32(b))
		return b[4:], f == f
	case opDouble:
		if len(b) < 8 {
			return nil, false
		}
		f := math.Float64frombits(binary.LittleEndian.Uint64(b))
		return b[8:], f == f
	case opRecord:
		for _, part := range d.parts {
			if b, ok = part.walk(b); !ok {
				return nil, false
			}
		}
		return b, true
	case opUnion:
		branch, n := binary.Varint(b)
		if n <= 0 || branch < 0 || branch >= int64(len(d.parts)) {
			return nil, false
		}
		return d.parts[branch].walk(b[n:])
	case opArray, opMap:
		return d.blocks(b)
	}
	return nil, false
}

// blocks reads the blocks of an array or a map.
func (d *domain) blocks(b []byte) (rest []byte, ok bool) {
	for {
		count, n := binary.Varint(b)
		if n <= 0 {
			return nil, false
		}
		b = b[n:]
		if count == 0 {
			return b, true
		}
		if count < 0 { // its size in bytes follows
			count = -count
			if _, n = binary.Varint(b); n <= 0 {
				return nil, false
			}
			b = b[n:]
		}
		for range count {
			if d.op == opMap {
				if b, ok = text(b); !ok {
					return nil, false
				}
			}
			if b, ok = d.repeat.walk(b); !ok {
				return nil, false
			}
		}
	}
}

func text(b []byte) (rest []byte, ok bool) {
	s, rest, ok := chunk(b)
	return rest, ok && (event.IsPlain(s) || bytes.IndexByte(s, 0) < 0 && utf8.Valid(s))
}

// chunk reads bytes behind their length.
func chunk(b []byte) (content, rest []byte, ok bool) {
	length, n := binary.Varint(b)
	if n <= 0 || length < 0 || length > int64(len(b)-n) {
		return nil, nil, false
	}
	return b[n : n+int(length)], b[n+int(length):], true
}
