package codec_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/linkedin/goavro/v2"

	"firehose/internal/codec"
	"firehose/schemas"
)

// fakeRegistry answers GET /schemas/ids/N from a list of texts, N counting from
// 1, and 40403 for what is not in it.
func fakeRegistry(t testing.TB, texts ...string) *codec.Registry {
	t.Helper()
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, req *http.Request) {
		for i, text := range texts {
			if req.URL.Path == fmt.Sprintf("/schemas/ids/%d", i+1) || req.URL.Path == "/schemas/guids/00000000-0000-0000-0000-00000000000"+fmt.Sprint(i+1) {
				_ = json.NewEncoder(w).Encode(map[string]string{"schema": text})
				return
			}
		}
		w.WriteHeader(http.StatusNotFound)
		fmt.Fprint(w, `{"error_code":40403,"message":"Schema not found"}`)
	}))
	t.Cleanup(srv.Close)
	return newRegistry(t, codec.RegistryConfig{URLs: []string{srv.URL}})
}

func newRegistry(t testing.TB, cfg codec.RegistryConfig) *codec.Registry {
	t.Helper()
	r, err := codec.NewRegistry(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(r.Close)
	return r
}

func orders(t testing.TB) *schemas.Topic {
	t.Helper()
	topic, ok := schemas.Shop().Topic("shop.orders")
	if !ok {
		t.Fatal("no topic shop.orders")
	}
	return topic
}

func anOrder() *schemas.Order {
	note := "leave at the door"
	return &schemas.Order{
		OrderID: "o-000000042", Version: 3, CustomerID: "c-000017", Status: schemas.OrderStatusShipped,
		Lines: []schemas.OrderLine{
			{SKU: "sku-001177", Quantity: 1, UnitPriceCents: 1177, AmountCents: 1177},
			{SKU: "sku-001499", Quantity: 2, UnitPriceCents: 1499, AmountCents: 2998},
			{SKU: "sku-000699", Quantity: 12, UnitPriceCents: 699, AmountCents: 8388},
		},
		Units: 15, TotalCents: 12563, Currency: "USD", Note: &note,
		PlacedAt: time.UnixMicro(852076800000000).UTC(), UpdatedAt: time.UnixMicro(852163200123456).UTC(),
		Channel: schemas.ChannelApp,
	}
}

func TestEncodedOrdersDecode(t *testing.T) {
	topic := orders(t)
	r := fakeRegistry(t, topic.Versions[0].Text, topic.Latest().Text)
	want := anOrder()
	value, err := codec.NewEncoder(topic.Latest(), 2).AppendEncode([]byte("before"), want)
	if err != nil {
		t.Fatal(err)
	}
	value, ok := bytes.CutPrefix(value, []byte("before"))
	if !ok {
		t.Fatal("what was in the buffer is gone")
	}
	byHeader := append([]byte{1}, make([]byte, 16)...)
	byHeader[16] = 2
	for _, tc := range []struct {
		name          string
		value, header []byte
	}{
		{name: "by id", value: value},
		{name: "by guid", value: append(bytes.Clone(byHeader), value[5:]...)},
		{name: "by header", value: value[5:], header: byHeader},
	} {
		t.Run(tc.name, func(t *testing.T) {
			frame, err := codec.ParseFrame(tc.value, tc.header)
			if err != nil {
				t.Fatal(err)
			}
			var got schemas.Order
			if err := codec.NewDecoder(r, topic.Latest().Avro).Decode(t.Context(), frame, &got); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(want, &got); diff != "" {
				t.Errorf("want - got +\n%s", diff)
			}
		})
	}
}

func TestOldOrdersAreReadWithDefaults(t *testing.T) {
	topic := orders(t)
	r := fakeRegistry(t, topic.Versions[0].Text, topic.Latest().Text)
	v1, err := codec.ParseJSON(topic.Versions[0].Avro, []byte(`{"order_id":"o-1","version":1,"customer_id":"c-1","status":"PLACED",
		"lines":[{"sku":"s","quantity":1,"unit_price_cents":5,"amount_cents":5}],"units":1,"total_cents":5,"currency":"USD","note":null,
		"placed_at":"1997-01-01T00:00:00Z","updated_at":"1997-01-01T00:00:00Z"}`))
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.NewEncoder(topic.Versions[0], 1).AppendEncode(nil, v1)
	if err != nil {
		t.Fatal(err)
	}
	frame, err := codec.ParseFrame(value, nil)
	if err != nil {
		t.Fatal(err)
	}
	// A value that is used again keeps nothing of what it held.
	got := anOrder()
	if err := codec.NewDecoder(r, topic.Latest().Avro).Decode(t.Context(), frame, got); err != nil {
		t.Fatal(err)
	}
	at := time.Date(1997, 1, 1, 0, 0, 0, 0, time.UTC)
	want := &schemas.Order{
		OrderID: "o-1", Version: 1, CustomerID: "c-1", Status: schemas.OrderStatusPlaced, Currency: "USD", Units: 1, TotalCents: 5,
		Lines: []schemas.OrderLine{{SKU: "s", Quantity: 1, UnitPriceCents: 5, AmountCents: 5}}, PlacedAt: at, UpdatedAt: at,
		Channel: schemas.ChannelUnknown,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}

	var raw any // without a reader's schema: as it was written
	if err := codec.NewDecoder(r, nil).Decode(t.Context(), frame, &raw); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(v1, raw); diff != "" {
		t.Errorf("want - got +\n%s", diff)
	}
}

// Our bytes are anyone's bytes: goavro reads them and writes the same.
func TestGoavroAgrees(t *testing.T) {
	topic := orders(t)
	foreign, err := goavro.NewCodec(topic.Latest().Text)
	if err != nil {
		t.Fatal(err)
	}
	value, err := codec.NewEncoder(topic.Latest(), 1).AppendEncode(nil, anOrder())
	if err != nil {
		t.Fatal(err)
	}
	native, rest, err := foreign.NativeFromBinary(value[5:])
	if err != nil || len(rest) != 0 {
		t.Fatalf("goavro: %v, %d bytes left", err, len(rest))
	}
	back, err := foreign.BinaryFromNative(nil, native)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(back, value[5:]) {
		t.Errorf("goavro writes %x, we write %x", back, value[5:])
	}
}

func TestDecodeRefuses(t *testing.T) {
	topic := orders(t)
	s := topic.Latest()
	r := fakeRegistry(t, s.Text, `{"type":"record","name":"Order","namespace":"shop","fields":[{"name":"order_id","type":"long"}]}`,
		`"string"`, `{"type":"rekord"}`)
	whole, err := codec.NewEncoder(s, 1).AppendEncode(nil, anOrder())
	if err != nil {
		t.Fatal(err)
	}
	d := codec.NewDecoder(r, s.Avro)
	decode := func(t *testing.T, value []byte) error {
		frame, err := codec.ParseFrame(value, nil)
		if err != nil {
			t.Fatal(err)
		}
		return d.Decode(t.Context(), frame, new(schemas.Order))
	}
	t.Run("truncated anywhere", func(t *testing.T) {
		for n := 5; n < len(whole); n++ {
			if err := decode(t, whole[:n]); !errors.Is(err, codec.ErrUndecodable) {
				t.Errorf("%d of %d bytes: got %v, want an ErrUndecodable", n, len(whole), err)
			}
		}
	})
	for _, tc := range []struct {
		name  string
		value []byte
		want  error
		text  string
	}{
		{"trailing bytes", append(bytes.Clone(whole), 0, 0), codec.ErrUndecodable, "undecodable: 2 trailing bytes"},
		{"not in the registry", append([]byte{0, 0, 0, 0, 99}, whole[5:]...), codec.ErrUnknownSchema, "unknown schema: id 99"},
		{"another type of the same name", []byte{0, 0, 0, 0, 2, 2}, codec.ErrIncompatible, "incompatible schema: id 2: "},
		{"another type", []byte{0, 0, 0, 0, 3, 2, 'a'}, codec.ErrIncompatible, "incompatible schema: id 3: "},
		{"registered, but no schema", []byte{0, 0, 0, 0, 4, 2, 'a'}, codec.ErrIncompatible, "incompatible schema: not an Avro schema: "},
	} {
		t.Run(tc.name, func(t *testing.T) {
			for range 2 { // the second answer comes from a cache
				err := decode(t, tc.value)
				if !errors.Is(err, tc.want) || !strings.HasPrefix(err.Error(), tc.text) {
					t.Errorf("got %v, want %s", err, tc.text)
				}
			}
		})
	}
}

// Values of a few bytes that claim to be huge are refused before memory is
// taken for them.
func TestDecoderBombs(t *testing.T) {
	texts := []string{
		`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"null"}}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"long"}}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"map","values":"long"}}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":"bytes"}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":"string"}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":["null","R"]}]}`,
		`{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"R"}}]}`,
	}
	r := fakeRegistry(t, texts...)
	d := codec.NewDecoder(r, nil)
	huge := []byte{0xfe, 0xff, 0xff, 0xff, 0x0f}                                 // 2^31 - 1
	max := []byte{0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01}    // 2^63 - 1
	min := []byte{0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01, 0} // -2^63 and a size
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	for id := range texts {
		for _, payload := range [][]byte{huge, max, min, bytes.Repeat([]byte{2}, 1<<20), append(bytes.Clone(huge), 2, 2, 2)} {
			frame, err := codec.ParseFrame(append(codec.AppendFrame(nil, id+1), payload...), nil)
			if err != nil {
				t.Fatal(err)
			}
			var v any
			if err := d.Decode(t.Context(), frame, &v); !errors.Is(err, codec.ErrUndecodable) {
				t.Errorf("schema %d, %.12x: got %v, want an ErrUndecodable", id+1, payload, err)
			}
		}
	}
	// The same into a typed array.
	var typed struct {
		A []int64 `avro:"a"`
	}
	frame := codec.Frame{ID: 2, Payload: bytes.Repeat([]byte{2}, 1<<20)}
	if err := d.Decode(t.Context(), frame, &typed); !errors.Is(err, codec.ErrUndecodable) {
		t.Errorf("got %v, want an ErrUndecodable", err)
	}
	runtime.ReadMemStats(&after)
	if grown := after.TotalAlloc - before.TotalAlloc; grown > 256<<20 {
		t.Errorf("took %d MiB", grown>>20)
	}
}

// Arrays in blocks of a sensible size, as Java's blocking encoder writes them,
// are arrays like others.
func TestArraysInBlocksDecode(t *testing.T) {
	r := fakeRegistry(t, `{"type":"record","name":"R","fields":[{"name":"a","type":{"type":"array","items":"long"}}]}`)
	var payload []byte
	for range 100 {
		payload = append(payload, 0xff, 0x01)                         // -128: a count with a size behind it
		payload = append(payload, 0x80, 0x02)                         // 128 bytes
		payload = append(payload, bytes.Repeat([]byte{0x0e}, 128)...) // 7s
	}
	payload = append(payload, 0)
	var v struct {
		A []int64 `avro:"a"`
	}
	if err := codec.NewDecoder(r, nil).Decode(t.Context(), codec.Frame{ID: 1, Payload: payload}, &v); err != nil {
		t.Fatal(err)
	}
	if len(v.A) != 12800 || v.A[12799] != 7 {
		t.Errorf("got %d items, want 12800 sevens", len(v.A))
	}
}

func TestEncodeNamesTheFieldThatDoesNotFit(t *testing.T) {
	s := orders(t).Latest()
	order := anOrder()
	order.Status = "secret"
	buf := []byte("before")
	got, err := codec.NewEncoder(s, 1).AppendEncode(buf, order)
	var field *codec.FieldError
	if !errors.As(err, &field) || field.Field != "status" || strings.Contains(err.Error(), "secret") {
		t.Errorf("got %v, want a *FieldError about status that does not repeat it", err)
	}
	if string(got) != "before" {
		t.Errorf("got %q back, want the buffer as it was", got)
	}
}

func TestEncodeDoesNotAllocate(t *testing.T) {
	enc := codec.NewEncoder(orders(t).Latest(), 1)
	order, buf := anOrder(), make([]byte, 0, 1024)
	if n := testing.AllocsPerRun(100, func() {
		if _, err := enc.AppendEncode(buf, order); err != nil {
			t.Fatal(err)
		}
	}); n != 0 {
		t.Errorf("got %v allocations, want none", n)
	}
}

// Any bytes under any of the shop's schemas: a value or an ErrUndecodable, with
// memory in proportion to the bytes, and an error that does not quote them.
func FuzzDecode(f *testing.F) {
	var texts []string
	var shop []*schemas.Schema
	for _, topic := range schemas.Shop().Topics() {
		for _, s := range topic.Versions {
			texts, shop = append(texts, s.Text), append(shop, s)
		}
	}
	texts = append(texts, everything.String(), shapes.String())
	r := fakeRegistry(f, texts...)
	order, err := codec.NewEncoder(orders(f).Latest(), 1).AppendEncode(nil, anOrder())
	if err != nil {
		f.Fatal(err)
	}
	for id := range texts {
		f.Add(uint8(id), order[5:])
		f.Add(uint8(id), []byte{0xfe, 0xff, 0xff, 0xff, 0x0f})
	}
	random := rand.New(rand.NewPCG(3, 4))
	for range 10 {
		v := someShapes(random)
		v.Text, v.Raw, v.Inner.Name, v.Inners, v.Words = "text", []byte("raw"), "name", nil, []string{"a", "b"} // short ones are mutated quickly
		payload, err := shapes.AppendEncode(nil, v)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(uint8(len(texts)-1), payload)
	}
	shaped := codec.NewDecoder(r, shapes)
	untyped := codec.NewDecoder(r, nil)
	typed := codec.NewDecoder(r, orders(f).Latest().Avro)
	f.Fuzz(func(t *testing.T, id uint8, payload []byte) {
		frame := codec.Frame{ID: int(id)%len(texts) + 1, Payload: payload}
		var v any
		err := untyped.Decode(context.Background(), frame, &v)
		if err != nil && !errors.Is(err, codec.ErrUndecodable) {
			t.Fatalf("got %v, want an ErrUndecodable", err)
		}
		if err == nil {
			schema := everything
			switch {
			case frame.ID <= len(shop):
				schema = shop[frame.ID-1].Avro
			case frame.ID == len(texts):
				schema = shapes
			}
			if _, err := codec.AppendJSON(nil, schema, v); err != nil {
				t.Fatalf("decoded, but not to be shown: %v", err)
			}
			_ = codec.CheckValue(schema, v)
		}
		var o schemas.Order
		err = typed.Decode(context.Background(), frame, &o)
		if err != nil && !errors.Is(err, codec.ErrUndecodable) && !errors.Is(err, codec.ErrIncompatible) {
			t.Fatalf("got %v, want an ErrUndecodable or an ErrIncompatible", err)
		}
		if latest := orders(t).Latest(); frame.ID <= len(shop) && shop[frame.ID-1].Text == latest.Text {
			var ours, theirs schemas.Order
			agree(t, typed, latest.Avro, frame.ID, payload, &ours, &theirs)
		}
		if frame.ID == len(texts) {
			var ours, theirs shape
			agree(t, shaped, shapes, frame.ID, payload, &ours, &theirs)
		}
	})
}
