package publish_test

import (
	"fmt"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/publish"
	"firehose/schemas"
)

// benchWindow is how many events each benchmark has on their way. Raw franz-go
// sends the same 4,096 records over and over; with a window much larger than
// the processor's cache the others would be measured against memory instead.
const benchWindow = 2_000

func benchOrders() []*schemas.Order {
	orders := make([]*schemas.Order, 4096)
	for i := range orders {
		orders[i] = order(fmt.Sprintf("order-%06d", i), 1)
	}
	return orders
}

// BenchmarkPublish is the whole way of an event: stamped, checked, encoded,
// produced, acknowledged and called back.
func BenchmarkPublish(b *testing.B) {
	cfg := config()
	cfg.MaxRecords = benchWindow
	s := start(b, cfg)
	if err := s.Prepare(b.Context()); err != nil {
		b.Fatal(err)
	}
	orders := benchOrders()
	done := func(_ publish.Receipt, err error) {
		if err != nil {
			b.Error(err)
		}
	}
	var e publish.Event
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		o := orders[i%len(orders)]
		e = publish.Event{Envelope: event.Envelope{Type: schemas.OrderPlaced}, Data: o}
		s.Publish(b.Context(), &e, done)
		i++
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkRawFranz writes the same bytes (value, key, headers) with the same
// client and a promise per record, and does nothing else: what it sends is
// encoded beforehand.
func BenchmarkRawFranz(b *testing.B) {
	s := start(b, config(), kgo.MaxBufferedRecords(benchWindow))
	topic, _ := schemas.Shop().Topic(schemas.TopicOrders)
	id, err := s.schemas.Lookup(b.Context(), topic.Latest())
	if err != nil {
		b.Fatal(err)
	}
	encoder := codec.NewEncoder(topic.Latest(), id)
	orders := benchOrders()
	records := make([]kgo.Record, len(orders))
	for i, o := range orders {
		value, err := encoder.AppendEncode(nil, o)
		if err != nil {
			b.Fatal(err)
		}
		envelope := event.Envelope{
			ID: event.NewID(), Source: "/service/test", Type: schemas.OrderPlaced, Time: o.UpdatedAt, Subject: o.OrderID,
			DataSchema: s.schemas.Address(id), Sequence: 1, HasSequence: true,
		}
		records[i] = kgo.Record{
			Topic: topic.Topic, Key: []byte(o.OrderID), Value: value,
			Headers: event.AppendHeaders[kgo.RecordHeader](nil, &envelope),
		}
	}
	var all sync.WaitGroup
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			b.Error(err)
		}
		all.Done()
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		all.Add(1)
		r := records[i%len(records)] // a record of its own, as the client wants
		s.client.Produce(b.Context(), &r, promise)
		i++
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkByHand is what one would write without this package: the same client,
// schema and headers, encoded and produced event by event, with none of the
// checks and no bound but the client's.
func BenchmarkByHand(b *testing.B) {
	s := start(b, config(), kgo.MaxBufferedRecords(benchWindow))
	topic, _ := schemas.Shop().Topic(schemas.TopicOrders)
	id, err := s.schemas.Lookup(b.Context(), topic.Latest())
	if err != nil {
		b.Fatal(err)
	}
	encoder := codec.NewEncoder(topic.Latest(), id)
	orders := benchOrders()
	var all sync.WaitGroup
	promise := func(_ *kgo.Record, err error) {
		if err != nil {
			b.Error(err)
		}
		all.Done()
	}
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		o := orders[i%len(orders)]
		value, err := encoder.AppendEncode(make([]byte, 0, 256), o)
		if err != nil {
			b.Fatal(err)
		}
		text := func(key, value string) kgo.RecordHeader { return kgo.RecordHeader{Key: key, Value: []byte(value)} }
		all.Add(1)
		s.client.Produce(b.Context(), &kgo.Record{
			Topic: topic.Topic, Key: []byte(o.OrderID), Value: value,
			Headers: []kgo.RecordHeader{
				text("ce_specversion", "1.0"), text("ce_id", uuid.Must(uuid.NewV7()).String()),
				text("ce_source", "/service/test"), text("ce_type", schemas.OrderPlaced),
				text("ce_time", o.UpdatedAt.Format(time.RFC3339Nano)), text("ce_subject", o.OrderID),
				text("ce_dataschema", s.schemas.Address(id)), text("ce_sequence", fmt.Sprintf("%020d", o.Version)),
				text("content-type", event.ContentType),
			},
		}, promise)
		i++
	}
	all.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "events/s")
}

// BenchmarkPrepare is what Publish adds before the client: an event that is
// refused for its size, just before it would be sent.
func BenchmarkPrepare(b *testing.B) {
	cfg := config()
	cfg.MaxEventBytes = 64
	s := start(b, cfg)
	if err := s.Prepare(b.Context(), schemas.TopicOrders); err != nil {
		b.Fatal(err)
	}
	orders := benchOrders()
	var e publish.Event
	b.ReportAllocs()
	i := 0
	for b.Loop() {
		e = publish.Event{Envelope: event.Envelope{ID: strconv.Itoa(i), Type: schemas.OrderPlaced}, Data: orders[i%len(orders)]}
		s.Publish(b.Context(), &e, func(publish.Receipt, error) {})
		i++
	}
	if err := s.Flush(b.Context()); err != nil {
		b.Fatal(err)
	}
}
