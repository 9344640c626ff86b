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

// setAside writes the claims' failed records to their dead-letter topics: a
// position never passes a record before that is acknowledged. A claim whose dead
// letters are refused, or not acknowledged at once, ends there; the others are not
// held up.
func (e *Engine) setAside(ctx context.Context, claims []*claim) error {
	rounds := e.newRounds(claims)
	if len(rounds) == 0 {
		return nil
	}
	if err := e.letters.connect(); err != nil {
		return fmt.Errorf("%w: dead-letter client: %w", ErrMisuse, err)
	}
	for _, r := range rounds {
		e.letters.begin(ctx, r)
	}
	await(ctx, rounds)
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, r := range rounds {
		if !r.over {
			r.leave()
		} else if r.err != nil {
			r.c.trip, r.c.wait = "", r.err
			r.c.cut(r.at[r.first], true)
		}
	}
	return nil
}

// asideNow notes a record whose dead letter is acknowledged. The caller holds the
// mutex.
func (e *Engine) asideNow(p *partition, offset int64, f *Failure) {
	if p.aside == nil {
		p.aside = map[int64]bool{}
	}
	p.aside[offset] = true
	failpoint.Hit("after-dead-letter")
	e.metrics.setAside(f.Class)
	e.cfg.Log.Warn("record set aside", "group", e.cfg.Group, "topic", p.id.Topic,
		"partition", p.id.ID, "offset", offset, "class", f.Class, "err", f.Err)
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
