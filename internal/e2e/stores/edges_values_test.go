package stores_test

import (
	"bytes"
	"math"
	"math/big"
	"strings"
	"time"
)

// edge is what one field may be at its limits, or beyond them.
type edge struct {
	field   string
	refused bool
	values  []any
}

func micros(year int, month time.Month, day int) int64 {
	return time.Date(year, month, day, 0, 0, 0, 0, time.UTC).UnixMicro()
}

// days counts from 1970-01-01.
func days(year int, month time.Month, day int) int32 {
	return int32(time.Date(year, month, day, 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// planes is a character of each of Unicode's planes, and those at their ends
// that are none but may be in text.
func planes() string {
	var b strings.Builder
	for plane := rune(0); plane <= 16; plane++ {
		for _, r := range []rune{plane<<16 | 0x0041, plane<<16 | 0xABCD, plane<<16 | 0xFFFE, plane<<16 | 0xFFFF} {
			b.WriteRune(r)
		}
	}
	return b.String()
}

// digits returns the two's complement of a whole number.
func digits(s string) []byte {
	n, _ := new(big.Int).SetString(s, 10)
	bits := n.BitLen()/8*8 + 8
	if n.Sign() < 0 {
		n.Add(n, new(big.Int).Lsh(big.NewInt(1), uint(bits)))
	}
	return n.FillBytes(make([]byte, bits/8))
}

func edges() []edge {
	nines, mib := strings.Repeat("9", 38), strings.Repeat("x", 1<<20)
	var control strings.Builder
	for r := rune(1); r < 0xA0; r++ {
		control.WriteRune(r)
	}
	last := micros(10000, 1, 1) - 1
	infinite, nan := math.Inf(1), math.NaN()
	tooLate := []any{int64(math.MaxInt64), int64(math.MinInt64)}
	return []edge{
		{"bool", false, []any{true, false}},
		{"int", false, []any{int32(math.MinInt32), int32(math.MaxInt32), int32(0), int32(-1)}},
		{"long", false, []any{int64(math.MinInt64), int64(math.MaxInt64), int64(0), int64(-1), int64(1 << 53), int64(1<<53 + 1)}},
		{"float", false, []any{float32(math.MaxFloat32), float32(-math.MaxFloat32), float32(math.SmallestNonzeroFloat32),
			float32(0.1), float32(math.Copysign(0, -1)), float32(infinite), float32(-infinite)}},
		{"float", true, []any{float32(nan)}},
		{"double", false, []any{math.MaxFloat64, -math.MaxFloat64, math.SmallestNonzeroFloat64, 0.1, 1e15, 1e16, 1e21, 123456789012345680.0,
			math.Copysign(0, -1), infinite, -infinite}},
		{"double", true, []any{nan}},
		{"string", false, []any{"", " ", mib, planes(), control.String(), "'\"\\;--", "\\N", "\\.", "e\u0301", "\u00e9", "\ufeff", "NULL", "null"}},
		{"string", true, []any{"\x00", "a\x00b", "\xff", "\xed\xa0\x80", "\xc0\x80"}},
		{"bytes", false, []any{[]byte{}, []byte{0}, bytes.Repeat([]byte{0, 0xff}, 1<<19), []byte(`\x00`)}},
		{"enum", false, []any{"A", "B"}},
		{"fixed", false, []any{[]byte{0, 0}, []byte{0xff, 0xff}}},
		{"decimal", false, []any{digits("0"), digits(nines), digits("-" + nines), digits("1"), digits("-1"), digits("10000000000"),
			unhex("0000000000000001"), unhex("ffffffffffffffff")}},
		{"decimal", true, []any{digits("1" + nines), digits("-1" + nines), bytes.Repeat([]byte{0x7f}, 1000)}},
		{"uuid", false, []any{"00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"}},
		{"ts_millis", false, []any{micros(1, 1, 1) / 1000, last / 1000, int64(0), int64(-1), micros(1969, 12, 31) / 1000}},
		{"ts_millis", true, []any{micros(1, 1, 1)/1000 - 1, last/1000 + 1}},
		{"ts_millis", true, tooLate},
		{"ts_micros", false, []any{micros(1, 1, 1), last, int64(0), int64(-1), micros(2000, 2, 29), micros(1582, 10, 10), micros(1900, 2, 28)}},
		{"ts_micros", true, []any{micros(1, 1, 1) - 1, last + 1}},
		{"ts_micros", true, tooLate},
		{"ts_nanos", false, []any{int64(math.MaxInt64), int64(math.MinInt64), int64(0), int64(-1)}},
		{"local_millis", false, []any{micros(1, 1, 1) / 1000, last / 1000, int64(-1)}},
		{"local_millis", true, tooLate},
		{"local_micros", false, []any{micros(1, 1, 1), last, int64(-1)}},
		{"local_micros", true, tooLate},
		{"local_nanos", false, []any{int64(math.MaxInt64), int64(math.MinInt64)}},
		{"date", false, []any{days(1, 1, 1), days(9999, 12, 31), int32(0), int32(-1), days(2000, 2, 29)}},
		{"date", true, []any{int32(math.MaxInt32), int32(math.MinInt32), days(9999, 12, 31) + 1, days(1, 1, 1) - 1}},
		{"time_millis", false, []any{int32(0), int32(86_399_999)}},
		{"time_millis", true, []any{int32(86_400_000), int32(-1), int32(math.MaxInt32)}},
		{"time_micros", false, []any{int64(0), int64(86_399_999_999)}},
		{"time_micros", true, []any{int64(86_400_000_000), int64(-1), int64(math.MaxInt64)}},
		{"duration", false, []any{make([]byte, 12), bytes.Repeat([]byte{0xff}, 12)}},
		{"record", false, []any{nested("", -math.MaxFloat64, math.MaxInt64, 0), nested(planes(), math.SmallestNonzeroFloat64, math.MinInt64, last),
			nested(control.String(), 1e21, 1<<53+1, -1), nested(mib, 0.1, 0, micros(1, 1, 1)),
			nested("", infinite, 0, math.MaxInt64)}},
		{"record", true, []any{nested("a\x00b", 0, 0, 0), nested("\xff", 0, 0, 0), nested("", nan, 0, 0)}},
		{"array", false, []any{[]int64{}, []int64{math.MinInt64, math.MaxInt64}, make([]int64, 10_000)}},
		{"map", false, []any{map[string]string{}, map[string]string{"": "", "b": "1", "a": "2", "\U0010ffff": "\U0010ffff"}}},
		{"map", true, []any{map[string]string{"\x00": ""}, map[string]string{"k": "\x00"}}},
		{"optional", false, []any{nil, "", mib}},
		{"optional", true, []any{"\x00"}},
		{"either", false, []any{nil, int64(math.MaxInt64), "", "text", "1"}},
		{"either", true, []any{"\x00"}},
	}
}
