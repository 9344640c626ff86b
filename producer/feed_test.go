package producer_test

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"sync"
	"testing"

	"firehose/internal/publish"
	"firehose/producer"
	"firehose/producer/shop"
)

// logged is one event of a fakeLog.
type logged struct {
	id, eventType, key string
	version            int64
}

// fakeLog is a publisher whose broker is a slice. Answers come from another
// goroutine, in order, as they do from the real one.
type fakeLog struct {
	// outcome decides the nth attempt (from 0) of all; nil acknowledges. An
	// event whose outcome is unknown is not in the log unless wrote says so.
	outcome func(attempt int, e *publish.Event) error
	wrote   func(attempt int) bool
	// onPublish runs on the sender's goroutine, before the event is taken.
	onPublish func(attempt int)

	mu       sync.Mutex
	attempts int
	log      []logged
	acked    map[string]bool

	queue chan func()
	wg    sync.WaitGroup
}

func newFakeLog(t testing.TB) *fakeLog {
	p := &fakeLog{acked: map[string]bool{}, queue: make(chan func(), 1<<15)}
	p.wg.Go(func() {
		for answer := range p.queue {
			answer()
		}
	})
	t.Cleanup(func() {
		close(p.queue)
		p.wg.Wait()
	})
	return p
}

func (p *fakeLog) Publish(ctx context.Context, e *publish.Event, done func(publish.Receipt, error)) {
	p.mu.Lock()
	attempt := p.attempts
	p.attempts++
	p.mu.Unlock()
	if p.onPublish != nil {
		p.onPublish(attempt)
	}
	if ctx.Err() != nil {
		done(publish.Receipt{}, &publish.Error{Outcome: publish.Rejected, Reason: publish.ReasonCanceled, EventID: e.ID, Err: ctx.Err()})
		return
	}
	l := logged{e.ID, e.Type, e.Subject, e.Sequence}
	p.queue <- func() {
		var err error
		if p.outcome != nil {
			err = p.outcome(attempt, e)
		}
		p.mu.Lock()
		if err == nil || p.wrote != nil && p.wrote(attempt) {
			p.log = append(p.log, l)
		}
		if err == nil {
			p.acked[l.id] = true
		}
		p.mu.Unlock()
		done(publish.Receipt{}, err)
	}
}

func unknown(reason string) error {
	return &publish.Error{Outcome: publish.Unknown, Reason: reason, Err: errors.New("the broker is asleep")}
}

func rejected(reason string) error {
	return &publish.Error{Outcome: publish.Rejected, Reason: reason, Err: errors.New("the broker minds")}
}

// dataset returns n events of a synthetic shop as a recorded data set.
func dataset(t testing.TB, n int) producer.Dataset {
	t.Helper()
	s, err := shop.New(shop.Config{Seed: 9, Products: 20, MaxCustomers: 20, MaxOpen: 10})
	if err != nil {
		t.Fatal(err)
	}
	var events []*publish.Event
	for len(events) < n {
		events = append(events, s.Step()...)
	}
	return producer.Dataset{Name: "test", Total: int64(n), Events: func() iter.Seq2[int64, *publish.Event] {
		return func(yield func(int64, *publish.Event) bool) {
			for i, e := range events[:n] {
				if !yield(int64(i), e) {
					return
				}
			}
		}
	}}
}

// recorded returns what a log holds after each event was written once, in order.
func recorded(d producer.Dataset) []logged {
	var all []logged
	for _, e := range d.Events() {
		all = append(all, logged{e.ID, e.Type, e.Subject, e.Sequence})
	}
	return all
}

// inKeyOrder reports the first entry that lies behind a later one of its key.
// Repetitions do not count.
func inKeyOrder(log, order []logged) error {
	at := map[string]int{}
	for i, l := range order {
		at[l.id] = i
	}
	last, seen := map[string]int{}, map[string]bool{}
	for _, l := range log {
		if seen[l.id] {
			continue
		}
		seen[l.id] = true
		if at[l.id] < last[l.key] {
			return fmt.Errorf("%s %s of %s lies behind %s", l.eventType, l.id, l.key, order[last[l.key]].eventType)
		}
		last[l.key] = at[l.id]
	}
	return nil
}
