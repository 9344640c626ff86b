package consume

import (
	"context"
	"fmt"

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
				c.cut(i, true)
				break
			}
			b.setAside(f.Class)
		}
	}
}

// setAside writes the claims' failed records to their dead-letter topics and
// waits until that is acknowledged: a position never passes a record before. A
// claim whose dead letter is not acknowledged in time ends there.
func (e *Engine) setAside(ctx context.Context, claims []*claim) error {
	var failed []*Event
	var records []*kgo.Record
	for _, c := range claims {
		for _, ev := range c.events {
			if f := failureOf(ev); f != nil && !ev.aside {
				failed = append(failed, ev)
				records = append(records, e.deadLetter(ev, f))
			}
		}
	}
	if len(failed) == 0 {
		return nil
	}
	errs, err := e.letters.send(ctx, records)
	if err != nil {
		return fmt.Errorf("%w: dead-letter client: %w", ErrMisuse, err)
	}
	refused := map[*Event]error{}
	for i, ev := range failed {
		if errs[i] != nil {
			refused[ev] = errs[i]
			continue
		}
		ev.aside = true
		failpoint.Hit("after-dead-letter")
		f := failureOf(ev)
		e.metrics.setAside(f.Class)
		e.cfg.Log.Warn("record set aside", "group", e.cfg.Group, "topic", ev.From.Topic,
			"partition", ev.From.Partition, "offset", ev.From.Offset, "class", f.Class, "err", f.Err)
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range claims {
		for i, ev := range c.events {
			if err := refused[ev]; err != nil {
				c.wait = fmt.Errorf("dead letter: %w", err)
				c.cut(i, true)
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
