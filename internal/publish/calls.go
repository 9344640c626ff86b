package publish

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

// callQueue brings answers to callbacks. A goroutine, a caller, takes what is
// queued in batches and calls back, as long as it gets on; where it does not,
// because a callback blocks or is slow, others join it and take over what it
// has not begun. So callbacks cost no goroutine each, the Kafka client's
// goroutine only appends to a slice, and no callback waits for a blocked one
// for more than two watch periods. There are never more callers than events
// with a place.
//
// mu is never held together with the publisher's lock.
type callQueue struct {
	mu       sync.Mutex
	items    []item // items[head:] are queued
	head     int
	callers  map[*caller]struct{}
	stuck    int // callers marked so
	spare    *caller
	watch    *time.Timer
	watching bool // the timer runs: always while a caller that is not stuck does
	stopped  bool
	pushed   uint64
	taken    uint64
	seen     uint64        // pushed before the last tick
	now      time.Duration // since Publisher.start; read once for many pushes

	ticks atomic.Uint64 // of the watch
}

// item is something to tell: that the client is done with an event, or that an
// event was answered without it.
type item struct {
	pd       *pending
	finished bool
	at       time.Duration // since Publisher.start
}

// caller is one goroutine that calls callbacks.
type caller struct {
	in []item // taken, its own

	// Written under the publisher's lock: whoever holds it may take away what
	// is not begun (next) and free what is done.
	batch []*pending
	freed int

	next  atomic.Int64  // the first of the batch that nobody has begun
	done  atomic.Int64  // callbacks of the batch that have returned
	began atomic.Uint64 // tick at which the present callback began
	stuck bool          // under the queue's lock
}

const (
	// batchSize bounds what a caller takes at a time, and so how long a place
	// stays taken after its callback.
	batchSize = 128

	// watchPeriod is how often the callers are looked at.
	watchPeriod = time.Millisecond

	// lingers is how often a caller with nothing to do lets others run before
	// it ends: answers come in bursts.
	lingers = 4
)

// push queues one item.
func (p *Publisher) push(pd *pending, finished bool) {
	q := &p.calls
	q.mu.Lock()
	if q.pushed%64 == 0 || q.head == len(q.items) {
		q.now = time.Since(p.start)
	}
	q.items = append(q.items, item{pd, finished, q.now})
	q.pushed++
	if len(q.callers) == q.stuck {
		p.addCaller()
	}
	q.mu.Unlock()
}

// addCaller is called with the queue's lock held.
func (p *Publisher) addCaller() {
	q := &p.calls
	c := q.spare
	if q.spare = nil; c == nil {
		c = &caller{in: make([]item, 0, batchSize), batch: make([]*pending, 0, batchSize)}
	}
	c.began.Store(q.ticks.Load())
	q.callers[c] = struct{}{}
	go p.call(c)
	q.startWatch()
}

func (q *callQueue) startWatch() {
	if !q.watching && !q.stopped {
		q.watching = true
		q.watch.Reset(watchPeriod)
	}
}

func (q *callQueue) stopWatch() {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.stopped = true
	q.watch.Stop()
}

// call runs callbacks until there are none. Flush and Close wait for what it
// calls, not for it: a callback may block for ever.
func (p *Publisher) call(c *caller) {
	for idle := 0; ; {
		if !p.calls.take(c) {
			if idle < lingers {
				idle++
				runtime.Gosched()
			} else if p.calls.leave(c) {
				return
			}
			continue
		}
		idle = 0
		p.callBatch(c)
	}
}

// callBatch calls back what c has taken.
func (p *Publisher) callBatch(c *caller) {
	p.settle(c)
	p.calls.begin(c)
	for i := c.next.Add(1) - 1; i < int64(len(c.batch)); i = c.next.Add(1) - 1 {
		c.began.Store(p.calls.ticks.Load())
		pd := c.batch[i]
		pd.done(pd.receipt, pd.err)
		c.done.Store(i + 1)
	}
	p.mu.Lock()
	p.freeDone(c)
	p.mu.Unlock()
}

// begin has c watched from now on. A caller that was not run for a while between
// taking and settling seemed stuck when there was nothing to take from it yet.
func (q *callQueue) begin(c *caller) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.getsOn(c)
	q.startWatch()
}

// getsOn notes that c is not stuck. Called with the lock held.
func (q *callQueue) getsOn(c *caller) {
	if c.stuck {
		c.stuck = false
		q.stuck--
	}
	c.began.Store(q.ticks.Load())
}

// take gives c its next items.
func (q *callQueue) take(c *caller) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.getsOn(c)
	n := min(len(q.items)-q.head, batchSize)
	if n == 0 {
		return false
	}
	q.startWatch()
	c.in = append(c.in[:0], q.items[q.head:q.head+n]...)
	clear(q.items[q.head : q.head+n])
	q.head += n
	q.taken += uint64(n)
	switch {
	case q.head == len(q.items):
		q.items, q.head = q.items[:0], 0
	case q.head >= 4096 && 2*q.head >= len(q.items):
		rest := copy(q.items, q.items[q.head:])
		clear(q.items[rest:])
		q.items, q.head = q.items[:rest], 0
	}
	return true
}

// leave ends c, unless there is something to do after all.
func (q *callQueue) leave(c *caller) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.head < len(q.items) {
		return false
	}
	q.getsOn(c) // counted on as stuck, it would stand for a caller that is not there
	delete(q.callers, c)
	q.spare = c
	return true
}

// watchCalls looks whether the callers get on. What waits behind a callback that
// has been running for more than a tick is taken from its caller.
func (p *Publisher) watchCalls() {
	q := &p.calls
	var suspects []*caller
	q.mu.Lock()
	tick := q.ticks.Add(1)
	for c := range q.callers {
		if !c.stuck && c.began.Load()+1 < tick {
			c.stuck = true
			q.stuck++
			suspects = append(suspects, c)
		}
	}
	q.mu.Unlock()

	// A suspect may get on in this moment and even have a new batch. That is no
	// harm: what is taken from it is called by another.
	var back []item
	if len(suspects) > 0 {
		p.mu.Lock()
		for _, c := range suspects {
			if from := c.next.Swap(int64(len(c.batch))); from < int64(len(c.batch)) {
				for _, pd := range c.batch[from:] {
					back = append(back, item{pd: pd})
				}
			}
			p.freeDone(c)
		}
		p.mu.Unlock()
	}

	q.mu.Lock()
	defer q.mu.Unlock()
	if len(back) > 0 {
		q.items, q.head = append(back, q.items[q.head:]...), 0
		q.taken -= uint64(len(back))
	}
	if queued := len(q.items) - q.head; queued > 0 && (q.taken < q.seen || len(q.callers) == q.stuck) {
		// What was queued at the last tick still is: as many callers again,
		// since slow callbacks take less time side by side.
		for range min(max(len(q.callers), 1), queued) {
			p.addCaller()
		}
	}
	q.seen = q.pushed
	q.watching = false
	if len(q.callers) > q.stuck {
		q.startWatch()
	}
}
