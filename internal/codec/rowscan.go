package codec

import (
	"encoding/base64"
	"fmt"
	"math"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/avro"
)

// Bounds of one record, beyond that of its bytes.
const (
	maxScanDepth = 1000     // as deep as the Avro library decodes
	maxEmpty     = 1 << 16  // items of arrays that take no bytes, so that few bytes could claim any number
	maxScanJSON  = 16 << 20 // of one field: a byte may stand for a long symbol
)

// scan goes over one record. Text is cut out of data, not copied.
type scan struct {
	data  string
	at    int
	empty int
	path  []step
	out   []byte // JSON under construction, used again
}

func (s *scan) fail(problem string) error {
	return &FieldError{Field: joinPath(s.path), Problem: problem}
}

func undecodable(problem string) error { return fmt.Errorf("%w: %s", ErrUndecodable, problem) }

func truncated(kind string) error { return undecodable("truncated in a " + kind) }

// long reads a zigzag varint.
func (s *scan) long() (int64, error) {
	var u uint64
	for i := range 10 {
		if s.at >= len(s.data) {
			return 0, truncated("number")
		}
		b := s.data[s.at]
		s.at++
		if i == 9 && b > 1 {
			break
		}
		u |= uint64(b&0x7f) << (7 * i)
		if b < 0x80 {
			return int64(u>>1) ^ -int64(u&1), nil
		}
	}
	return 0, undecodable("number out of range")
}

// integer reads an int or a long.
func (s *scan) integer(n *node) (int64, error) {
	i, err := s.long()
	if err == nil && n.kind == kindInt && int64(int32(i)) != i {
		return 0, undecodable("number out of range")
	}
	return i, err
}

// index reads which of n alternatives follows.
func (s *scan) index(n int) (int64, error) {
	i, err := s.long()
	if err == nil && (i < 0 || i >= int64(n)) {
		return 0, undecodable("index out of range")
	}
	return i, err
}

func (s *scan) take(n int64, kind string) (string, error) {
	if n < 0 || n > int64(len(s.data)-s.at) {
		return "", truncated(kind)
	}
	from := s.at
	s.at += int(n)
	return s.data[from:s.at], nil
}

// boolean reads a byte of which 1 is true, as Java and the Avro library have it;
// nobody writes others than 0 and 1.
func (s *scan) boolean() (bool, error) {
	b, err := s.take(1, "boolean")
	return err == nil && b[0] == 1, err
}

func (s *scan) float(n *node) (float64, error) {
	size := int64(8)
	if n.kind == kindFloat {
		size = 4
	}
	b, err := s.take(size, "floating point number")
	if err != nil {
		return 0, err
	}
	var bits uint64
	for i := range len(b) {
		bits |= uint64(b[i]) << (8 * i)
	}
	f := math.Float64frombits(bits)
	if size == 4 {
		f = float64(math.Float32frombits(uint32(bits)))
	}
	if math.IsNaN(f) {
		return 0, s.fail("is NaN")
	}
	return f, nil
}

func (s *scan) text() (string, error) {
	n, err := s.long()
	if err != nil {
		return "", err
	}
	t, err := s.take(n, "string")
	switch {
	case err != nil:
		return "", err
	case strings.IndexByte(t, 0) >= 0:
		return "", s.fail("holds U+0000")
	case !utf8.ValidString(t):
		return "", s.fail("invalid UTF-8")
	}
	return t, nil
}

func (s *scan) symbol(n *node) (string, error) {
	i, err := s.index(len(n.symbols))
	if err != nil {
		return "", err
	}
	return n.symbols[i], nil
}

// bytesOf reads bytes or a fixed.
func (s *scan) bytesOf(n *node) (string, error) {
	if n.kind == kindFixed {
		return s.take(int64(n.size), "fixed")
	}
	size, err := s.long()
	if err != nil {
		return "", err
	}
	return s.take(size, "bytes")
}

// decimal reads a decimal as plain digits.
func (s *scan) decimal(n *node) (string, error) {
	unscaled, err := s.bytesOf(n)
	if err != nil {
		return "", err
	}
	scale, precision := int64(n.scale), n.precision
	if n.logical == logicalBigDecimal {
		// The bytes hold the unscaled bytes and the scale.
		inner := scan{data: unscaled, path: s.path}
		size, err := inner.long()
		if err != nil {
			return "", err
		}
		if unscaled, err = inner.take(size, "big-decimal"); err != nil {
			return "", err
		}
		if scale, err = inner.long(); err != nil {
			return "", err
		}
		if inner.at != len(inner.data) {
			return "", undecodable("trailing bytes in a big-decimal")
		}
		if precision = maxBigDecimal; scale < -maxBigDecimal || scale > maxBigDecimal {
			return "", s.fail("scale out of range")
		}
	}
	v, ok := unscaledInt(unscaled, precision)
	if !ok {
		return "", s.fail("number out of range for its precision")
	}
	return placePoint(v, int(scale)), nil
}

// unscaledInt reads a big-endian two's complement of at most that many digits.
// The bytes are counted first: many of them take long to turn into digits.
func unscaledInt(b string, precision int) (*big.Int, bool) {
	if b == "" {
		return new(big.Int), true
	}
	negative := b[0] >= 0x80
	sign := byte(0)
	if negative {
		sign = 0xff
	}
	for len(b) > 1 && b[0] == sign && b[1]>>7 == sign>>7 {
		b = b[1:]
	}
	if len(b) > precision/2+2 { // a byte is more than two digits
		return nil, false
	}
	v := new(big.Int).SetBytes([]byte(b))
	if negative {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v, true
}

// placePoint writes v × 10^-scale.
func placePoint(v *big.Int, scale int) string {
	digits, negative := strings.CutPrefix(v.String(), "-")
	switch {
	case scale < 0 && digits != "0":
		digits += strings.Repeat("0", -scale)
	case scale > 0:
		if pad := scale + 1 - len(digits); pad > 0 {
			digits = strings.Repeat("0", pad) + digits
		}
		digits = digits[:len(digits)-scale] + "." + digits[len(digits)-scale:]
	}
	if negative {
		return "-" + digits
	}
	return digits
}

// json reads any value as plain JSON, as AppendJSON writes it.
func (s *scan) json(dst []byte, n *node, depth int) ([]byte, error) {
	if depth > maxScanDepth {
		return dst, undecodable("nested too deep")
	}
	switch n.kind {
	case kindNull:
		return append(dst, "null"...), nil
	case kindUnion:
		i, err := s.index(len(n.branches))
		if err != nil {
			return dst, err
		}
		return s.json(dst, n.branches[i], depth+1)
	case kindRecord:
		dst = append(dst, '{')
		s.path = append(s.path, step{})
		for i := range n.fields {
			f := &n.fields[i]
			s.path[len(s.path)-1] = step{name: f.name}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(appendString(dst, f.name), ':')
			var err error
			if dst, err = s.json(dst, f.node, depth+1); err != nil {
				return dst, err
			}
		}
		s.path = s.path[:len(s.path)-1]
		return append(dst, '}'), nil
	case kindArray:
		dst = append(dst, '[')
		s.path = append(s.path, step{})
		err := s.blocks(func(i int) (err error) {
			s.path[len(s.path)-1] = step{index: i}
			if i > 0 {
				dst = append(dst, ',')
			}
			dst, err = s.json(dst, n.items, depth+1)
			return s.bounded(dst, err)
		})
		if err != nil {
			return dst, err
		}
		s.path = s.path[:len(s.path)-1]
		return append(dst, ']'), nil
	case kindMap:
		return s.object(dst, n, depth)
	default:
		return s.scalar(dst, n)
	}
}

func (s *scan) bounded(dst []byte, err error) error {
	if err == nil && len(dst) > maxScanJSON {
		return s.fail(fmt.Sprintf("over %d bytes as JSON", maxScanJSON))
	}
	return err
}

// blocks calls item for each item of an array or map, which come in blocks.
func (s *scan) blocks(item func(i int) error) error {
	for i := 0; ; {
		n, err := s.long()
		if err != nil || n == 0 {
			return err
		}
		if n < 0 { // the block's size in bytes follows
			if _, err := s.long(); err != nil {
				return err
			}
			n = -n
		}
		if n < 0 {
			return undecodable("number out of range")
		}
		for ; n > 0; n-- {
			from := s.at
			if err := item(i); err != nil {
				return err
			}
			if i++; s.at == from {
				if s.empty++; s.empty > maxEmpty {
					return undecodable("too many items without bytes")
				}
			}
		}
	}
}

// object reads a map. Of two values under one key the last one counts.
func (s *scan) object(dst []byte, n *node, depth int) ([]byte, error) {
	type entry struct {
		key      string
		from, to int
	}
	var entries []entry
	start := len(dst)
	s.path = append(s.path, step{index: anyKey})
	err := s.blocks(func(int) error {
		key, err := s.text()
		if err != nil {
			return err
		}
		from := len(dst)
		dst, err = s.json(dst, n.items, depth+1)
		entries = append(entries, entry{key, from - start, len(dst) - start})
		return s.bounded(dst, err)
	})
	if err != nil {
		return dst, err
	}
	s.path = s.path[:len(s.path)-1]
	values := slices.Clone(dst[start:])
	slices.SortStableFunc(entries, func(a, b entry) int { return strings.Compare(a.key, b.key) })
	dst = append(dst[:start], '{')
	for i, e := range entries {
		if i+1 < len(entries) && entries[i+1].key == e.key {
			continue
		}
		if len(dst) > start+1 {
			dst = append(dst, ',')
		}
		dst = append(appendString(dst, e.key), ':')
		dst = append(dst, values[e.from:e.to]...)
	}
	return append(dst, '}'), nil
}

// scalar reads what is neither null, union, record, array nor map.
func (s *scan) scalar(dst []byte, n *node) ([]byte, error) {
	switch n.logical {
	case logicalDecimal, logicalBigDecimal:
		text, err := s.decimal(n)
		return appendString(dst, text), err
	case logicalUUID:
		text, err := s.textOf(n)
		return appendString(dst, text), err
	case logicalDuration:
		return s.duration(dst)
	case logicalNone:
	default:
		i, err := s.integer(n)
		if err != nil {
			return dst, err
		}
		return appendInstant(dst, n, i), nil
	}
	switch n.kind {
	case kindBool:
		v, err := s.boolean()
		return strconv.AppendBool(dst, v), err
	case kindInt, kindLong:
		v, err := s.integer(n)
		return strconv.AppendInt(dst, v, 10), err
	case kindFloat, kindDouble:
		v, err := s.float(n)
		bits := 64
		if n.kind == kindFloat {
			bits = 32
		}
		return appendFloat(dst, v, bits), err
	case kindBytes, kindFixed:
		v, err := s.bytesOf(n)
		dst = append(dst, '"')
		return append(base64.StdEncoding.AppendEncode(dst, []byte(v)), '"'), err
	default:
		v, err := s.textOf(n)
		return appendString(dst, v), err
	}
}

// appendInstant writes a date or time as AppendJSON does.
func appendInstant(dst []byte, n *node, i int64) []byte {
	switch n.logical {
	case logicalTime:
		dst, _ = appendScalar(dst, n, time.Duration(i)*time.Duration(n.unit))
	case logicalDate:
		dst, _ = appendTime(dst, n, time.Unix(i*secondsPerDay, 0))
	default:
		dst, _ = appendTime(dst, n, fromEpoch(i, n.unit))
	}
	return dst
}

func (s *scan) duration(dst []byte) ([]byte, error) {
	b, err := s.take(12, "fixed")
	if err != nil {
		return dst, err
	}
	part := func(i int) uint32 {
		return uint32(b[i]) | uint32(b[i+1])<<8 | uint32(b[i+2])<<16 | uint32(b[i+3])<<24
	}
	dst, _ = appendScalar(dst, &node{logical: logicalDuration},
		avro.Duration{Months: part(0), Days: part(4), Milliseconds: part(8)})
	return dst, nil
}
