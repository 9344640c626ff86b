package codec_test

import (
	"errors"
	"math"
	"math/big"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/avro"

	"firehose/internal/codec"
)

// everything has each Avro type and logical type once.
var everything = avro.MustParse(`{
  "type": "record", "name": "Everything", "namespace": "test", "fields": [
    {"name": "bool", "type": "boolean"},
    {"name": "int", "type": "int"},
    {"name": "long", "type": "long"},
    {"name": "float", "type": "float"},
    {"name": "double", "type": "double"},
    {"name": "text", "type": "string"},
    {"name": "raw", "type": "bytes"},
    {"name": "four", "type": {"type": "fixed", "name": "Four", "size": 4}},
    {"name": "color", "type": {"type": "enum", "name": "Color", "symbols": ["RED", "GREEN"]}},
    {"name": "list", "type": {"type": "array", "items": {"type": "record", "name": "Line", "fields": [
      {"name": "sku", "type": "string"}, {"name": "n", "type": "int", "default": 1}]}}},
    {"name": "map", "type": {"type": "map", "values": "double"}},
    {"name": "maybe", "type": ["null", "string"], "default": null},
    {"name": "next", "type": ["null", "Everything"], "default": null},
    {"name": "any", "type": ["null", "int", "long", "double", "string", "Color", "Line", {"type": "map", "values": "int"}], "default": null},
    {"name": "day", "type": {"type": "int", "logicalType": "date"}, "default": 0},
    {"name": "at", "type": {"type": "long", "logicalType": "timestamp-micros"}, "default": 0},
    {"name": "at_millis", "type": {"type": "long", "logicalType": "timestamp-millis"}, "default": 0},
    {"name": "at_nanos", "type": {"type": "long", "logicalType": "timestamp-nanos"}, "default": 0},
    {"name": "local", "type": {"type": "long", "logicalType": "local-timestamp-micros"}, "default": 0},
    {"name": "clock", "type": {"type": "int", "logicalType": "time-millis"}, "default": 0},
    {"name": "clock_micros", "type": {"type": "long", "logicalType": "time-micros"}, "default": 0},
    {"name": "price", "type": {"type": "bytes", "logicalType": "decimal", "precision": 6, "scale": 2}, "default": ""},
    {"name": "fixed_price", "type": ["null", {"type": "fixed", "name": "Price", "size": 8, "logicalType": "decimal", "precision": 10, "scale": 3}], "default": null},
    {"name": "big", "type": ["null", {"type": "bytes", "logicalType": "big-decimal"}], "default": null},
    {"name": "id", "type": ["null", {"type": "string", "logicalType": "uuid"}], "default": null},
    {"name": "fixed_id", "type": ["null", {"type": "fixed", "name": "ID", "size": 16, "logicalType": "uuid"}], "default": null},
    {"name": "span", "type": ["null", {"type": "fixed", "name": "Span", "size": 12, "logicalType": "duration"}], "default": null},
    {"name": "tags", "type": {"type": "array", "items": "string"}, "default": ["a", "b"]},
    {"name": "when", "type": ["null", {"type": "long", "logicalType": "timestamp-micros"}], "default": null}
  ]}`)

// least is the shortest JSON of everything.
const least = `{"bool":true,"int":1,"long":2,"float":1.5,"double":2.5,"text":"x","raw":"AQI=","four":"AQIDBA==","color":"RED","list":[],"map":{}}`

// set returns least with a field replaced or added.
func set(field, value string) string {
	name := `"` + field + `":`
	if i := strings.Index(least, name); i >= 0 {
		rest := least[i+len(name):]
		end := strings.IndexAny(rest, ",}")
		if rest[0] == '{' {
			end = strings.IndexByte(rest, '}') + 1
		}
		return least[:i] + name + value + rest[end:]
	}
	return strings.TrimSuffix(least, "}") + "," + name + value + "}"
}

func TestParseJSONGivesWhatDecodingGives(t *testing.T) {
	got, err := codec.ParseJSON(everything, []byte(set("list", `[{"sku":"a","n":2},{"sku":"b"}]`)))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{
		"bool": true, "int": int32(1), "long": int64(2), "float": float32(1.5), "double": 2.5, "text": "x",
		"raw": []byte{1, 2}, "four": []byte{1, 2, 3, 4}, "color": "RED",
		"list": []any{map[string]any{"sku": "a", "n": int32(2)}, map[string]any{"sku": "b", "n": int32(1)}},
		"map":  map[string]any{}, "maybe": nil, "next": nil, "any": nil,
		"day": time.Unix(0, 0).UTC(), "at": time.Unix(0, 0).UTC(), "at_millis": time.Unix(0, 0).UTC(),
		"at_nanos": time.Unix(0, 0).UTC(), "local": time.Unix(0, 0).UTC(),
		"clock": time.Duration(0), "clock_micros": time.Duration(0), "price": new(big.Rat),
		"fixed_price": nil, "big": nil, "id": nil, "fixed_id": nil, "span": nil, "tags": []any{"a", "b"}, "when": nil,
	}
	if diff := cmp.Diff(want, got, values); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
	raw, err := everything.Encode(got)
	if err != nil {
		t.Fatal(err)
	}
	var decoded any
	if _, err := everything.Decode(raw, &decoded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(got, decoded, values); diff != "" {
		t.Errorf("parsed - decoded +\n%s", diff)
	}
}

// values compares what go-cmp cannot look into.
var values = cmp.Options{
	cmp.Comparer(func(a, b *big.Rat) bool { return a.Cmp(b) == 0 }),
	cmp.Comparer(func(a, b float64) bool { return math.Float64bits(a) == math.Float64bits(b) }),
	cmp.Comparer(func(a, b float32) bool { return math.Float32bits(a) == math.Float32bits(b) }),
}

func TestJSONOfEachType(t *testing.T) {
	for _, tc := range []struct {
		field, in string
		want      any
		out       string // when it is not in
	}{
		{field: "int", in: "-2147483648", want: int32(math.MinInt32)},
		{field: "long", in: "9223372036854775807", want: int64(math.MaxInt64)},
		{field: "float", in: "1e-3", want: float32(0.001), out: "0.001"},
		{field: "double", in: "-0.0", want: math.Copysign(0, -1), out: "-0.0"},
		{field: "double", in: "7", want: 7.0, out: "7.0"},
		{field: "double", in: "1.7976931348623157e+308", want: math.MaxFloat64},
		{field: "text", in: `"\"\\\/\b\f\n\r\té😀"`, want: "\"\\/\b\f\n\r\té😀", out: `"\"\\/\u0008\u000c\n\u000d\u0009é😀"`},
		{field: "text", in: `"\ud83d\ude00"`, want: "😀", out: `"😀"`},
		{field: "raw", in: `""`, want: []byte{}},
		{field: "map", in: `{"b":1.0,"a":2.0}`, want: map[string]any{"a": 2.0, "b": 1.0}, out: `{"a":2.0,"b":1.0}`},
		{field: "maybe", in: `"x"`, want: "x"},
		{field: "any", in: `null`, want: nil},
		{field: "any", in: `5`, want: int32(5)},
		{field: "any", in: `5000000000`, want: int64(5000000000)},
		{field: "any", in: `5.0`, want: 5.0},
		{field: "any", in: `"GREEN"`, want: "GREEN"},
		{field: "any", in: `{"sku":"a","n":7}`, want: map[string]any{"test.Line": map[string]any{"sku": "a", "n": int32(7)}}},
		{field: "any", in: `{"a":7}`, want: map[string]any{"map": map[string]any{"a": int32(7)}}},
		{field: "day", in: `"1969-12-31"`, want: time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC)},
		{field: "day", in: `-1`, want: time.Date(1969, 12, 31, 0, 0, 0, 0, time.UTC), out: `"1969-12-31"`},
		{field: "at", in: `"1997-01-01T02:03:04.123456789+02:00"`, want: time.Date(1997, 1, 1, 0, 3, 4, 123456000, time.UTC), out: `"1997-01-01T00:03:04.123456Z"`},
		{field: "at", in: `1700000000000000`, want: time.Unix(1700000000, 0).UTC(), out: `"2023-11-14T22:13:20Z"`},
		{field: "at", in: `-9223372036854775808`, want: time.UnixMicro(math.MinInt64).UTC()},
		{field: "at_millis", in: `"1969-12-31T23:59:59.9999Z"`, want: time.UnixMilli(-1).UTC(), out: `"1969-12-31T23:59:59.999Z"`},
		{field: "at_nanos", in: `"2023-11-14T22:13:20.000000001Z"`, want: time.Unix(1700000000, 1).UTC()},
		{field: "local", in: `"2023-11-14T22:13:20.5"`, want: time.Unix(1700000000, 500000000).UTC()},
		{field: "clock", in: `"23:59:59.999"`, want: 24*time.Hour - time.Millisecond},
		{field: "clock_micros", in: `1`, want: time.Microsecond, out: `"00:00:00.000001"`},
		{field: "price", in: `"-1234.50"`, want: big.NewRat(-12345, 10)},
		{field: "price", in: `12.3`, want: big.NewRat(123, 10), out: `"12.30"`},
		{field: "fixed_price", in: `"1234567.125"`, want: big.NewRat(1234567125, 1000)},
		{field: "big", in: `"0.000001"`, want: big.NewRat(1, 1000000)},
		{field: "id", in: `"8a010203-0405-0607-0809-0a0b0c0d0e0f"`, want: "8a010203-0405-0607-0809-0a0b0c0d0e0f"},
		{field: "fixed_id", in: `"8a010203-0405-0607-0809-0a0b0c0d0e0f"`, want: [16]byte{0x8a, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15}},
		{field: "span", in: `{"days":2,"months":1}`, want: avro.Duration{Months: 1, Days: 2}, out: `{"months":1,"days":2,"milliseconds":0}`},
	} {
		t.Run(tc.field+" "+tc.in, func(t *testing.T) {
			v, err := codec.ParseJSON(everything, []byte(set(tc.field, tc.in)))
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(tc.want, v.(map[string]any)[tc.field], values); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
			raw, err := everything.Encode(v)
			if err != nil {
				t.Fatal(err)
			}
			var decoded any
			if _, err := everything.Decode(raw, &decoded); err != nil {
				t.Fatal(err)
			}
			text, err := codec.AppendJSON(nil, everything, decoded)
			if err != nil {
				t.Fatal(err)
			}
			want := tc.out
			if want == "" {
				want = tc.in
			}
			if !strings.Contains(string(text), `"`+tc.field+`":`+want) {
				t.Errorf("got %s, want %s in it", text, want)
			}
		})
	}
}

func TestParseJSONRefuses(t *testing.T) {
	deep := strings.Repeat(strings.TrimSuffix(least, "}")+`,"next":`, 200) + "null" + strings.Repeat("}", 200)
	for _, tc := range []struct{ name, in, want string }{
		{"nothing", ``, "not JSON: empty"},
		{"space", " \n", "not JSON: empty"},
		{"not JSON", `hello`, "not JSON at byte 0"},
		{"cut off", least[:40], "float: not JSON: ends too early"},
		{"cut off in a text", `{"text":"ab`, "text: not JSON: ends too early"},
		{"text after it", least + ` {}`, "text after the JSON value at byte 131"},
		{"trailing comma", `{"list":[{"sku":"a",}]}`, "list[0]: not JSON at byte 20"},
		{"array", `[]`, "want an object, got an array"},
		{"null", `null`, "want an object, got null"},
		{"unknown field", set("pet", `1`), "pet: unknown field"},
		{"unknown field deep", set("list", `[{"sku":"a"},{"skew":1}]`), "list[1].skew: unknown field"},
		{"unknown field with a strange name", set(`a\nb`, `1`), "?: unknown field"},
		{"missing field", `{"bool":true}`, "int: missing"},
		{"missing field deep", set("list", `[{"n":1}]`), "list[0].sku: missing"},
		{"the same field twice", set("list", `[{"sku":"a","sku":"b"}]`), "list[0].sku: the same field twice"},
		{"the same key twice", set("map", `{"secret":1,"secret":2}`), "map[*]: the same key twice"},
		{"null where it may not be", set("text", `null`), "text: want a string, got null"},
		{"number for a text", set("list", `[{"sku":5}]`), "list[0].sku: want a string, got a number"},
		{"text for a number", set("int", `"1"`), "int: want a whole number, got a string"},
		{"fraction for an int", set("int", `1.5`), "int: want a whole number, got a number that is not whole"},
		{"exponent for an int", set("int", `1e2`), "int: want a whole number, got a number that is not whole"},
		{"int too large", set("int", `2147483648`), "int: number out of range for int"},
		{"long too small", set("long", `-9223372036854775809`), "long: number out of range for long"},
		{"float too large", set("float", `1e39`), "float: number out of range for float"},
		{"double too large", set("double", `1e309`), "double: number out of range for double"},
		{"NaN", set("double", `NaN`), "double: not JSON at byte 51"},
		{"NaN as a text", set("double", `"NaN"`), "double: want a number, got a string"},
		{"infinity", set("double", `-Infinity`), "double: not JSON at byte 52"},
		{"leading zero", set("double", `01`), "double: not JSON at byte 52"},
		{"endless number", set("double", strings.Repeat("1", 5000)), "double: number of 5000 characters"},
		{"boolean as a number", set("bool", `1`), "bool: want true or false, got a number"},
		{"unknown symbol", set("color", `"BLUE"`), "color: unknown symbol, want one of RED, GREEN"},
		{"not base64", set("raw", `"%%"`), "raw: want base64"},
		{"too few bytes", set("four", `"AQI="`), "four: want 4 bytes of base64"},
		{"invalid UTF-8", set("text", "\"a\xffb\""), "text: invalid UTF-8"},
		{"invalid UTF-8 behind an escape", set("text", "\"\\n\xc3\""), "text: invalid UTF-8"},
		{"half a surrogate pair", set("text", `"\ud800x"`), "text: half of a surrogate pair"},
		{"low surrogate", set("text", `"\udc00"`), "text: half of a surrogate pair"},
		{"U+0000", set("text", `"a\u0000b"`), "text: holds U+0000"},
		{"raw U+0000", set("text", "\"a\x00b\""), "text: holds U+0000"},
		{"U+0000 in a key", set("map", `{"\u0000":1}`), "map: holds U+0000"},
		{"control character", set("text", "\"a\nb\""), "text: not JSON at byte 64"},
		{"unknown escape", set("text", `"\x"`), "text: not JSON at byte 64"},
		{"nested too deep", deep, "nested too deep"},
		{"optional of the wrong type", set("maybe", `1`), "maybe: want null or a string, got a number"},
		{"union that nothing fits", set("any", `[]`), "any: want null or a whole number or a whole number or a number or a string or one of RED, GREEN or an object or an object, got an array"},
		{"map of the wrong values", set("map", `{"secret":"x"}`), "map[*]: want a number, got a string"},
		{"no time", set("at", `"yesterday"`), `at: want an RFC 3339 time such as "2006-01-02T15:04:05Z"`},
		{"time without zone", set("at", `"2006-01-02T15:04:05"`), `at: want an RFC 3339 time such as "2006-01-02T15:04:05Z"`},
		{"time of the wrong type", set("at", `true`), `at: want an RFC 3339 time such as "2006-01-02T15:04:05Z", got a boolean`},
		{"nanoseconds too far", set("at_nanos", `"3000-01-01T00:00:00Z"`), `at_nanos: want an RFC 3339 time such as "2006-01-02T15:04:05Z"`},
		{"no such day", set("day", `"2023-02-29"`), `day: want a date such as "2006-01-02"`},
		{"time of day too late", set("clock", `86400000`), "clock: time of day out of range"},
		{"too many decimals", set("price", `"1.234"`), "price: too many decimals"},
		{"decimal too large", set("price", `12345.67`), "price: number out of range for its precision"},
		{"decimal bomb", set("big", `"1e999999999"`), "big: want plain decimal digits"},
		{"no UUID", set("id", `"8a010203"`), "id: want a UUID"},
		{"negative duration", set("span", `{"days":-1}`), "span.days: want a whole number from 0 to 4294967295"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			v, err := codec.ParseJSON(everything, []byte(tc.in))
			var field *codec.FieldError
			if !errors.As(err, &field) {
				t.Fatalf("got %v, %v, want a *FieldError", v, err)
			}
			got := err.Error()
			if tc.name == "nested too deep" {
				got = got[strings.LastIndex(got, ": ")+2:]
			}
			if got != tc.want {
				t.Errorf("got  %s\nwant %s", got, tc.want)
			}
			if strings.Contains(got, "secret") || strings.Contains(got, "BLUE") {
				t.Errorf("the error repeats what was sent: %s", got)
			}
		})
	}
}

// A union of two records that hold each other is read in time that is
// proportional to its text, not to 2^depth.
func TestParseJSONOfAmbiguousUnionsIsBounded(t *testing.T) {
	s := avro.MustParse(`{"type":"record","name":"A","fields":[{"name":"x","type":["null","A",
		{"type":"record","name":"B","fields":[{"name":"x","type":["null","A","B"]},{"name":"y","type":"int","default":0}]}]}]}`)
	in := strings.Repeat(`{"x":`, 60) + "5" + strings.Repeat("}", 60)
	if v, err := codec.ParseJSON(s, []byte(in)); err == nil {
		t.Errorf("got %v, want an error", v)
	}
}

func TestAppendJSONShowsWhatParseJSONRefuses(t *testing.T) {
	v, err := codec.ParseJSON(everything, []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	m := v.(map[string]any)
	m["float"], m["double"], m["text"], m["maybe"] = float32(math.Inf(-1)), math.NaN(), "a\xffb", "\x00"
	got, err := codec.AppendJSON([]byte("> "), everything, m)
	if err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{`> {"bool":true,`, `"float":"-Infinity"`, `"double":"NaN"`, "\"text\":\"a\ufffdb\"", `"maybe":"\u0000"`} {
		if !strings.Contains(string(got), want) {
			t.Errorf("got %s, want %s in it", got, want)
		}
	}
}

func TestAppendJSONNamesTheFieldThatDoesNotFit(t *testing.T) {
	v, err := codec.ParseJSON(everything, []byte(set("list", `[{"sku":"a"}]`)))
	if err != nil {
		t.Fatal(err)
	}
	v.(map[string]any)["list"].([]any)[0].(map[string]any)["sku"] = 5.5
	got, err := codec.AppendJSON(nil, everything, v)
	if want := "list[0].sku: does not fit type string"; err == nil || err.Error() != want {
		t.Errorf("got %s, %v, want %s", got, err, want)
	}
}

// Defaults are copies: what one caller does with its value is not seen by the
// next.
func TestParseJSONDoesNotShareDefaults(t *testing.T) {
	first, err := codec.ParseJSON(everything, []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	first.(map[string]any)["tags"].([]any)[0] = "changed"
	second, err := codec.ParseJSON(everything, []byte(least))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]any{"a", "b"}, second.(map[string]any)["tags"]); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

// Any bytes are a value or a *FieldError. A value survives encoding and
// decoding, and being written as JSON and read again.
func FuzzJSON(f *testing.F) {
	f.Add([]byte(least))
	for field, value := range map[string]string{
		"list": `[{"sku":"a","n":2},{"sku":"b"}]`, "any": `{"sku":"a"}`, "map": `{"a":1e-7}`, "price": `"12.50"`,
		"big": `"1.500"`, "at": `"1997-01-01T00:00:00Z"`, "at_nanos": "1", "clock": `"10:00:00"`, "next": least,
		"span": `{"days":1}`, "id": `"8a010203-0405-0607-0809-0a0b0c0d0e0f"`, "day": `"0000-01-01"`, "text": `"\ud83d\ude00"`,
	} {
		f.Add([]byte(set(field, value)))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		v, err := codec.ParseJSON(everything, data)
		if err != nil {
			var field *codec.FieldError
			if !errors.As(err, &field) {
				t.Fatalf("got %v, want a *FieldError", err)
			}
			return
		}
		if err := codec.CheckValue(everything, v); err != nil {
			t.Fatalf("value outside of the domain: %v", err)
		}
		raw, err := everything.Encode(v)
		if err != nil {
			t.Fatalf("encode %#v: %v", v, err)
		}
		var decoded any
		if rest, err := everything.Decode(raw, &decoded); err != nil || len(rest) != 0 {
			t.Fatalf("decode: %d bytes left, %v", len(rest), err)
		}
		text, err := codec.AppendJSON(nil, everything, decoded)
		if err != nil {
			t.Fatalf("append %#v: %v", decoded, err)
		}
		again, err := codec.ParseJSON(everything, text)
		if err != nil {
			t.Fatalf("parse %s: %v", text, err)
		}
		if diff := cmp.Diff(v, again, values); diff != "" {
			t.Errorf("first - again +\n%s", diff)
		}
	})
}
