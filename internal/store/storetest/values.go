package storetest

import (
	"math"
	"strings"
	"testing"
	"time"

	"firehose/internal/store"
)

// everything is a table with a column of each type.
func everything(nullable bool) *store.Table {
	column := func(name string, t store.Type) store.Column {
		return store.Column{Name: name, Type: t, Nullable: nullable}
	}
	return &store.Table{
		Name: "everything", Kind: store.Rows,
		Key: []store.Column{{Name: "id", Type: store.Text}, {Name: "n", Type: store.Int}},
		Columns: []store.Column{
			column("a_text", store.Text), column("order", store.Int), column("a_float", store.Float), column("a_bool", store.Bool),
			column("a_bytes", store.Bytes), column("a_time", store.Timestamp), column("a_decimal", store.Decimal), column("a_json", store.JSON),
		},
	}
}

func plain() []any {
	return []any{"text", int64(1), 1.5, true, []byte("bytes"), moment, "1.50", `{"a":1}`}
}

func testValuesKept(t *testing.T, open Opener) {
	kept := []struct {
		name   string
		column string
		value  any
		want   string
	}{
		{"empty text", "a_text", "", ""},
		{"text of all planes", "a_text", "é€😀'\"\\\n", "é€😀'\"\\\n"},
		{"long text", "a_text", strings.Repeat("x", 1<<20), strings.Repeat("x", 1<<20)},
		{"largest int", "order", int64(math.MaxInt64), "9223372036854775807"},
		{"smallest int", "order", int64(math.MinInt64), "-9223372036854775808"},
		{"false", "a_bool", false, "0"},
		{"empty bytes", "a_bytes", []byte{}, ""},
		{"nil bytes are empty", "a_bytes", []byte(nil), ""},
		{"first year", "a_time", time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), "0001-01-01T00:00:00.000000Z"},
		{"last year", "a_time", time.Date(9999, 12, 31, 23, 59, 59, 999999999, time.UTC), "9999-12-31T23:59:59.999999Z"},
		{"time elsewhere", "a_time", time.Date(2026, 1, 1, 0, 30, 0, 120, time.FixedZone("", 3600)), "2025-12-31T23:30:00.000000Z"},
		{"decimal with its scale", "a_decimal", "-0.1230", "-0.1230"},
		{"huge decimal", "a_decimal", strings.Repeat("9", 60) + ".5", strings.Repeat("9", 60) + ".5"},
		{"JSON null", "a_json", "null", "null"},
	}
	table := everything(false)
	for _, c := range kept {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, open, table)
			values, column := plain(), 0
			for i := range table.Columns {
				if table.Columns[i].Name == c.column {
					column = i
				}
			}
			values[column] = c.value
			if err := store.CheckValue(table.Columns[column], c.value); err != nil {
				t.Errorf("CheckValue: %v", err)
			}
			h.mustApply(rows(table, store.Row{Key: []any{"k", int64(1)}, Values: values, Stamp: stamp(1, "e")}))
			h.want(`SELECT "`+c.column+`" FROM everything`, []string{c.want})
			// Once more is the same row: nothing was bent on the way.
			got := h.mustApply(rows(table, store.Row{Key: []any{"k", int64(1)}, Values: values, Stamp: stamp(1, "f"), Body: []byte("b")}))
			if got.Conflicts != 0 {
				t.Errorf("got %+v, want the same values to be no conflict", got)
			}
		})
	}
	t.Run("floats", func(t *testing.T) {
		for _, f := range []float64{0, math.Copysign(0, -1), 0.1, -1e308, math.SmallestNonzeroFloat64, math.MaxFloat64, math.Inf(1), math.Inf(-1)} {
			h := newHarness(t, open, table)
			values := plain()
			values[2] = f
			h.mustApply(rows(table, store.Row{Key: []any{"k", int64(1)}, Values: values, Stamp: stamp(1, "e")}))
			got := h.mustApply(rows(table, store.Row{Key: []any{"k", int64(1)}, Values: values, Stamp: stamp(1, "f"), Body: []byte("b")}))
			if got.Conflicts != 0 {
				t.Errorf("%v: got %+v, want the same values to be no conflict", f, got)
			}
			h.want(`SELECT count(*) FROM everything WHERE a_float IS NOT NULL`, one(1))
		}
	})
	t.Run("nulls", func(t *testing.T) {
		table := everything(true)
		h := newHarness(t, open, table)
		h.mustApply(rows(table, store.Row{Key: []any{"", int64(0)}, Values: make([]any, 8), Stamp: stamp(1, "e")}))
		h.want(`SELECT * FROM everything`, one("", 0, "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL", "NULL"))
	})
}

func testValuesRefused(t *testing.T, open Opener) {
	cases := []struct {
		name   string
		column int
		value  any
		syntax bool // only CheckValue looks at it
	}{
		{"null", 0, nil, false},
		{"U+0000", 0, "a\x00b", false},
		{"invalid UTF-8", 0, "a\xff", false},
		{"surrogate in UTF-8", 0, "\xed\xa0\x80", false},
		{"int in text", 0, int64(1), false},
		{"bytes in text", 0, []byte("text"), false},
		{"text in int", 1, "1", false},
		{"float in int", 1, 1.0, false},
		{"Go int", 1, 1, false},
		{"NaN", 2, math.NaN(), false},
		{"int in float", 2, int64(1), false},
		{"int in bool", 3, int64(1), false},
		{"text in bytes", 4, "text", false},
		{"text in time", 5, "2026-01-01T00:00:00Z", false},
		{"year 0", 5, time.Date(0, 12, 31, 23, 59, 59, 0, time.UTC), false},
		{"year 10000", 5, time.Date(10000, 1, 1, 0, 0, 0, 0, time.UTC), false},
		{"year 10000 in UTC", 5, time.Date(9999, 12, 31, 23, 30, 0, 0, time.FixedZone("", -3600)), false},
		{"float in decimal", 6, 1.5, false},
		{"U+0000 in JSON", 7, "{\x00}", false},
		{"no decimal", 6, "1e5", true},
		{"empty decimal", 6, "", true},
		{"half a decimal", 6, "1.", true},
		{"plus", 6, "+1", true},
		{"leading nought", 6, "01.5", true},
		{"minus nothing", 6, "-0.00", true},
		{"no JSON", 7, "{", true},
		{"two JSON values", 7, "1 2", true},
		{"escaped U+0000 in JSON", 7, `{"a":"\u0000"}`, true},
	}
	table := everything(false)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			h := newHarness(t, open, table)
			column := table.Columns[c.column]
			err := store.CheckValue(column, c.value)
			h.wantError(err, store.ErrRefused)
			if err == nil || !strings.Contains(err.Error(), column.Name) {
				t.Errorf("error %v does not name column %s", err, column.Name)
			}
			if c.syntax {
				return
			}
			values := plain()
			values[c.column] = c.value
			_, err = h.apply(rows(table, store.Row{Key: []any{"k", int64(1)}, Values: values, Stamp: stamp(1, "e")}))
			h.wantError(err, store.ErrRefused)
			if err == nil || !strings.Contains(err.Error(), column.Name) || !strings.Contains(err.Error(), "everything") {
				t.Errorf("error %v does not name the table and column %s", err, column.Name)
			}
			h.want(`SELECT count(*) FROM firehose_everything`, one(0))
		})
	}
	for name, r := range map[string]store.Row{
		"null key":       {Key: []any{nil, int64(1)}, Values: plain()},
		"short key":      {Key: []any{"k"}, Values: plain()},
		"key of a type":  {Key: []any{"k", "1"}, Values: plain()},
		"short values":   {Key: []any{"k", int64(1)}, Values: plain()[1:]},
		"long values":    {Key: []any{"k", int64(1)}, Values: append(plain(), nil)},
		"no values":      {Key: []any{"k", int64(1)}},
		"U+0000 in keys": {Key: []any{"\x00", int64(1)}, Values: plain()},
	} {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, open, table)
			r.Stamp = stamp(1, "e")
			_, err := h.apply(rows(table, r))
			h.wantError(err, store.ErrRefused)
		})
	}
	t.Run("escaped backslash before u0000", func(t *testing.T) {
		if err := store.CheckValue(table.Columns[7], `{"a":"\\u0000"}`); err != nil {
			t.Errorf("CheckValue: %v", err)
		}
	})
}
