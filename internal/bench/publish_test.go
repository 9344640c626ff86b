package bench

import (
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose"
	"firehose/firehosetest"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/schemas"
)

// window is how many events are on their way at once, on either side. With many
// more the one who sends the same few records over and over would be measured
// in the processor's cache and the other one outside it.
const window = 2000

// BenchmarkPublish is the whole way of an event (stamped, checked, encoded,
// produced, acknowledged, called back) against the same client sending the same
// bytes, encoded beforehand.
func BenchmarkPublish(b *testing.B) {
	n := scale(50_000)
	orders := make([]*schemas.Order, 1000)
	for i := range orders {
		orders[i] = orderOf(i)
	}
	compare(b, "publish",
		side{name: "publisher", cost: func() time.Duration { return publishOrders(b, orders, n) }},
		side{name: "raw franz-go, encoded before", cost: func() time.Duration { return produceOrders(b, orders, n) }})
}

func publishOrders(b *testing.B, orders []*schemas.Order, n int) time.Duration {
	cluster := firehosetest.Start(b, schemas.Shop())
	publisher, err := firehose.NewPublisher(firehose.PublisherConfig{
		Schemas: schemas.Shop(), Source: "/service/bench", Brokers: cluster.Brokers(), Registry: cluster.Registry(), MaxRecords: window,
	})
	if err != nil {
		b.Fatal(err)
	}
	var all sync.WaitGroup
	done := func(_ firehose.Receipt, err error) {
		if err != nil {
			b.Error(err)
		}
		all.Done()
	}
	took := perEvent(n, func(i int) {
		all.Add(1)
		publisher.Publish(b.Context(), &firehose.Outgoing{Type: schemas.OrderPlaced, Data: orders[i%len(orders)]}, done)
	}, all.Wait)
	if err := publisher.Close(b.Context()); err != nil {
		b.Error(err)
	}
	return took
}

func produceOrders(b *testing.B, orders []*schemas.Order, n int) time.Duration {
	cluster := firehosetest.Start(b, schemas.Shop())
	client, err := kafka.NewClient(kafka.Config{Brokers: cluster.Brokers()}, kgo.MaxBufferedRecords(window))
	if err != nil {
		b.Fatal(err)
	}
	defer client.Close()
	id := cluster.SchemaID(schemas.TopicOrders)
	records := make([]kgo.Record, len(orders))
	for i, o := range orders {
		envelope := envelopeOf(o)
		records[i] = kgo.Record{
			Topic: schemas.TopicOrders, Key: []byte(o.OrderID), Value: encodedOrder(b, o, id),
			Headers: event.AppendHeaders[kgo.RecordHeader](nil, &envelope),
		}
	}
	var all sync.WaitGroup
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			b.Error(err)
		}
		all.Done()
	}
	return perEvent(n, func(i int) {
		all.Add(1)
		r := records[i%len(records)] // a record of its own, as the client wants
		client.Produce(b.Context(), &r, done)
	}, all.Wait)
}

// perEvent measures n events after a few that warm up connections and caches.
func perEvent(n int, send func(i int), wait func()) time.Duration {
	for i := range window {
		send(i)
	}
	wait()
	start := time.Now()
	for i := range n {
		send(i)
	}
	wait()
	return time.Since(start) / time.Duration(n)
}
