package main

import (
	"context"
	"fmt"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose"
	"firehose/internal/kafka"
)

// distinct is how many different events are sent over and over, on either side:
// more than are on their way at once, so that they come from memory, as events do.
const distinct = 20_000

// publishOurs sends n events through the public door: stamped, checked, encoded,
// produced, acknowledged, called back.
func publishOurs(ctx context.Context, s *side) error {
	set, err := contracts()
	if err != nil {
		return err
	}
	publisher, err := firehose.NewPublisher(firehose.PublisherConfig{
		Schemas: set, Source: "/service/peers", Brokers: s.brokers, Registry: []string{s.registry},
		Kafka: firehose.KafkaAccess{Compression: s.compression},
	})
	if err != nil {
		return err
	}
	orders := make([]order, distinct)
	for i := range orders {
		orders[i] = orderEvent(i, 1)
	}
	var all sync.WaitGroup
	var refused atomic.Int64
	done := func(_ firehose.Receipt, err error) {
		if err != nil {
			refused.Add(1)
		}
		all.Done()
	}
	kind := eventType(published)
	err = s.sending(func(i int) {
		all.Add(1)
		publisher.Publish(ctx, &firehose.Outgoing{Type: kind, Data: &orders[i%distinct]}, done)
	}, all.Wait)
	if n := refused.Load(); n > 0 {
		return fmt.Errorf("%d events were not acknowledged", n)
	}
	if err != nil {
		return err
	}
	return publisher.Close(ctx)
}

// publishRaw has the same client, with our settings, send the same records, which
// were encoded before.
func publishRaw(ctx context.Context, s *side) error {
	client, err := kafka.NewClient(kafka.Config{Brokers: s.brokers, Compression: s.compression}, kgo.MaxBufferedRecords(10_000))
	if err != nil {
		return err
	}
	defer client.Close()
	as, err := s.encoding(ctx, published)
	if err != nil {
		return err
	}
	records := make([]kgo.Record, distinct)
	for i := range records {
		o := orderEvent(i, 1)
		r, err := recordOf(published, as, &o, i)
		if err != nil {
			return err
		}
		records[i] = *r
	}
	var all sync.WaitGroup
	var refused atomic.Int64
	done := func(_ *kgo.Record, err error) {
		if err != nil {
			refused.Add(1)
		}
		all.Done()
	}
	err = s.sending(func(i int) {
		all.Add(1)
		r := records[i%distinct] // one of its own, as the client wants
		client.Produce(ctx, &r, done)
	}, all.Wait)
	if n := refused.Load(); n > 0 {
		return fmt.Errorf("%d records were not acknowledged", n)
	}
	return err
}

// sending sends a tenth as a warm-up and then all, from several goroutines, and
// says how long all took.
func (s *side) sending(send func(i int), settle func()) error {
	some := func(events int) {
		var senders sync.WaitGroup
		for k := range s.senders {
			senders.Go(func() {
				for i := k; i < events; i += s.senders {
					send(i)
				}
			})
		}
		senders.Wait()
		settle()
	}
	some(s.events / 10)
	start := time.Now()
	some(s.events)
	return s.say(report{Events: s.events, Seconds: time.Since(start).Seconds()})
}
