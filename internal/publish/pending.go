package publish

import (
	"context"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pending is an event on its way, its memory reused for the next one. Two
// things have to end before it is free: the client's hold on the record and
// the caller's callback; the publisher's lock guards which has.
type pending struct {
	p       *Publisher
	rec     kgo.Record
	promise func(*kgo.Record, error)
	value   []byte // memory of rec.Value
	text    []byte // memory of rec.Key and the headers' values

	topic *topic
	ready *ready
	id    string
	size  int64
	taken time.Duration // since Publisher.start
	doubt uint64        // lost produce requests before it was handed to the client
	done  func(Receipt, error)

	receipt Receipt
	err     error

	next, prev *pending // in the list of flights, or in the queue of calls
	answered   bool
	held       bool // by the client
	called     bool // the callback has returned
}

// keepBytes bounds the memory that a pending keeps for the next event.
const keepBytes = 64 << 10

// recycle gives pd back. Nobody else may hold it.
func (pd *pending) recycle() {
	if cap(pd.value) > keepBytes {
		pd.value = nil
	}
	if cap(pd.text) > keepBytes {
		pd.text = nil
	}
	pd.rec = kgo.Record{Headers: pd.rec.Headers[:0]}
	pd.topic, pd.ready, pd.id, pd.done = nil, nil, "", nil
	pd.receipt, pd.err, pd.size = Receipt{}, nil, 0
	pd.next, pd.prev = nil, nil
	pd.answered, pd.held, pd.called = false, false, false
	pd.p.pool.Put(pd)
}

// room reports ErrFull or ErrClosed without waiting.
func (p *Publisher) room() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.roomFor(0)
}

// roomFor is called with the lock held.
func (p *Publisher) roomFor(size int64) error {
	switch {
	case p.closed:
		return ErrClosed
	case !p.waiters.empty() || p.records >= p.cfg.MaxRecords || p.bytes+size > p.cfg.MaxBytes:
		return ErrFull
	}
	return nil
}

// admit takes a place for the event, waiting for one if it may, and sends the
// event; or it has the rejection called back. When it returns an error the event
// was not taken, and pd is the caller's.
func (p *Publisher) admit(ctx context.Context, pd *pending, done func(Receipt, error), rejected *Error, wait bool) error {
	if rejected != nil {
		rejected.EventID = pd.id
		pd.size = 0
	}
	p.mu.Lock()
	if err := p.roomFor(pd.size); err != nil {
		if err != ErrFull || !wait {
			p.mu.Unlock()
			return err
		}
		w := p.waiters.push(pd.size)
		p.mu.Unlock()
		if err := p.await(ctx, w); err != nil {
			return err
		}
		pd.taken = time.Since(p.start) // flights are in the order they were taken
		p.mu.Lock()                    // the place is the event's already
	} else {
		p.records++
		p.bytes += pd.size
	}
	p.open++
	pd.done = done
	if rejected != nil {
		p.answer(pd, Receipt{}, rejected)
		p.mu.Unlock()
		p.count(rejected)
		return nil
	}
	pd.held = true
	p.flights.push(pd)
	p.mu.Unlock()

	pd.topic.accepted.Inc()
	if p.doubt != nil {
		pd.doubt = p.doubt.Count()
	}
	// Not the caller's context: an event in flight cannot be taken back. Try,
	// because the client's own bounds must never block a caller.
	p.client.TryProduce(context.Background(), &pd.rec, pd.promise)
	return nil
}

// finished is the client's promise. It runs on the client's own goroutine, so it
// must not block.
func (pd *pending) finished(rec *kgo.Record, err error) {
	p := pd.p
	var failure *Error
	var receipt Receipt
	if err == nil {
		receipt = Receipt{Topic: pd.topic.Topic, TopicID: pd.ready.topicID, Partition: rec.Partition, Offset: rec.Offset}
	} else {
		doubtful := p.doubt == nil || p.doubt.Count() != pd.doubt
		failure = &Error{EventID: pd.id, Err: err}
		failure.Outcome, failure.Reason = classify(err, doubtful)
		if isUnknownTopic(err) {
			pd.topic.ready.CompareAndSwap(pd.ready, nil) // it may be another one by now
		}
	}
	topic, taken := pd.topic, pd.taken

	p.mu.Lock()
	pd.held = false
	late := pd.answered
	if !late {
		p.flights.remove(pd)
		if failure != nil {
			p.answer(pd, Receipt{}, failure)
		} else {
			p.answer(pd, receipt, nil)
		}
	} else if pd.called {
		p.release(pd)
	}
	p.mu.Unlock()

	switch {
	case late && failure == nil:
		p.metrics.lateAcknowledged.Inc()
	case late:
		p.metrics.late(failure.Outcome)
	case failure == nil:
		topic.acknowledged.Inc()
		p.metrics.ackSeconds.Observe((time.Since(p.start) - taken).Seconds())
	default:
		p.count(failure)
	}
}

// answer decides the event's outcome, once. Called with the lock held.
func (p *Publisher) answer(pd *pending, r Receipt, failure *Error) {
	pd.answered = true
	pd.receipt = r
	if failure != nil {
		pd.err = failure // never a nil *Error in a non-nil error
	}
	p.calls.push(p, pd)
}

// release gives the event's place away. Called with the lock held, when both
// the client and the callback are done with it.
func (p *Publisher) release(pd *pending) {
	p.records--
	p.bytes -= pd.size
	p.waiters.grant(p)
	pd.recycle()
}
