package operator

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"math/big"
	"strings"
	"time"

	"github.com/twmb/avro"
)

// variants is how many values are made from each schema: enough for the shop's
// longest enum, and each number's smallest, largest and ordinary value.
const variants = 8

// makeValue writes a value of a schema in Avro's binary form, straight from the
// specification: a third opinion of what the bytes are.
func makeValue(root *avro.SchemaNode, variant int) ([]byte, error) {
	m := maker{named: map[string]*avro.SchemaNode{}, n: variant}
	m.name(root)
	err := m.value(root, "", 0)
	return m.out, err
}

// name notes what a schema defines, which a value may skip and use later.
func (m *maker) name(s *avro.SchemaNode) {
	if s.Name != "" {
		m.named[strings.TrimPrefix(s.Namespace+"."+s.Name, ".")] = s
	}
	for i := range s.Fields {
		m.name(&s.Fields[i].Type)
	}
	for i := range s.Branches {
		m.name(&s.Branches[i])
	}
	for _, items := range []*avro.SchemaNode{s.Items, s.Values} {
		if items != nil {
			m.name(items)
		}
	}
}

type maker struct {
	named map[string]*avro.SchemaNode
	out   []byte
	n     int // what is picked next where there is a choice
}

// pick returns a number below n, another one each time.
func (m *maker) pick(n int) int {
	m.n++
	return (m.n - 1) % n
}

func (m *maker) long(v int64) { m.out = binary.AppendVarint(m.out, v) } // zigzag, as Avro's

func (m *maker) bytes(b []byte) {
	m.long(int64(len(b)))
	m.out = append(m.out, b...)
}

// maxMade bounds the depth of a schema that refers to itself.
const maxMade = 32

func (m *maker) value(s *avro.SchemaNode, namespace string, depth int) error {
	if depth > maxMade {
		return fmt.Errorf("values nest deeper than %d", maxMade)
	}
	if s.Name != "" {
		namespace = s.Namespace
	}
	switch s.Type {
	case "null":
	case "boolean":
		m.out = append(m.out, byte(m.pick(2)))
	case "int", "long":
		m.number(s)
	case "float":
		m.out = binary.LittleEndian.AppendUint32(m.out, math.Float32bits([]float32{0.5, -1e30, math.MaxFloat32}[m.pick(3)]))
	case "double":
		m.out = binary.LittleEndian.AppendUint64(m.out, math.Float64bits([]float64{0.1, -math.MaxFloat64, math.SmallestNonzeroFloat64}[m.pick(3)]))
	case "string":
		text := []string{"ordinary", "", "ключ 🎵 \u0001\"\\"}[m.pick(3)]
		if s.LogicalType == "uuid" {
			text = "0198c0de-0000-7000-8000-00000000000" + itoa(m.pick(10))
		}
		m.bytes([]byte(text))
	case "bytes":
		m.bytes([][]byte{{0x01, 0x23}, {0xff, 0x00}, {0x7f}}[m.pick(3)])
	case "fixed":
		m.out = append(m.out, bytes.Repeat([]byte{byte(m.pick(2))}, s.Size)...)
	case "enum":
		m.long(int64(m.pick(len(s.Symbols))))
	case "array":
		return m.block(m.pick(3), depth, func() error { return m.value(s.Items, namespace, depth+1) })
	case "map":
		return m.block(m.pick(2), depth, func() error {
			m.bytes([]byte("key"))
			return m.value(s.Values, namespace, depth+1)
		})
	case "union":
		i := m.pick(len(s.Branches))
		m.long(int64(i))
		return m.value(&s.Branches[i], namespace, depth+1)
	case "record":
		for i := range s.Fields {
			if err := m.value(&s.Fields[i].Type, namespace, depth+1); err != nil {
				return fmt.Errorf("%s: %w", s.Fields[i].Name, err)
			}
		}
	default:
		named, ok := m.named[s.Type]
		if !ok {
			named, ok = m.named[namespace+"."+s.Type]
		}
		if !ok {
			return fmt.Errorf("type %s is not defined", s.Type)
		}
		return m.value(named, namespace, depth+1)
	}
	return nil
}

// number writes an int or long; times within what every implementation holds.
func (m *maker) number(s *avro.SchemaNode) {
	choices := []int64{1, math.MinInt32, math.MaxInt32}
	switch {
	case s.LogicalType == "date":
		choices = []int64{0, 10_000, 2_932_896} // up to the year 9999
	case strings.HasPrefix(s.LogicalType, "time-"):
		choices = []int64{0, 1, 86_399_999}
	case s.LogicalType != "":
		choices = []int64{0, 867_672_000_123, 1_767_366_245_000}
	case s.Type == "long":
		choices = []int64{1, math.MinInt64, math.MaxInt64}
	}
	m.long(choices[m.pick(len(choices))])
}

// block writes the items of an array or map; too deep there are none, so that
// values of schemas that refer to themselves end.
func (m *maker) block(n, depth int, item func() error) error {
	if depth > maxMade/2 {
		n = 0
	}
	if n > 0 {
		m.long(int64(n))
		for range n {
			if err := item(); err != nil {
				return err
			}
		}
	}
	m.long(0)
	return nil
}

// differ compares what our codec and goavro read, and returns where they differ.
// goavro wraps a union's value in a map under its branch's name.
func differ(ours, theirs any, at string) string {
	if wrapped, ok := theirs.(map[string]any); ok && len(wrapped) == 1 {
		if m, isMap := ours.(map[string]any); !isMap || !sameKeys(m, wrapped) {
			for branch, v := range wrapped {
				return differ(ours, v, at+"<"+branch+">")
			}
		}
	}
	switch a := ours.(type) {
	case map[string]any:
		b, ok := theirs.(map[string]any)
		if !ok || !sameKeys(a, b) {
			return at
		}
		for name, v := range a {
			if where := differ(v, b[name], at+"."+name); where != "" {
				return where
			}
		}
		return ""
	case []any:
		b, ok := theirs.([]any)
		if !ok || len(a) != len(b) {
			return at
		}
		for i := range a {
			if where := differ(a[i], b[i], fmt.Sprintf("%s[%d]", at, i)); where != "" {
				return where
			}
		}
		return ""
	}
	if sameScalar(ours, theirs) {
		return ""
	}
	return at
}

func sameKeys(a, b map[string]any) bool {
	for k := range a {
		if _, ok := b[k]; !ok {
			return false
		}
	}
	return len(a) == len(b)
}

func sameScalar(ours, theirs any) bool {
	switch a := ours.(type) {
	case time.Time:
		b, ok := theirs.(time.Time)
		return !ok || a.Equal(b) // goavro knows fewer logical types and gives a number
	case *big.Rat:
		b, ok := theirs.(*big.Rat)
		return !ok || a.Cmp(b) == 0
	case []byte:
		b, ok := theirs.([]byte)
		return ok && bytes.Equal(a, b)
	case nil, bool, string, int32, int64, float32, float64:
		return ours == theirs
	}
	return true // one of our own types for a logical type; the bytes are compared all the same
}
