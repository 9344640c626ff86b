package codec

import (
	"encoding/json"
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"firehose/schemas"
)

const everyType = `{"type":"record","name":"Every","namespace":"t","fields":[
 {"name":"n","type":"null"},
 {"name":"b","type":"boolean"},
 {"name":"i","type":"int"},
 {"name":"l","type":"long"},
 {"name":"f","type":"float"},
 {"name":"d","type":"double"},
 {"name":"by","type":"bytes"},
 {"name":"s","type":"string"},
 {"name":"fx","type":{"type":"fixed","name":"F3","size":3}},
 {"name":"en","type":{"type":"enum","name":"E","symbols":["A","B"]}},
 {"name":"ts","type":{"type":"long","logicalType":"timestamp-millis"}},
 {"name":"tu","type":{"type":"long","logicalType":"timestamp-micros"}},
 {"name":"tn","type":{"type":"long","logicalType":"timestamp-nanos"}},
 {"name":"lt","type":{"type":"long","logicalType":"local-timestamp-micros"}},
 {"name":"da","type":{"type":"int","logicalType":"date"}},
 {"name":"tm","type":{"type":"int","logicalType":"time-millis"}},
 {"name":"tt","type":{"type":"long","logicalType":"time-micros"}},
 {"name":"de","type":{"type":"bytes","logicalType":"decimal","precision":9,"scale":2}},
 {"name":"df","type":{"type":"fixed","name":"F4","size":4,"logicalType":"decimal","precision":8,"scale":3}},
 {"name":"bd","type":{"type":"bytes","logicalType":"big-decimal"}},
 {"name":"us","type":{"type":"string","logicalType":"uuid"}},
 {"name":"uf","type":{"type":"fixed","name":"F16","size":16,"logicalType":"uuid"}},
 {"name":"du","type":{"type":"fixed","name":"F12","size":12,"logicalType":"duration"}},
 {"name":"on","type":["null","string"]},
 {"name":"ov","type":["string","null"]},
 {"name":"un","type":["null","string","long"]},
 {"name":"uv","type":["null","string","long"]},
 {"name":"ar","type":{"type":"array","items":{"type":"record","name":"L","fields":[
   {"name":"sku","type":"string"},{"name":"q","type":"double"},{"name":"e","type":"E"},{"name":"at","type":{"type":"long","logicalType":"timestamp-micros"}}]}}},
 {"name":"ma","type":{"type":"map","values":{"type":"bytes","logicalType":"decimal","precision":4,"scale":1}}}
]}`

func everyValue() map[string]any {
	at := time.Date(2024, 2, 29, 13, 14, 15, 123456789, time.UTC)
	return map[string]any{
		"n": nil, "b": true, "i": int32(-7), "l": int64(math.MaxInt64), "f": float32(0.1), "d": 1e300,
		"by": []byte{0, 255}, "s": "é\n\"", "fx": []byte("abc"), "en": "B",
		"ts": at, "tu": at, "tn": at, "lt": at, "da": at.Truncate(24 * time.Hour),
		"tm": 13*time.Hour + time.Millisecond, "tt": 13*time.Hour + time.Microsecond,
		"de": big.NewRat(-5, 100), "df": big.NewRat(12345, 1000), "bd": big.NewRat(1, 8),
		"us": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "uf": [16]byte{1, 2}, "du": avro.Duration{Months: 1, Days: 2, Milliseconds: 3},
		"on": nil, "ov": "x", "un": nil, "uv": int64(5),
		"ar": []any{map[string]any{"sku": "A", "q": 2.0, "e": "A", "at": at}, map[string]any{"sku": "B", "q": -0.5, "e": "B", "at": at}},
		"ma": map[string]any{"z": big.NewRat(-1, 10), "a": big.NewRat(3, 2)},
	}
}

func TestRowReaderReadsEveryType(t *testing.T) {
	s := avro.MustParse(everyType)
	payload, err := s.Encode(everyValue())
	if err != nil {
		t.Fatal(err)
	}
	got := readRow(t, s, payload)
	want := map[string]any{
		"n": nil, "b": true, "i": int64(-7), "l": int64(math.MaxInt64), "f": float64(float32(0.1)), "d": 1e300,
		"by": []byte{0, 255}, "s": "é\n\"", "fx": []byte("abc"), "en": "B",
		"ts": time.Date(2024, 2, 29, 13, 14, 15, 123000000, time.UTC),
		"tu": time.Date(2024, 2, 29, 13, 14, 15, 123456000, time.UTC),
		"tn": "2024-02-29T13:14:15.123456789Z", "lt": "2024-02-29T13:14:15.123456", "da": "2024-02-29",
		"tm": "13:00:00.001", "tt": "13:00:00.000001",
		"de": "-0.05", "df": "12.345", "bd": "0.125",
		"us": "6ba7b810-9dad-11d1-80b4-00c04fd430c8", "uf": "01020000-0000-0000-0000-000000000000",
		"du": `{"months":1,"days":2,"milliseconds":3}`,
		"on": nil, "ov": "x", "un": nil, "uv": "5",
		"ar": `[{"sku":"A","q":2.0,"e":"A","at":"2024-02-29T13:14:15.123456Z"},{"sku":"B","q":-0.5,"e":"B","at":"2024-02-29T13:14:15.123456Z"}]`,
		"ma": `{"a":"1.5","z":"-0.1"}`,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("row (-want +got):\n%s", diff)
	}
}

// What is nested must look as it does wherever else events are shown.
func TestRowReaderWritesJSONAsAppendJSONDoes(t *testing.T) {
	inner := strings.Replace(everyType, `"name":"Every"`, `"name":"Inner"`, 1)
	s := avro.MustParse(`{"type":"record","name":"Outer","namespace":"o","fields":[{"name":"v","type":` + inner + `}]}`)
	payload, err := s.Encode(map[string]any{"v": everyValue()})
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if _, err := s.Decode(payload, &v); err != nil {
		t.Fatal(err)
	}
	whole, err := AppendJSON(nil, s, v)
	if err != nil {
		t.Fatal(err)
	}
	want := strings.TrimSuffix(strings.TrimPrefix(string(whole), `{"v":`), "}")
	if got := readRow(t, s, payload)["v"]; got != want {
		t.Errorf("JSON (-want +got):\n%s", cmp.Diff(want, got))
	}
}

func TestRowReaderRefuses(t *testing.T) {
	record := func(fields string) string { return `{"type":"record","name":"R","fields":[` + fields + `]}` }
	nan := []byte{0, 0, 0, 0, 0, 0, 0xf8, 0x7f}
	tests := []struct {
		name    string
		fields  string
		payload []byte
		field   string // of the FieldError; empty: want ErrUndecodable
	}{
		{"truncated string", `{"name":"s","type":"string"}`, []byte{4, 'a'}, ""},
		{"negative length", `{"name":"s","type":"string"}`, []byte{1}, ""},
		{"trailing bytes", `{"name":"b","type":"boolean"}`, []byte{1, 0}, ""},
		{"int over 32 bits", `{"name":"i","type":"int"}`, []byte{0x80, 0x80, 0x80, 0x80, 0x10}, ""},
		{"long over 64 bits", `{"name":"l","type":"long"}`, []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2}, ""},
		{"enum index", `{"name":"e","type":{"type":"enum","name":"E","symbols":["A"]}}`, []byte{2}, ""},
		{"union index", `{"name":"u","type":["null","int"]}`, []byte{4, 0}, ""},
		{"nulls without end", `{"name":"a","type":{"type":"array","items":"null"}}`, []byte{0xfe, 0xff, 0xff, 0xff, 0x0f, 0}, ""},
		{"most negative block", `{"name":"a","type":{"type":"array","items":"null"}}`,
			[]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 1, 0, 0}, ""},
		{"nested without end", `{"name":"x","type":["null","R"]}`, []byte(strings.Repeat("\x02", 5000) + "\x00"), ""},
		{"NaN", `{"name":"d","type":"double"}`, nan, "d"},
		{"NaN in an array", `{"name":"a","type":{"type":"array","items":"double"}}`, append(append([]byte{2}, nan...), 0), "a[0]"},
		{"U+0000", `{"name":"s","type":"string"}`, []byte{2, 0}, "s"},
		{"U+0000 in a map's key", `{"name":"m","type":{"type":"map","values":"int"}}`, []byte{2, 2, 0, 0, 0}, "m[*]"},
		{"invalid UTF-8", `{"name":"s","type":["null","string"]}`, []byte{2, 2, 0xff}, "s"},
		{"date far away", `{"name":"d","type":{"type":"int","logicalType":"date"}}`, []byte{0xfe, 0xff, 0xff, 0xff, 0x0f}, "d"},
		{"time of day", `{"name":"t","type":{"type":"int","logicalType":"time-millis"}}`, []byte{1}, "t"},
		{"decimal over its precision", `{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":2}}`, []byte{10, 1, 2, 3, 4, 5}, "d"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			r, err := NewRowReader(avro.MustParse(record(tt.fields)))
			if err != nil {
				t.Fatal(err)
			}
			err = r.Read(tt.payload, make([]any, 1), []int{0})
			var field *FieldError
			switch {
			case tt.field == "" && !errors.Is(err, ErrUndecodable):
				t.Errorf("got %v, want ErrUndecodable", err)
			case tt.field != "" && (!errors.As(err, &field) || field.Field != tt.field):
				t.Errorf("got %v, want a FieldError of %s", err, tt.field)
			}
		})
	}
}

func TestRowReaderReadsDefaults(t *testing.T) {
	s := avro.MustParse(`{"type":"record","name":"R","fields":[
		{"name":"key","type":"string"},
		{"name":"n","type":["null","int"],"default":null},
		{"name":"e","type":{"type":"enum","name":"E","symbols":["A","B"]},"default":"B"},
		{"name":"d","type":{"type":"bytes","logicalType":"decimal","precision":4,"scale":2},"default":"\u0001"},
		{"name":"r","type":{"type":"record","name":"In","fields":[{"name":"x","type":"int","default":3}]},"default":{}},
		{"name":"e2","type":"E","default":"A"}]}`)
	r, err := NewRowReader(s)
	if err != nil {
		t.Fatal(err)
	}
	var got []any
	for _, f := range r.Fields() {
		got = append(got, f.Default)
	}
	if diff := cmp.Diff([]any{nil, nil, "B", "0.01", `{"x":3}`, "A"}, got); diff != "" {
		t.Errorf("defaults (-want +got):\n%s", diff)
	}
}

// FuzzRowReader holds the reader against the Avro library: what one of them
// reads the other reads as well, unless no store could keep it.
func FuzzRowReader(f *testing.F) {
	s := avro.MustParse(everyType)
	payload, err := s.Encode(everyValue())
	if err != nil {
		f.Fatal(err)
	}
	f.Add(payload)
	f.Add(payload[:20])
	f.Fuzz(func(t *testing.T, payload []byte) {
		r, err := NewRowReader(s)
		if err != nil {
			t.Fatal(err)
		}
		row, at := make([]any, len(r.Fields())), make([]int, len(r.Fields()))
		for i := range at {
			at[i] = i
		}
		err = r.Read(payload, row, at)
		var v any
		rest, want := s.Decode(payload, &v)
		switch {
		case err == nil && (want != nil || len(rest) != 0):
			t.Fatalf("read what the Avro library refuses: %v, %d bytes left", want, len(rest))
		case errors.Is(err, ErrUndecodable) && want == nil && len(rest) == 0:
			t.Fatalf("refused what the Avro library reads: %v", err)
		case err != nil:
			return
		}
		for i, field := range r.Fields() {
			if field.Form == FormJSON && row[i] != nil && !json.Valid([]byte(row[i].(string))) {
				t.Fatalf("%s: not JSON", field.Name)
			}
		}
	})
}

func readRow(t *testing.T, s *avro.Schema, payload []byte) map[string]any {
	t.Helper()
	r, err := NewRowReader(s)
	if err != nil {
		t.Fatal(err)
	}
	row, at := make([]any, len(r.Fields())), make([]int, len(r.Fields()))
	for i := range at {
		at[i] = i
	}
	if err := r.Read(payload, row, at); err != nil {
		t.Fatal(err)
	}
	m := map[string]any{}
	for i, f := range r.Fields() {
		m[f.Name] = row[i]
	}
	return m
}

func benchOrder(b *testing.B) (*avro.Schema, []byte) {
	topic, _ := schemas.Shop().Topic(schemas.TopicOrders)
	s := topic.Latest().Avro
	now := time.Now()
	line := schemas.OrderLine{SKU: "CD-01177", Quantity: 2, UnitPriceCents: 1177, AmountCents: 2354}
	payload, err := s.Encode(&schemas.Order{OrderID: "o-123456", Version: 3, CustomerID: "c-1234", Status: schemas.OrderStatusPaid,
		Lines: []schemas.OrderLine{line, line, line}, Units: 6, TotalCents: 7062, Currency: "USD", PlacedAt: now, UpdatedAt: now, Channel: schemas.ChannelWeb})
	if err != nil {
		b.Fatal(err)
	}
	return s, payload
}

func BenchmarkRowReader(b *testing.B) {
	s, payload := benchOrder(b)
	r, err := NewRowReader(s)
	if err != nil {
		b.Fatal(err)
	}
	at := make([]int, len(r.Fields()))
	for i := range at {
		at[i] = i
	}
	b.ReportAllocs()
	for b.Loop() {
		if err := r.Read(payload, make([]any, len(at)), at); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowReaderAgainstTyped(b *testing.B) {
	s, payload := benchOrder(b)
	b.ReportAllocs()
	for b.Loop() {
		if _, err := s.Decode(payload, new(schemas.Order)); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRowReaderAgainstMaps(b *testing.B) {
	s, payload := benchOrder(b)
	b.ReportAllocs()
	for b.Loop() {
		var v any
		if _, err := s.Decode(payload, &v); err != nil {
			b.Fatal(err)
		}
		if _, err := AppendJSON(nil, s, v); err != nil {
			b.Fatal(err)
		}
	}
}

var _ Writers = (*Registry)(nil)
