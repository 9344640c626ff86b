package publish

import "time"

// callQueue holds answered events until their callbacks are called. One
// goroutine calls them all, as long as it gets on; where it does not, because a
// callback blocks or is slow, others join it. So callbacks cost no goroutine
// each, and none waits for another one for more than two watch periods. There
// are never more goroutines than events with a place. The publisher's lock
// guards it.
type callQueue struct {
	head, tail *pending
	callers    map[*caller]struct{}
	stuck      int // callers marked so
	tick       uint64
	watch      *time.Timer // runs while anything is queued
	watching   bool
	seen       uint64 // calls pushed before the last tick
	pushed     uint64
	popped     uint64
}

// caller is one goroutine that calls callbacks.
type caller struct {
	since uint64 // the tick at which its callback began
	stuck bool   // its callback has been running for more than a tick
}

// watchPeriod is how often the queue is looked at while it is not empty.
const watchPeriod = time.Millisecond

func (q *callQueue) push(p *Publisher, pd *pending) {
	pd.next, pd.prev = nil, nil
	if q.tail == nil {
		q.head = pd
	} else {
		q.tail.next = pd
	}
	q.tail = pd
	q.pushed++
	if len(q.callers) == q.stuck {
		q.addCaller(p)
	}
	if !q.watching {
		q.watching = true
		if q.watch == nil {
			q.watch = time.AfterFunc(watchPeriod, func() { p.watchCalls() })
		} else {
			q.watch.Reset(watchPeriod)
		}
	}
}

func (q *callQueue) pop() *pending {
	pd := q.head
	if pd == nil {
		return nil
	}
	if q.head = pd.next; q.head == nil {
		q.tail = nil
	}
	pd.next = nil
	q.popped++
	return pd
}

func (q *callQueue) addCaller(p *Publisher) {
	if q.callers == nil {
		q.callers = map[*caller]struct{}{}
	}
	c := &caller{since: q.tick}
	q.callers[c] = struct{}{}
	go p.call(c)
}

func (q *callQueue) stopWatch() {
	if q.watch != nil {
		q.watch.Stop()
	}
	q.watching = false
}

// call runs callbacks until none is left. Flush and Close wait for what it
// calls, not for it: a callback may block for ever.
func (p *Publisher) call(c *caller) {
	p.mu.Lock()
	for pd := p.calls.pop(); pd != nil; pd = p.calls.pop() {
		c.since = p.calls.tick
		p.mu.Unlock()

		pd.done(pd.receipt, pd.err)

		p.mu.Lock()
		if c.stuck {
			c.stuck = false
			p.calls.stuck--
		}
		p.called(pd)
	}
	delete(p.calls.callers, c)
	p.mu.Unlock()
}

// called is what follows a callback. Called with the lock held.
func (p *Publisher) called(pd *pending) {
	pd.called = true
	p.open--
	if p.open == 0 {
		for _, idle := range p.idle {
			close(idle)
		}
		p.idle = nil
	}
	if !pd.held {
		p.release(pd)
	}
}

// watchCalls looks whether the callers get on.
func (p *Publisher) watchCalls() {
	p.mu.Lock()
	defer p.mu.Unlock()
	q := &p.calls
	q.tick++
	for c := range q.callers {
		if !c.stuck && c.since+1 < q.tick {
			c.stuck = true
			q.stuck++
		}
	}
	if q.head == nil {
		q.watching = false
		return
	}
	if q.popped < q.seen || len(q.callers) == q.stuck {
		// What was queued at the last tick still is: as many again, since slow
		// callbacks are answered by more at once.
		for range min(max(len(q.callers), 1), int(q.pushed-q.popped)) {
			q.addCaller(p)
		}
	}
	q.seen = q.pushed
	q.watch.Reset(watchPeriod)
}
