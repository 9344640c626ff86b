package codec_test

import (
	"testing"

	"github.com/linkedin/goavro/v2"

	"firehose/internal/codec"
	"firehose/schemas"
)

// An order of twelve fields and three lines: ours with the wire format's framing
// included, bare twmb/avro, and goavro.

func BenchmarkEncode(b *testing.B) {
	s := orders(b).Latest()
	order := anOrder()
	b.Run("codec", func(b *testing.B) {
		enc, buf := codec.NewEncoder(s, 1), make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := enc.AppendEncode(buf, order); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("twmb", func(b *testing.B) {
		buf := make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Avro.AppendEncode(buf, order); err != nil {
				b.Fatal(err)
			}
		}
	})
	// From the same order, as a program has to: goavro takes maps.
	b.Run("goavro", func(b *testing.B) {
		foreign, buf := newGoavro(b), make([]byte, 0, 1024)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := foreign.BinaryFromNative(buf, goavroOrder(order)); err != nil {
				b.Fatal(err)
			}
		}
	})
	// The maps for nothing.
	b.Run("goavro-from-maps", func(b *testing.B) {
		foreign, buf, native := newGoavro(b), make([]byte, 0, 1024), goavroOrder(order)
		b.ReportAllocs()
		for b.Loop() {
			if _, err := foreign.BinaryFromNative(buf, native); err != nil {
				b.Fatal(err)
			}
		}
	})
}

func BenchmarkDecode(b *testing.B) {
	s := orders(b).Latest()
	value, err := codec.NewEncoder(s, 1).AppendEncode(nil, anOrder())
	if err != nil {
		b.Fatal(err)
	}
	b.Run("codec", func(b *testing.B) {
		d := codec.NewDecoder(fakeRegistry(b, s.Text), s.Avro)
		var order schemas.Order
		b.ReportAllocs()
		for b.Loop() {
			frame, err := codec.ParseFrame(value, nil)
			if err != nil {
				b.Fatal(err)
			}
			if err := d.Decode(b.Context(), frame, &order); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("twmb", func(b *testing.B) {
		var order schemas.Order
		b.ReportAllocs()
		for b.Loop() {
			if _, err := s.Avro.Decode(value[5:], &order); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("goavro", func(b *testing.B) {
		foreign := newGoavro(b)
		b.ReportAllocs()
		for b.Loop() {
			if _, _, err := foreign.NativeFromBinary(value[5:]); err != nil {
				b.Fatal(err)
			}
		}
	})
}

// What a consumer does with an order besides decoding it.
func BenchmarkCheckValue(b *testing.B) {
	s, order := orders(b).Latest(), anOrder()
	b.ReportAllocs()
	for b.Loop() {
		if err := codec.CheckValue(s.Avro, order); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkFields(b *testing.B) {
	fields, order := codec.FieldsOf(orders(b).Latest()), anOrder()
	b.ReportAllocs()
	for b.Loop() {
		if _, err := fields.Key(order); err != nil {
			b.Fatal(err)
		}
		if _, err := fields.Version(order); err != nil {
			b.Fatal(err)
		}
		if _, _, err := fields.Time(order); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkParseJSON(b *testing.B) {
	s := orders(b).Latest()
	text, err := codec.AppendJSON(nil, s.Avro, anOrder())
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	b.SetBytes(int64(len(text)))
	for b.Loop() {
		if _, err := codec.ParseJSON(s.Avro, text); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkAppendJSON(b *testing.B) {
	s := orders(b).Latest()
	text, err := codec.AppendJSON(nil, s.Avro, anOrder())
	if err != nil {
		b.Fatal(err)
	}
	v, err := codec.ParseJSON(s.Avro, text)
	if err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		if text, err = codec.AppendJSON(text[:0], s.Avro, v); err != nil {
			b.Fatal(err)
		}
	}
}

func newGoavro(b *testing.B) *goavro.Codec {
	b.Helper()
	foreign, err := goavro.NewCodec(orders(b).Latest().Text)
	if err != nil {
		b.Fatal(err)
	}
	return foreign
}

// goavroOrder is an order as goavro wants it.
func goavroOrder(o *schemas.Order) map[string]any {
	lines := make([]any, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = map[string]any{
			"sku": l.SKU, "quantity": l.Quantity, "unit_price_cents": l.UnitPriceCents, "amount_cents": l.AmountCents,
		}
	}
	m := map[string]any{
		"order_id": o.OrderID, "version": o.Version, "customer_id": o.CustomerID, "status": string(o.Status),
		"lines": lines, "units": o.Units, "total_cents": o.TotalCents, "currency": o.Currency, "note": nil,
		"placed_at": o.PlacedAt, "updated_at": o.UpdatedAt, "channel": string(o.Channel),
	}
	if o.Note != nil {
		m["note"] = goavro.Union("string", *o.Note)
	}
	return m
}
