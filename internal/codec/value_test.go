package codec_test

import (
	"errors"
	"fmt"
	"math"
	"testing"
	"time"

	"firehose/internal/codec"
	"firehose/schemas"
)

func TestKeyVersionAndTime(t *testing.T) {
	s := orders(t).Latest()
	dynamic := map[string]any{"order_id": "o-000000042", "version": int64(3), "updated_at": time.UnixMicro(852163200123456).UTC()}
	for _, tc := range []struct {
		name string
		v    any
	}{
		{"struct", anOrder()},
		{"map", dynamic},
		{"pointer to a map in an any", func() *any { var v any = dynamic; return &v }()},
		{"raw time", map[string]any{"order_id": "o-000000042", "version": 3, "updated_at": int64(852163200123456)}},
		{"embedded", &struct {
			*schemas.Order
			Note int `avro:"-"`
		}{Order: anOrder()}},
		{"embedded by value", &struct {
			Note int `avro:"-"`
			schemas.Order
		}{Order: *anOrder()}},
		{"of other names", &struct {
			At      *time.Time `avro:"updated_at"`
			Version revision   `avro:"version"`
			ID      orderID    `avro:"order_id"`
		}{At: &anOrder().UpdatedAt, Version: 3, ID: "o-000000042"}},
		{"of other widths", &struct {
			Version uint16 `avro:"version"`
			At      int64  `avro:"updated_at"`
			ID      string `avro:"order_id"`
		}{At: 852163200123456, Version: 3, ID: "o-000000042"}},
	} {
		t.Run(tc.name, func(t *testing.T) {
			fields := codec.FieldsOf(s)
			for range 2 { // the second time the type is known
				if got, err := fields.Key(tc.v); got != "o-000000042" || err != nil {
					t.Errorf("key: got %q, %v", got, err)
				}
				if got, err := fields.Version(tc.v); got != 3 || err != nil {
					t.Errorf("version: got %d, %v", got, err)
				}
				got, ok, err := fields.Time(tc.v)
				if !got.Equal(time.UnixMicro(852163200123456)) || !ok || err != nil {
					t.Errorf("time: got %v, %v, %v", got, ok, err)
				}
			}
		})
	}
}

type (
	orderID  string
	revision int64
)

func TestNumericKeyAndNoTime(t *testing.T) {
	s, err := schemas.Parse(`{"type":"record","name":"Tick","firehose":{"topic":"x.ticks","kind":"fact","key":"n","types":["x.tick.seen"]},
		"fields":[{"name":"n","type":"int"}]}`, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := codec.FieldsOf(s).Key(map[string]any{"n": int32(-7)}); got != "-7" || err != nil {
		t.Errorf("got %q, %v, want -7", got, err)
	}
	if _, ok, err := codec.FieldsOf(s).Time(map[string]any{"n": int32(-7)}); ok || err != nil {
		t.Errorf("got a time, %v, want none", err)
	}
}

func TestKeyAndVersionRefuse(t *testing.T) {
	s := orders(t).Latest()
	fields := codec.FieldsOf(s)
	twice := func(read func() error) error { // the second time the type is known
		first := read()
		if second := read(); fmt.Sprint(first) != fmt.Sprint(second) {
			t.Errorf("got %v, then %v", first, second)
		}
		return first
	}
	key := func(v any) error { return twice(func() error { _, err := fields.Key(v); return err }) }
	version := func(v any) error { return twice(func() error { _, err := fields.Version(v); return err }) }
	for _, tc := range []struct {
		name string
		err  error
		want string
	}{
		{"empty key", key(&schemas.Order{}), "order_id: empty"},
		{"no key", key(map[string]any{}), "order_id: missing"},
		{"key of another type", key(map[string]any{"order_id": 1.5}), "order_id: want a string or a whole number"},
		{"nothing", key(nil), "want a record"},
		{"nil struct", key((*schemas.Order)(nil)), "want a record"},
		{"another struct", key(&struct{ A int }{}), "order_id: the type struct { A int } has no such field"},
		{"no version", version(map[string]any{}), "version: want a whole number"},
		{"negative version", version(&schemas.Order{Version: -1}), "version: want 0 or more"},
		{"in an embedded nil", version(&struct{ *schemas.Order }{}), "version: missing"},
	} {
		if tc.err == nil || tc.err.Error() != tc.want {
			t.Errorf("%s: got %v, want %s", tc.name, tc.err, tc.want)
		}
	}
}

func TestCheckValue(t *testing.T) {
	s := orders(t).Latest().Avro
	order := func(change func(*schemas.Order)) *schemas.Order {
		o := anOrder()
		change(o)
		return o
	}
	bad := "a\x00secret"
	type anything struct {
		Double float64            `avro:"double"`
		Float  *float32           `avro:"float"`
		Text   []byte             `avro:"text"`
		Raw    string             `avro:"raw"`
		Map    map[string]float64 `avro:"map"`
	}
	nan := float32(math.NaN())
	for _, tc := range []struct {
		name  string
		v     any
		other bool // of the schema everything
		want  string
	}{
		{name: "good", v: anOrder()},
		{name: "U+0000", v: order(func(o *schemas.Order) { o.CustomerID = bad }), want: "customer_id: holds U+0000"},
		{name: "U+0000 in an optional", v: order(func(o *schemas.Order) { o.Note = &bad }), want: "note: holds U+0000"},
		{name: "in a line", v: order(func(o *schemas.Order) { o.Lines[2].SKU = "\xff" }), want: "lines[2].sku: invalid UTF-8"},
		{name: "null optional", v: order(func(o *schemas.Order) { o.Note = nil })},
		{name: "NaN", v: &anything{Double: math.NaN()}, other: true, want: "double: is NaN"},
		{name: "infinity", v: &anything{Double: math.Inf(1)}, other: true},
		{name: "NaN behind a pointer", v: &anything{Float: &nan}, other: true, want: "float: is NaN"},
		{name: "text as bytes", v: &anything{Text: []byte(bad)}, other: true, want: "text: holds U+0000"},
		{name: "bytes as text", v: &anything{Raw: bad}, other: true},
		{name: "key of a map", v: &anything{Map: map[string]float64{bad: 1}}, other: true, want: "map[*]: holds U+0000"},
		{name: "value of a map", v: &anything{Map: map[string]float64{"a": math.NaN()}}, other: true, want: "map[*]: is NaN"},
		{name: "dynamic", v: map[string]any{"lines": []any{map[string]any{"sku": "a"}, map[string]any{"sku": bad}}}, want: "lines[1].sku: holds U+0000"},
		{name: "dynamic NaN", v: map[string]any{"double": math.NaN()}, other: true, want: "double: is NaN"},
		{name: "dynamic map", v: map[string]any{"map": map[string]any{"secret": math.NaN()}}, other: true, want: "map[*]: is NaN"},
		{name: "dynamic bytes", v: map[string]any{"raw": []byte(bad)}, other: true},
		{name: "dynamic union", v: map[string]any{"any": map[string]any{"a": bad}}, other: true, want: "any[*]: holds U+0000"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			schema := s
			if tc.other {
				schema = everything
			}
			got := ""
			if err := codec.CheckValue(schema, tc.v); err != nil {
				got = err.Error()
			}
			if got != tc.want {
				t.Errorf("got %q, want %q", got, tc.want)
			}
		})
	}
}

// Whoever adds a version of a schema and forgets the Go type is told which field
// and which type.
func TestFieldThatTheGoTypeLacksIsNamed(t *testing.T) {
	type line struct {
		SKU      string `avro:"sku"`
		Quantity int32  `avro:"quantity"`
	}
	type old struct {
		ID string `avro:"order_id"`
	}
	type short struct {
		*schemas.Order
		Lines []line `avro:"lines"`
	}
	for _, tc := range []struct {
		v    any
		want string
	}{
		{&old{ID: "o-1"}, "version: Go type codec_test.old has no such field"},
		{&short{Order: anOrder(), Lines: []line{{SKU: "sku-1", Quantity: 1}}}, "lines.unit_price_cents: Go type codec_test.line has no such field"},
	} {
		_, err := codec.NewEncoder(orders(t).Latest(), 1).AppendEncode(nil, tc.v)
		var field *codec.FieldError
		if !errors.As(err, &field) || err.Error() != tc.want {
			t.Errorf("got %v, want %s", err, tc.want)
		}
	}
}
