package publish

import (
	"math"
	"testing"

	"github.com/twmb/avro"
	"pgregory.net/rapid"

	"firehose/internal/codec"
)

const everything = `{
  "type": "record", "name": "All", "namespace": "test",
  "fields": [
    {"name": "b", "type": "boolean"}, {"name": "i", "type": "int"}, {"name": "l", "type": "long"},
    {"name": "e", "type": {"type": "enum", "name": "E", "symbols": ["A", "B"]}},
    {"name": "e2", "type": "E"},
    {"name": "x", "type": {"type": "fixed", "name": "X", "size": 4}},
    {"name": "by", "type": "bytes"},
    {"name": "s", "type": "string"}, {"name": "f", "type": "float"}, {"name": "d", "type": "double"},
    {"name": "u", "type": ["null", "string", "double"]},
    {"name": "a", "type": {"type": "array", "items": "string"}},
    {"name": "m", "type": {"type": "map", "values": "double"}},
    {"name": "next", "type": ["null", "test.All"]}
  ]
}`

// On every value that can be encoded the bytes tell what codec.CheckValue tells
// of the value.
func TestDomainAgreesWithCheckValue(t *testing.T) {
	schema := avro.MustParse(everything)
	d := newDomain(schema)
	goodTexts, badTexts := []string{"", "plain", "späť", "\U0010FFFF"}, []string{"\x00", "a\x00b", "\xff", "a\xc3"}
	goodDoubles, badDoubles := []float64{0, 1.5, math.Inf(1), math.Inf(-1), math.Copysign(0, -1)}, []float64{math.NaN()}
	var value func(t *rapid.T, depth int, good bool) map[string]any
	value = func(t *rapid.T, depth int, good bool) map[string]any {
		texts, doubles, unions := rapid.SampledFrom(goodTexts), rapid.SampledFrom(goodDoubles), rapid.SampledFrom([]any{nil, "text", 2.5})
		if !good {
			texts = rapid.SampledFrom(append(goodTexts, badTexts...))
			doubles = rapid.SampledFrom(append(goodDoubles, badDoubles...))
			unions = rapid.SampledFrom([]any{nil, "text", "\x00", 2.5, math.NaN()})
		}
		v := map[string]any{
			"b": rapid.Bool().Draw(t, "b"), "i": rapid.Int32().Draw(t, "i"), "l": rapid.Int64().Draw(t, "l"),
			"e": "A", "e2": "B", "x": []byte{0, 0xff, 0, 1},
			"by": rapid.SliceOfN(rapid.Byte(), 0, 5).Draw(t, "by"),
			"s":  texts.Draw(t, "s"), "f": float32(doubles.Draw(t, "f")), "d": doubles.Draw(t, "d"),
			"u": unions.Draw(t, "u"),
			"m": map[string]any{}, "next": nil,
		}
		items := []any{}
		for range rapid.IntRange(0, 3).Draw(t, "items") {
			items = append(items, texts.Draw(t, "item"))
		}
		v["a"] = items
		for range rapid.IntRange(0, 2).Draw(t, "entries") {
			v["m"].(map[string]any)[texts.Draw(t, "entry")] = doubles.Draw(t, "number")
		}
		if depth < 2 && rapid.Bool().Draw(t, "nested") {
			v["next"] = value(t, depth+1, good)
		}
		return v
	}
	held, refused := 0, 0
	rapid.Check(t, func(t *rapid.T) {
		v := value(t, 0, rapid.Bool().Draw(t, "good"))
		encoded, err := schema.AppendEncode(nil, v)
		if err != nil {
			t.Skip("cannot be encoded")
		}
		want := codec.CheckValue(schema, v) == nil
		if got := d.holds(encoded); got != want {
			t.Fatalf("holds is %v, CheckValue says %v of %#v", got, want, v)
		}
		if want {
			held++
		} else {
			refused++
		}
	})
	if held == 0 || refused == 0 {
		t.Errorf("%d values held and %d refused: want some of both", held, refused)
	}
}

// Bytes that are no value at all are refused, and never panic.
func FuzzDomain(f *testing.F) {
	schema := avro.MustParse(everything)
	d := newDomain(schema)
	f.Add([]byte{})
	f.Add([]byte{0, 0, 0, 0, 2, 1, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0})
	f.Add([]byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01})
	f.Fuzz(func(t *testing.T, b []byte) {
		if len(b) == 0 && d.holds(b) {
			t.Error("nothing is not a value")
		}
		d.holds(b)
	})
}

func BenchmarkDomain(b *testing.B) {
	schema := avro.MustParse(everything)
	d := newDomain(schema)
	encoded, err := schema.AppendEncode(nil, map[string]any{
		"b": true, "i": int32(1), "l": int64(1 << 40), "e": "A", "e2": "B", "x": []byte{1, 2, 3, 4}, "by": []byte("bytes"),
		"s": "some text of usual length", "f": float32(1), "d": 2.0, "u": "text", "a": []any{"one", "two"},
		"m": map[string]any{"k": 1.0}, "next": nil,
	})
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if !d.holds(encoded) {
			b.Fatal("refused")
		}
	}
}
