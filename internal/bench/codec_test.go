package bench

import (
	"context"
	"testing"
	"time"

	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/schemas"
)

// writer is a registry that knows one schema.
type writer struct{ schema *avro.Schema }

func (w writer) Writer(context.Context, codec.Frame) (*avro.Schema, error) { return w.schema, nil }

func (s side) named(name string) side     { s.name = name; return s }
func (s side) promised(most float64) side { s.most = most; return s }

// BenchmarkEncode makes a record of an order: value, frame and headers.
func BenchmarkEncode(b *testing.B) {
	schema, order := topicOf(b, schemas.TopicOrders).Latest(), orderOf(1)
	encoder, envelope := codec.NewEncoder(schema, 4), envelopeOf(order)
	value, texts, headers := make([]byte, 0, 1024), make([]byte, 0, 1024), make([]kgo.RecordHeader, 0, 16)
	framed := func() {
		if _, err := encoder.AppendEncode(value, order); err != nil {
			b.Fatal(err)
		}
	}
	whole := quick(func() {
		framed()
		event.AppendHeadersTo(headers, texts, &envelope)
	})
	bare := quick(func() {
		if _, err := schema.Avro.AppendEncode(value, order); err != nil {
			b.Fatal(err)
		}
	})
	foreign := goavroCodec(b, schema)
	compare(b, "encode",
		whole.named("value, frame, headers"),
		bare.named("twmb/avro, value only").promised(1.3),
		quick(func() {
			if _, err := foreign.BinaryFromNative(value, toNative(order)); err != nil {
				b.Fatal(err)
			}
		}).named("goavro, value only").promised(1.0/4))
}

// BenchmarkDecode reads a record of an order: headers, frame and value.
func BenchmarkDecode(b *testing.B) {
	schema, order := topicOf(b, schemas.TopicOrders).Latest(), orderOf(1)
	envelope, value := envelopeOf(order), encodedOrder(b, order, 4)
	headers := event.AppendHeaders[kgo.RecordHeader](nil, &envelope)
	decoder := codec.NewDecoder(writer{schema.Avro}, schema.Avro)
	ctx := b.Context()
	var into schemas.Order
	framed := func() {
		frame, err := codec.ParseFrame(value, nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := decoder.Decode(ctx, frame, &into); err != nil {
			b.Fatal(err)
		}
	}
	foreign := goavroCodec(b, schema)
	compare(b, "decode",
		quick(func() {
			if _, err := event.ParseHeaders(headers); err != nil {
				b.Fatal(err)
			}
			framed()
		}).named("headers, frame, value"),
		quick(func() {
			if _, err := schema.Avro.Decode(value[5:], &into); err != nil {
				b.Fatal(err)
			}
		}).named("twmb/avro, value only").promised(1.3),
		quick(func() {
			native, _, err := foreign.NativeFromBinary(value[5:])
			if err != nil {
				b.Fatal(err)
			}
			fromNative(&into, native.(map[string]any))
		}).named("goavro, value only").promised(1.0/4))
}

func goavroCodec(b *testing.B, s *schemas.Schema) *goavro.Codec {
	b.Helper()
	foreign, err := goavro.NewCodec(s.Text)
	if err != nil {
		b.Fatal(err)
	}
	return foreign
}

// toNative is an order as goavro wants it: goavro knows maps, not structs.
func toNative(o *schemas.Order) map[string]any {
	lines := make([]any, len(o.Lines))
	for i, l := range o.Lines {
		lines[i] = map[string]any{
			"sku": l.SKU, "quantity": l.Quantity, "unit_price_cents": l.UnitPriceCents, "amount_cents": l.AmountCents,
		}
	}
	var note any
	if o.Note != nil {
		note = goavro.Union("string", *o.Note)
	}
	return map[string]any{
		"order_id": o.OrderID, "version": o.Version, "customer_id": o.CustomerID, "status": string(o.Status),
		"lines": lines, "units": o.Units, "total_cents": o.TotalCents, "currency": o.Currency, "note": note,
		"placed_at": o.PlacedAt, "updated_at": o.UpdatedAt, "channel": string(o.Channel),
	}
}

// fromNative is the inverse of toNative.
func fromNative(o *schemas.Order, m map[string]any) {
	lines := m["lines"].([]any)
	*o = schemas.Order{
		OrderID: m["order_id"].(string), Version: m["version"].(int64), CustomerID: m["customer_id"].(string),
		Status: schemas.OrderStatus(m["status"].(string)), Lines: o.Lines[:0],
		Units: m["units"].(int32), TotalCents: m["total_cents"].(int64), Currency: m["currency"].(string),
		PlacedAt: m["placed_at"].(time.Time), UpdatedAt: m["updated_at"].(time.Time),
		Channel: schemas.Channel(m["channel"].(string)),
	}
	for i := range lines {
		l := lines[i].(map[string]any)
		o.Lines = append(o.Lines, schemas.OrderLine{
			SKU: l["sku"].(string), Quantity: l["quantity"].(int32),
			UnitPriceCents: l["unit_price_cents"].(int64), AmountCents: l["amount_cents"].(int64),
		})
	}
	if note, ok := m["note"].(map[string]any); ok {
		text := note["string"].(string)
		o.Note = &text
	}
}
