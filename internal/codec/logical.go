package codec

import (
	"encoding/hex"
	"math/big"
	"strings"
	"time"
)

// unit is what a time counts.
type unit int64

const (
	nanos  = unit(time.Nanosecond)
	micros = unit(time.Microsecond)
	millis = unit(time.Millisecond)
	day    = unit(24 * time.Hour)
)

const (
	dateForm      = "2006-01-02"
	timeForm      = "15:04:05.999999999"
	localTimeForm = "2006-01-02T15:04:05.999999999"
)

// fromUnits returns what a whole number stands for, or what is wrong with it.
func (n *node) fromUnits(i int64) (v any, problem string) {
	switch n.logical {
	case logicalDate:
		return time.Unix(i*int64(day)/int64(time.Second), 0).UTC(), ""
	case logicalTime:
		if i < 0 || i >= int64(day)/int64(n.unit) {
			return nil, "time of day out of range"
		}
		return time.Duration(i) * time.Duration(n.unit), ""
	case logicalTimestamp, logicalLocalTimestamp:
		return fromEpoch(i, n.unit), ""
	default:
		if n.kind == kindInt {
			return int32(i), ""
		}
		return i, ""
	}
}

// fromEpoch and toEpoch convert a timestamp; what is finer than the unit is cut
// off.
func fromEpoch(i int64, u unit) time.Time {
	switch u {
	case millis:
		return time.UnixMilli(i).UTC()
	case micros:
		return time.UnixMicro(i).UTC()
	default:
		return time.Unix(0, i).UTC()
	}
}

func toEpoch(t time.Time, u unit) int64 {
	switch u {
	case millis:
		return t.UnixMilli()
	case micros:
		return t.UnixMicro()
	case day:
		s, perDay := t.Unix(), int64(day)/int64(time.Second)
		if s < 0 {
			s -= perDay - 1
		}
		return s / perDay
	default:
		return t.UnixNano()
	}
}

func (n *node) parseTime(text string) (any, bool) {
	form := time.RFC3339Nano
	switch n.logical {
	case logicalDate:
		form = dateForm
	case logicalTime:
		form = timeForm
	case logicalLocalTimestamp:
		form = localTimeForm
	default: // a timestamp: RFC 3339
	}
	t, err := time.Parse(form, text)
	if err != nil {
		return nil, false
	}
	switch {
	case n.logical == logicalDate:
		return t, true
	case n.logical == logicalTime:
		return t.Sub(t.Truncate(24 * time.Hour)).Truncate(time.Duration(n.unit)), true
	case n.unit == nanos && (t.Year() < 1678 || t.Year() > 2261):
		return nil, false // int64 nanoseconds reach no further
	}
	return fromEpoch(toEpoch(t, n.unit), n.unit), true
}

// maxBigDecimal bounds the digits of a decimal whose schema does not.
const maxBigDecimal = 1000

// parseDecimal reads digits with an optional fraction. Exponents are refused:
// few characters would make huge numbers.
func parseDecimal(n *node, text string) (r *big.Rat, problem string) {
	digits, negative := strings.CutPrefix(text, "-")
	whole, fraction, point := strings.Cut(digits, ".")
	if whole == "" || point && fraction == "" || strings.Trim(whole+fraction, "0123456789") != "" {
		return nil, "want plain decimal digits"
	}
	precision, scale := n.precision, n.scale
	if n.logical == logicalBigDecimal {
		precision, scale = maxBigDecimal, len(fraction)
	}
	fraction = strings.TrimRight(fraction, "0")
	if len(fraction) > scale {
		return nil, "too many decimals"
	}
	if len(strings.TrimLeft(whole, "0"))+scale > precision && strings.Trim(whole+fraction, "0") != "" {
		unscaled := strings.TrimLeft(whole+fraction+strings.Repeat("0", scale-len(fraction)), "0")
		if len(unscaled) > precision {
			return nil, "number out of range for its precision"
		}
	}
	if len(text) > maxBigDecimal+2 {
		return nil, "too many digits"
	}
	r, ok := new(big.Rat).SetString(whole + "." + fraction + "0")
	if !ok {
		return nil, "want plain decimal digits"
	}
	if negative {
		r.Neg(r)
	}
	return r, ""
}

// parseUUID reads the 8-4-4-4-12 form.
func parseUUID(text string) (id [16]byte, ok bool) {
	if len(text) != 36 || text[8] != '-' || text[13] != '-' || text[18] != '-' || text[23] != '-' {
		return id, false
	}
	raw, err := hex.DecodeString(text[:8] + text[9:13] + text[14:18] + text[19:23] + text[24:])
	if err != nil {
		return id, false
	}
	return [16]byte(raw), true
}
