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
			if err := e.deadLetters(); err != nil {
				return fmt.Errorf("%w: dead-letter client: %w", ErrMisuse, err)
			}
			letter := e.deadLetter(ev, f)
			ctx, cancel := context.WithTimeout(ctx, e.cfg.DeadLetterTimeout)
			if large(letter) {
				err := e.dltLarge.ProduceSync(ctx, letter).FirstErr()
				ev.aside, ev.asideErr = err == nil, err
				cancel()
				continue
			}
			wg.Add(1)
			e.dlt.Produce(ctx, letter, func(_ *kgo.Record, err error) {
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

// largeLetter is the size from which a dead letter is a batch of its own: far
// below what a client's batch and a topic take.
const largeLetter = 512 << 10

func large(r *kgo.Record) bool {
	size := len(r.Key) + len(r.Value)
	for _, h := range r.Headers {
		size += len(h.Key) + len(h.Value)
	}
	return size > largeLetter
}

// deadLetters makes the clients that write dead letters, at first use: they keep
// the source's partition number, which the group's client would not.
//
// What fitted the source has to fit the dead letters, or its partition would wait
// for ever: a record of all that a topic takes, and one that only fitted because
// it was compressed. So the client for large ones allows whatever could be
// fetched and compresses as well as anybody; its batches have one record each,
// since several together would not fit.
func (e *Engine) deadLetters() error {
	e.dltOnce.Do(func() {
		opts := append([]kgo.Opt{kgo.RecordPartitioner(kgo.ManualPartitioner())}, e.cfg.ClientOptions...)
		if e.dlt, e.dltErr = kafka.NewClient(e.cfg.Kafka, opts...); e.dltErr != nil {
			return
		}
		e.dltLarge, e.dltErr = kafka.NewClient(e.cfg.Kafka, append(opts,
			kgo.ProducerBatchMaxBytes(80<<20), // a fetched batch is at most 64 MiB
			kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.GzipCompression()))...)
	})
	return e.dltErr
}
