package consume

import (
	"context"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/deadletter"
	"firehose/internal/failpoint"
	"firehose/internal/kafka"
)

// admit asks each partition's breaker about the records to be set aside, in
// order. Where it trips, the claim ends and the rest is given back.
func (e *Engine) admit(claims []*claim) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range claims {
		b := c.p.breaker
		for i, ev := range c.events {
			f := failureOf(ev)
			if f == nil {
				if !ev.control {
					b.applied()
				}
				continue
			}
			state, ok := b.admit(f.Class)
			if !ok {
				c.trip = state
				c.cut(i)
				break
			}
			b.setAside(f.Class)
		}
	}
}

// cut gives the claim's events from the ith on back to their queue, to be
// decoded again.
func (c *claim) cut(i int) {
	c.p.untake(c.events[i].From.Offset, true)
	c.events = c.events[:i]
}

// setAside writes the claims' failed records to their dead-letter topics and
// waits until that is acknowledged: a position never passes a record before. A
// claim whose dead letter is not acknowledged ends there.
func (e *Engine) setAside(ctx context.Context, claims []*claim) error {
	var wg sync.WaitGroup
	for _, c := range claims {
		for _, ev := range c.events {
			f := failureOf(ev)
			if f == nil || ev.aside {
				continue
			}
			client, err := e.deadLetters()
			if err != nil {
				return fmt.Errorf("%w: dead-letter client: %w", ErrMisuse, err)
			}
			wg.Add(1)
			ctx, cancel := context.WithTimeout(ctx, e.cfg.DeadLetterTimeout)
			client.Produce(ctx, e.deadLetter(ev, f), func(_ *kgo.Record, err error) {
				defer wg.Done()
				defer cancel()
				ev.aside, ev.asideErr = err == nil, err
			})
		}
	}
	wg.Wait()
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range claims {
		for i, ev := range c.events {
			f := failureOf(ev)
			switch {
			case f == nil:
			case ev.aside:
				if ev.told { // an earlier try of the same transaction
					continue
				}
				ev.told = true
				failpoint.Hit("after-dead-letter")
				e.metrics.setAside(f.Class)
				e.cfg.Log.Warn("record set aside", "group", e.cfg.Group, "topic", ev.From.Topic,
					"partition", ev.From.Partition, "offset", ev.From.Offset, "class", f.Class, "err", f.Err)
			default:
				c.wait = fmt.Errorf("dead letter: %w", ev.asideErr)
				c.cut(i)
			}
			if c.wait != nil {
				break
			}
		}
	}
	return nil
}

// deadLetter returns the record to set aside: key, value, headers and partition
// as they were, and why.
func (e *Engine) deadLetter(ev *Event, f *Failure) *kgo.Record {
	headers := deadletter.AppendHeaders(ev.record.Headers, deadletter.Reason{
		Topic: ev.From.Topic, TopicID: ev.From.TopicID, Partition: ev.From.Partition, Offset: ev.From.Offset,
		Group: e.cfg.Group, Deliveries: 1, Class: f.Class, Message: f.Err.Error(),
	})
	return &kgo.Record{
		Topic:     kafka.DeadLetterName(ev.From.Topic, e.cfg.Group),
		Partition: ev.From.Partition,
		Key:       ev.record.Key,
		Value:     ev.record.Value,
		Headers:   headers,
	}
}

// deadLetters returns the client that writes dead letters, made at first use: it
// keeps the source's partition number, which the group's client would not.
func (e *Engine) deadLetters() (*kgo.Client, error) {
	e.dltOnce.Do(func() {
		opts := append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, e.cfg.ClientOptions...)
		e.dlt, e.dltErr = kafka.NewClient(e.cfg.Kafka, opts...)
	})
	return e.dlt, e.dltErr
}
