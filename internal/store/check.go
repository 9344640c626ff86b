package store

import (
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"
)

// ValueError says which column of a record holds what no store can keep. It is
// an ErrRefused and never holds the value.
type ValueError struct {
	Column  string
	Problem string
}

func (e *ValueError) Error() string { return fmt.Sprintf("column %s: %s", e.Column, e.Problem) }

// Is makes errors.Is(err, ErrRefused) hold.
func (e *ValueError) Is(target error) bool { return target == ErrRefused }

// CheckValue refuses, with a ValueError, what one of the stores would refuse or
// bend: another Go type than the column's, nil where it is not nullable, NaN,
// text with U+0000 or that is not UTF-8, times outside the years 1 to 9999,
// malformed decimals and JSON.
func CheckValue(col Column, v any) error {
	if err := CheckType(col, v); err != nil || v == nil {
		return err
	}
	switch col.Type {
	case Decimal:
		if !isDecimal(v.(string)) {
			return &ValueError{col.Name, "malformed decimal"}
		}
	case JSON:
		s := v.(string)
		if !json.Valid([]byte(s)) {
			return &ValueError{col.Name, "malformed JSON"}
		}
		// JSON text may spell U+0000 where raw text cannot hold it.
		if hasEscapedNUL(s) {
			return &ValueError{col.Name, "text contains U+0000"}
		}
	default: // CheckType has said it all
	}
	return nil
}

// CheckType is the part of CheckValue that costs next to nothing, so that a
// store repeats it on every value it is given: all but the syntax of decimals
// and JSON.
func CheckType(col Column, v any) error {
	if v == nil {
		if col.Nullable {
			return nil
		}
		return &ValueError{col.Name, "null in a column that is not nullable"}
	}
	switch col.Type {
	case Text, Decimal, JSON:
		s, ok := v.(string)
		switch {
		case !ok:
			return wrongType(col, v, "string")
		case strings.IndexByte(s, 0) >= 0:
			return &ValueError{col.Name, "text contains U+0000"}
		case !utf8.ValidString(s):
			return &ValueError{col.Name, "text is not valid UTF-8"}
		}
	case Int:
		if _, ok := v.(int64); !ok {
			return wrongType(col, v, "int64")
		}
	case Float:
		f, ok := v.(float64)
		switch {
		case !ok:
			return wrongType(col, v, "float64")
		case math.IsNaN(f):
			return &ValueError{col.Name, "NaN"}
		}
	case Bool:
		if _, ok := v.(bool); !ok {
			return wrongType(col, v, "bool")
		}
	case Bytes:
		if _, ok := v.([]byte); !ok {
			return wrongType(col, v, "[]byte")
		}
	case Timestamp:
		t, ok := v.(time.Time)
		if !ok {
			return wrongType(col, v, "time.Time")
		}
		if y := t.UTC().Year(); y < 1 || y > 9999 {
			return &ValueError{col.Name, "time outside the years 1 to 9999"}
		}
	default:
		return &ValueError{col.Name, fmt.Sprintf("unknown column type %d", col.Type)}
	}
	return nil
}

func wrongType(col Column, v any, want string) error {
	return &ValueError{col.Name, fmt.Sprintf("is a Go %T, want %s", v, want)}
}

// isDecimal reports whether s is an optional minus, digits, and optionally a
// point and more digits, without leading noughts or a minus before nothing: the
// one form in which a number type gives back what it was given.
func isDecimal(s string) bool {
	digits, minus := strings.CutPrefix(s, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	return isDigits(whole) && (!point || isDigits(fraction)) &&
		(whole == "0" || whole[0] != '0') && (!minus || strings.Trim(digits, "0.") != "")
}

func isDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// hasEscapedNUL reports whether valid JSON spells U+0000 as \u0000, which
// PostgreSQL's jsonb refuses. A backslash that is itself escaped does not count.
func hasEscapedNUL(s string) bool {
	for {
		i := strings.IndexByte(s, '\\')
		if i < 0 || i+1 >= len(s) {
			return false
		}
		if strings.HasPrefix(s[i:], `\u0000`) {
			return true
		}
		s = s[i+2:]
	}
}
