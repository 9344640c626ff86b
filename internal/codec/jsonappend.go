package codec

import (
	"encoding/base64"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"time"
	"unicode/utf8"

	"github.com/twmb/avro"
)

// AppendJSON appends the value v of the schema s as plain JSON, the form that
// ParseJSON reads, its fields in the order of the schema. v is what Decode into
// an any or ParseJSON gave, or a struct with avro tags.
//
// It shows what ParseJSON would refuse, too, as JSON can: NaN and the infinities
// as strings, invalid UTF-8 as U+FFFD, times that their form cannot express as
// numbers.
func AppendJSON(dst []byte, s *avro.Schema, v any) ([]byte, error) {
	n, err := nodeOf(s)
	if err != nil {
		return dst, err
	}
	if t := reflect.Indirect(reflect.ValueOf(v)); t.Kind() == reflect.Struct {
		if v, err = untyped(s, v); err != nil {
			return dst, err
		}
	}
	a := appender{}
	out, err := a.value(dst, n, v, 0)
	if err != nil {
		return dst, err
	}
	return out, nil
}

// untyped turns a struct into what decoding into an any would give.
func untyped(s *avro.Schema, v any) (any, error) {
	raw, err := s.Encode(v)
	if err != nil {
		return nil, encodeError(err)
	}
	var out any
	if _, err := s.Decode(raw, &out); err != nil {
		return nil, encodeError(err)
	}
	return out, nil
}

type appender struct{ path []step }

func (a *appender) misfit(n *node) error {
	return &FieldError{Field: joinPath(a.path), Problem: "does not fit type " + clip(n.name, maxName)}
}

func (a *appender) value(dst []byte, n *node, v any, depth int) ([]byte, error) {
	if depth > 1000 { // as deep as the Avro library decodes
		return dst, a.misfit(n)
	}
	switch n.kind {
	case kindNull:
		if v != nil {
			return dst, a.misfit(n)
		}
		return append(dst, "null"...), nil
	case kindUnion:
		b, v := n.branchOf(v)
		if b == nil {
			return dst, a.misfit(n)
		}
		return a.value(dst, b, v, depth+1)
	case kindRecord:
		return a.record(dst, n, v, depth)
	case kindMap:
		return a.object(dst, n, v, depth)
	case kindArray:
		list, ok := v.([]any)
		if !ok {
			return dst, a.misfit(n)
		}
		dst = append(dst, '[')
		for i, e := range list {
			if i > 0 {
				dst = append(dst, ',')
			}
			a.path = append(a.path, step{index: i})
			var err error
			if dst, err = a.value(dst, n.items, e, depth+1); err != nil {
				return dst, err
			}
			a.path = a.path[:len(a.path)-1]
		}
		return append(dst, ']'), nil
	default:
		out, ok := appendScalar(dst, n, v)
		if !ok {
			return dst, a.misfit(n)
		}
		return out, nil
	}
}

func (a *appender) record(dst []byte, n *node, v any, depth int) ([]byte, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return dst, a.misfit(n)
	}
	dst = append(dst, '{')
	for i := range n.fields {
		f := &n.fields[i]
		e, ok := m[f.name]
		if !ok {
			if !f.hasDefault {
				a.path = append(a.path, step{name: f.name})
				return dst, &FieldError{Field: joinPath(a.path), Problem: "missing"}
			}
			e = f.value
		}
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, f.name), ':')
		a.path = append(a.path, step{name: f.name})
		var err error
		if dst, err = a.value(dst, f.node, e, depth+1); err != nil {
			return dst, err
		}
		a.path = a.path[:len(a.path)-1]
	}
	return append(dst, '}'), nil
}

func (a *appender) object(dst []byte, n *node, v any, depth int) ([]byte, error) {
	m, ok := v.(map[string]any)
	if !ok {
		return dst, a.misfit(n)
	}
	keys := make([]string, 0, len(m))
	for k := range m {
		keys = append(keys, k)
	}
	slices.Sort(keys)
	a.path = append(a.path, step{index: anyKey})
	dst = append(dst, '{')
	for i, k := range keys {
		if i > 0 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, k), ':')
		var err error
		if dst, err = a.value(dst, n.items, m[k], depth+1); err != nil {
			return dst, err
		}
	}
	a.path = a.path[:len(a.path)-1]
	return append(dst, '}'), nil
}

// branchOf returns the branch of a union that v is of, and v without the
// wrapper that ParseJSON gives it where only that tells the branch.
func (n *node) branchOf(v any) (*node, any) {
	if m, ok := v.(map[string]any); ok && n.tagged && len(m) == 1 {
		for _, b := range n.branches {
			if inner, ok := m[b.name].(map[string]any); ok && (b.kind == kindRecord || b.kind == kindMap) {
				return b, inner
			}
		}
	}
	for _, b := range n.branches {
		if b.holds(v) {
			return b, v
		}
	}
	return nil, nil
}

// holds reports whether v looks like a value of n.
func (n *node) holds(v any) bool {
	switch v := v.(type) {
	case nil:
		return n.kind == kindNull
	case []any:
		return n.kind == kindArray
	case map[string]any:
		if n.kind != kindRecord {
			return n.kind == kindMap
		}
		for k := range v {
			if _, ok := n.byName[k]; !ok {
				return false
			}
		}
		for i := range n.fields {
			if _, ok := v[n.fields[i].name]; !ok && !n.fields[i].hasDefault {
				return false
			}
		}
		return true
	default:
		_, ok := appendScalar(nil, n, v)
		return ok
	}
}

// appendScalar reports whether v fits n, which is neither null, union, record,
// map nor array.
func appendScalar(dst []byte, n *node, v any) ([]byte, bool) {
	switch v := v.(type) {
	case bool:
		return strconv.AppendBool(dst, v), n.kind == kindBool
	case int32:
		return strconv.AppendInt(dst, int64(v), 10), n.kind == kindInt || n.kind == kindLong
	case int64:
		return strconv.AppendInt(dst, v, 10), n.kind == kindLong
	case int:
		return strconv.AppendInt(dst, int64(v), 10), n.kind == kindLong
	case float32:
		return appendFloat(dst, float64(v), 32), n.kind == kindFloat || n.kind == kindDouble
	case float64:
		return appendFloat(dst, v, 64), n.kind == kindDouble
	case string:
		return appendString(dst, v), n.kind == kindString || n.kind == kindEnum && slices.Contains(n.symbols, v)
	case []byte:
		fits := n.kind == kindBytes || n.kind == kindFixed && len(v) == n.size
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, v), '"'), fits
	case [16]byte:
		k := schemaKey{guid: v}
		return appendString(dst, k.guidText()), n.logical == logicalUUID
	case avro.Duration:
		dst = strconv.AppendUint(append(dst, `{"months":`...), uint64(v.Months), 10)
		dst = strconv.AppendUint(append(dst, `,"days":`...), uint64(v.Days), 10)
		dst = strconv.AppendUint(append(dst, `,"milliseconds":`...), uint64(v.Milliseconds), 10)
		return append(dst, '}'), n.logical == logicalDuration
	case *big.Rat:
		return appendDecimal(dst, n, v)
	case time.Time:
		return appendTime(dst, n, v)
	case time.Duration:
		if n.logical != logicalTime {
			return dst, false
		}
		if v < 0 || v >= time.Duration(day) {
			return strconv.AppendInt(dst, int64(v)/int64(n.unit), 10), true
		}
		return appendString(dst, time.Time{}.Add(v).Format(timeForm)), true
	}
	return dst, false
}

func appendTime(dst []byte, n *node, t time.Time) ([]byte, bool) {
	form := time.RFC3339Nano
	switch n.logical {
	case logicalTimestamp:
	case logicalDate:
		form = dateForm
	case logicalLocalTimestamp:
		form = localTimeForm
	default:
		return dst, false
	}
	t = t.UTC()
	if y := t.Year(); y < 0 || y > 9999 {
		return strconv.AppendInt(dst, toEpoch(t, n.unit), 10), true
	}
	return appendString(dst, t.Format(form)), true
}

func appendDecimal(dst []byte, n *node, r *big.Rat) ([]byte, bool) {
	scale := n.scale
	switch n.logical {
	case logicalDecimal:
	case logicalBigDecimal:
		scale, _ = r.FloatPrec()
	default:
		return dst, false
	}
	return appendString(dst, r.FloatString(scale)), true
}

// appendFloat writes the shortest text that reads back as f, never one that
// looks like a whole number.
func appendFloat(dst []byte, f float64, bits int) []byte {
	switch {
	case math.IsNaN(f):
		return append(dst, `"NaN"`...)
	case math.IsInf(f, 1):
		return append(dst, `"Infinity"`...)
	case math.IsInf(f, -1):
		return append(dst, `"-Infinity"`...)
	}
	start := len(dst)
	dst = strconv.AppendFloat(dst, f, 'g', -1, bits)
	for _, c := range dst[start:] {
		if c == '.' || c == 'e' {
			return dst
		}
	}
	return append(dst, ".0"...)
}

const hexDigits = "0123456789abcdef"

func appendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	for i := 0; i < len(s); {
		c := s[i]
		if c < utf8.RuneSelf {
			switch {
			case c == '"' || c == '\\':
				dst = append(dst, '\\', c)
			case c == '\n':
				dst = append(dst, '\\', 'n')
			case c < 0x20 || c == 0x7f:
				dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
			default:
				dst = append(dst, c)
			}
			i++
			continue
		}
		r, size := utf8.DecodeRuneInString(s[i:])
		dst = utf8.AppendRune(dst, r) // U+FFFD for what is none
		i += size
	}
	return append(dst, '"')
}
