package publish

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// pending is an event on its way, its memory reused for the next one. Two
// things have to end before it is free: the client's hold on the record and
// the caller's callback.
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
	nth   uint64        // of those handed to the client
	doubt uint64        // the client's doubts before that
	done  func(Receipt, error)

	result   error // the client's
	doubtful bool  // an attempt before the one that failed may have been written

	// What follows is guarded by the publisher's lock, but that receipt and err
	// are the caller's to read once answered.
	receipt    Receipt
	err        error
	next, prev *pending // in a list of flights
	answered   bool
	held       bool // by the client
	called     bool // the callback has returned
}

const (
	// keepBytes bounds the memory that a pending keeps for the next event.
	keepBytes = 64 << 10

	// A spare keeps less: spares stay when nobody publishes any more.
	maxSpares  = 6000
	spareBytes = 2 << 10

	// handful is how many spares are taken at a time.
	handful = 32
)

// spares are pendings for the next events, the last ones given back first: their
// memory is in the processor's cache. What does not fit goes to a sync.Pool, which
// hands over between processors what has lain longest.
type spares struct {
	mu    sync.Mutex
	list  []*pending
	hands sync.Pool // of *[]*pending, so that not every event needs the lock
	pool  sync.Pool // of *pending
}

func (s *spares) take() *pending {
	hand, _ := s.hands.Get().(*[]*pending)
	if hand == nil {
		hand = new([]*pending)
	}
	if len(*hand) == 0 {
		s.mu.Lock()
		from := max(0, len(s.list)-handful)
		*hand = append(*hand, s.list[from:]...)
		clear(s.list[from:])
		s.list = s.list[:from]
		s.mu.Unlock()
	}
	if last := len(*hand) - 1; last >= 0 {
		pd := (*hand)[last]
		*hand = (*hand)[:last]
		s.hands.Put(hand)
		return pd
	}
	s.hands.Put(hand)
	return s.pool.Get().(*pending)
}

func (s *spares) give(pd *pending) {
	if cap(pd.value)+cap(pd.text) <= spareBytes {
		s.mu.Lock()
		if len(s.list) < maxSpares {
			s.list = append(s.list, pd)
			s.mu.Unlock()
			return
		}
		s.mu.Unlock()
	}
	s.pool.Put(pd)
}

// recycle gives pd back. Nobody else may hold it.
func (pd *pending) recycle() {
	if cap(pd.value) > keepBytes {
		pd.value = nil
	}
	clear(pd.rec.Headers) // the texts are the caller's, and may be part of something large
	headers := pd.rec.Headers[:0]
	if cap(pd.text) > keepBytes {
		pd.text, headers = nil, nil
	}
	*pd = pending{p: pd.p, promise: pd.promise, value: pd.value, text: pd.text, rec: kgo.Record{Headers: headers}}
	pd.p.spares.give(pd)
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
		if !errors.Is(err, ErrFull) || !wait {
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
		p.open++
	}
	pd.done = done
	if rejected != nil {
		pd.answered, pd.err = true, rejected
		p.mu.Unlock()
		p.count(rejected)
		p.push(pd, false)
		return nil
	}
	pd.held = true
	p.flights.push(pd)
	p.mu.Unlock()

	pd.topic.accepted.Inc()
	if p.doubt != nil {
		pd.doubt = p.doubt.Count()
	}
	pd.nth = p.handed.Add(1)
	// Not the caller's context: an event in flight cannot be taken back. Try,
	// because the client's own bounds must never block a caller.
	p.client.TryProduce(context.Background(), &pd.rec, pd.promise)
	return nil
}

// finished is the client's promise. It runs on the client's own goroutine, one at
// a time and in a partition's order, so it must not block.
func (pd *pending) finished(_ *kgo.Record, err error) {
	if pd.result = err; err != nil {
		pd.doubtful = pd.p.doubts(pd)
	}
	pd.p.push(pd, true)
}

// doubts reports whether pd, which failed, may be in the log all the same: it may
// have been sent twice, or was with the client when one failed that may have been.
// The client fails what is behind a batch with it; where the batch had been written,
// the leader may take what follows on it. What is handed over later has a sequence
// of its own, and is no part of that.
func (p *Publisher) doubts(pd *pending) bool {
	if p.doubt == nil || p.doubt.Count() != pd.doubt {
		p.tainted = p.handed.Load()
		return true
	}
	return pd.nth <= p.tainted
}

// outcome is what the client's result means: nil when the event was written.
func (pd *pending) outcome() *Error {
	if pd.result == nil {
		return nil
	}
	e := &Error{EventID: pd.id, Err: pd.result}
	e.Outcome, e.Reason = classify(pd.result, pd.doubtful)
	if isUnknownTopic(pd.result) {
		pd.topic.ready.CompareAndSwap(pd.ready, nil) // it may be another one by now
	}
	return e
}

// settle makes c's batch of the items that it took: it decides the outcome of
// each event that the client is done with, unless it was decided before.
func (p *Publisher) settle(c *caller) {
	var failed, late []*Error // rare
	lateAcknowledged := 0
	p.mu.Lock()
	clear(c.batch)
	c.batch = c.batch[:0]
	for _, it := range c.in {
		pd := it.pd
		if !it.finished {
			c.batch = append(c.batch, pd)
			continue
		}
		failure := pd.outcome()
		pd.held = false
		if pd.answered {
			p.late.remove(pd)
			if failure != nil {
				late = append(late, failure)
			} else {
				lateAcknowledged++
			}
			if pd.called {
				p.release(pd)
			}
			continue
		}
		pd.answered = true
		p.flights.remove(pd)
		c.batch = append(c.batch, pd)
		if failure != nil {
			pd.err = failure
			failed = append(failed, failure)
			continue
		}
		pd.receipt = Receipt{
			Topic: pd.topic.Topic, TopicID: pd.ready.topicID,
			Partition: pd.rec.Partition, Offset: pd.rec.Offset,
		}
		pd.topic.acknowledged.Inc()
		p.metrics.ackSeconds.Observe((it.at - pd.taken).Seconds())
	}
	c.freed = 0
	c.done.Store(0)
	c.next.Store(0)
	p.mu.Unlock()

	if lateAcknowledged > 0 {
		p.metrics.late.WithLabelValues(Acknowledged.String()).Add(float64(lateAcknowledged))
	}
	for _, e := range late {
		p.metrics.late.WithLabelValues(e.Outcome.String()).Inc()
	}
	for _, e := range failed {
		p.count(e)
	}
}

// freeDone ends the events whose callback has returned. Called with the lock
// held.
func (p *Publisher) freeDone(c *caller) {
	done := int(c.done.Load())
	for _, pd := range c.batch[c.freed:done] {
		pd.called = true
		p.open--
		if !pd.held {
			p.release(pd)
		}
	}
	c.freed = done
	if p.open == 0 {
		for _, idle := range p.idle {
			close(idle)
		}
		p.idle = nil
	}
}

// release gives the event's place away. Called with the lock held, when both
// the client and the callback are done with it.
func (p *Publisher) release(pd *pending) {
	p.records--
	p.bytes -= pd.size
	p.waiters.grant(p)
	pd.recycle()
}
