package codec

import (
	"fmt"
	"math"
	"math/big"
	"strings"
	"unicode/utf8"
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
	digits, negative := strings.CutPrefix(v.String(), "-")
	if !ok || len(digits) > precision {
		return "", s.fail("number out of range for its precision")
	}
	return placePoint(digits, negative, int(scale)), nil
}

// unscaledInt reads a big-endian two's complement, unless it has so many bytes
// that it cannot be of so few digits: many bytes take long to turn into digits.
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
		return new(big.Int), false
	}
	v := new(big.Int).SetBytes([]byte(b))
	if negative {
		v.Sub(v, new(big.Int).Lsh(big.NewInt(1), uint(8*len(b))))
	}
	return v, true
}

// placePoint writes a whole number × 10^-scale.
func placePoint(digits string, negative bool, scale int) string {
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
