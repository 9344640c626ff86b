package bench

import (
	"context"
	"encoding/binary"
	"fmt"
	"strconv"
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

// BenchmarkEncode makes a record of an order: value, frame and headers.
func BenchmarkEncode(b *testing.B) {
	schema, order := topicOf(b, schemas.TopicOrders).Latest(), orderOf(1)
	encoder, envelope := codec.NewEncoder(schema, 4), envelopeOf(order)
	value, texts, headers := make([]byte, 0, 1024), make([]byte, 0, 1024), make([]kgo.RecordHeader, 0, 16)
	foreign := goavroCodec(b, schema)
	compare(b, "encode",
		side{name: "value, frame, headers", once: func() {
			if _, err := encoder.AppendEncode(value, order); err != nil {
				b.Fatal(err)
			}
			event.AppendHeadersTo(headers, texts, &envelope)
		}},
		side{name: "twmb/avro, value only", most: 1.3, once: func() {
			if _, err := schema.Avro.AppendEncode(value, order); err != nil {
				b.Fatal(err)
			}
		}},
		side{name: "twmb/avro, frame and headers by hand", most: 1.3, once: func() {
			framed := binary.BigEndian.AppendUint32(append(value, 0), 4)
			if _, err := schema.Avro.AppendEncode(framed, order); err != nil {
				b.Fatal(err)
			}
			appendByHand(headers, &envelope)
		}},
		side{name: "goavro, value only", most: 1.0 / 4, once: func() {
			if _, err := foreign.BinaryFromNative(value, toNative(order)); err != nil {
				b.Fatal(err)
			}
		}})
}

// BenchmarkDecode reads a record of an order: headers, frame and value.
func BenchmarkDecode(b *testing.B) {
	schema, order := topicOf(b, schemas.TopicOrders).Latest(), orderOf(1)
	envelope, value := envelopeOf(order), encodedOrder(b, order, 4)
	headers := event.AppendHeaders[kgo.RecordHeader](nil, &envelope)
	decoder := codec.NewDecoder(writer{schema.Avro}, schema.Avro)
	ctx := b.Context()
	var into schemas.Order
	parser := event.Parser{Shared: true} // as the engine has one for each chunk that it decodes
	foreign := goavroCodec(b, schema)
	compare(b, "decode",
		side{name: "headers, frame, value", once: func() {
			var envelope event.Envelope
			if err := event.ParseHeadersTo(&parser, &envelope, headers); err != nil {
				b.Fatal(err)
			}
			frame, err := codec.ParseFrame(value, nil)
			if err != nil {
				b.Fatal(err)
			}
			if err := decoder.Decode(ctx, frame, &into); err != nil {
				b.Fatal(err)
			}
		}},
		side{name: "twmb/avro, value only", most: 1.3, once: func() {
			if _, err := schema.Avro.Decode(value[5:], &into); err != nil {
				b.Fatal(err)
			}
		}},
		side{name: "twmb/avro, frame and headers by hand", most: 1.3, once: func() {
			if _, err := parseByHand(headers); err != nil {
				b.Fatal(err)
			}
			if value[0] != 0 || binary.BigEndian.Uint32(value[1:]) != 4 {
				b.Fatal("another schema")
			}
			if _, err := schema.Avro.Decode(value[5:], &into); err != nil {
				b.Fatal(err)
			}
		}},
		side{name: "goavro, value only", most: 1.0 / 4, once: func() {
			native, _, err := foreign.NativeFromBinary(value[5:])
			if err != nil {
				b.Fatal(err)
			}
			fromNative(&into, native.(map[string]any))
		}},
		side{name: "goavro, frame and headers by hand", most: 1.0 / 4, once: func() {
			if _, err := parseByHand(headers); err != nil {
				b.Fatal(err)
			}
			if value[0] != 0 || binary.BigEndian.Uint32(value[1:]) != 4 {
				b.Fatal("another schema")
			}
			native, _, err := foreign.NativeFromBinary(value[5:])
			if err != nil {
				b.Fatal(err)
			}
			fromNative(&into, native.(map[string]any))
		}})
}

// appendByHand writes the same headers the plain way.
func appendByHand(dst []kgo.RecordHeader, e *event.Envelope) []kgo.RecordHeader {
	return append(dst,
		kgo.RecordHeader{Key: event.HeaderSpecVersion, Value: []byte("1.0")},
		kgo.RecordHeader{Key: event.HeaderID, Value: []byte(e.ID)},
		kgo.RecordHeader{Key: event.HeaderSource, Value: []byte(e.Source)},
		kgo.RecordHeader{Key: event.HeaderType, Value: []byte(e.Type)},
		kgo.RecordHeader{Key: event.HeaderTime, Value: e.Time.AppendFormat(nil, time.RFC3339Nano)},
		kgo.RecordHeader{Key: event.HeaderSubject, Value: []byte(e.Subject)},
		kgo.RecordHeader{Key: event.HeaderDataSchema, Value: []byte(e.DataSchema)},
		kgo.RecordHeader{Key: event.HeaderSequence, Value: fmt.Appendf(nil, "%020d", e.Sequence)},
		kgo.RecordHeader{Key: event.HeaderContentType, Value: []byte(event.ContentType)},
	)
}

// parseByHand reads them the plain way, and checks nothing of what it reads.
func parseByHand(headers []kgo.RecordHeader) (e event.Envelope, err error) {
	for _, h := range headers {
		switch h.Key {
		case event.HeaderID:
			e.ID = string(h.Value)
		case event.HeaderSource:
			e.Source = string(h.Value)
		case event.HeaderType:
			e.Type = string(h.Value)
		case event.HeaderSubject:
			e.Subject = string(h.Value)
		case event.HeaderDataSchema:
			e.DataSchema = string(h.Value)
		case event.HeaderTime:
			e.Time, err = time.Parse(time.RFC3339Nano, string(h.Value))
		case event.HeaderSequence:
			e.Sequence, err = strconv.ParseInt(string(h.Value), 10, 64)
		}
		if err != nil {
			return e, err
		}
	}
	return e, nil
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
