package publish

import (
	"container/list"
	"context"
	"fmt"
	"time"
)

// waitQueue holds those who wait for room, in the order they came: a large
// event is not overtaken for ever by small ones. The publisher's lock guards it.
type waitQueue struct{ list list.List }

type waiter struct {
	size    int64
	ready   chan struct{} // closed once the place is taken, or refused
	at      *list.Element // nil once it left the queue
	refused bool
}

func (q *waitQueue) empty() bool { return q.list.Len() == 0 }

func (q *waitQueue) push(size int64) *waiter {
	w := &waiter{size: size, ready: make(chan struct{})}
	w.at = q.list.PushBack(w)
	return w
}

func (q *waitQueue) remove(w *waiter) {
	q.list.Remove(w.at)
	w.at = nil
}

// grant gives free places to those who wait longest.
func (q *waitQueue) grant(p *Publisher) {
	for front := q.list.Front(); front != nil; front = q.list.Front() {
		w := front.Value.(*waiter)
		if p.records >= p.cfg.MaxRecords || p.bytes+w.size > p.cfg.MaxBytes {
			return
		}
		p.records++
		p.bytes += w.size
		p.open++
		q.remove(w)
		close(w.ready)
	}
}

// refuse sends everyone away.
func (q *waitQueue) refuse() {
	for front := q.list.Front(); front != nil; front = q.list.Front() {
		w := front.Value.(*waiter)
		w.refused = true
		q.remove(w)
		close(w.ready)
	}
}

// await returns nil when w has its place. It waits no longer than an event in
// flight does: the client may hold every place of a broker that does not answer
// for as long as that lasts.
func (p *Publisher) await(ctx context.Context, w *waiter) error {
	timer := time.NewTimer(p.cfg.Timeout)
	defer timer.Stop()
	var left error
	select {
	case <-w.ready:
	case <-ctx.Done():
		left = context.Cause(ctx)
	case <-timer.C:
		left = fmt.Errorf("%w: no room within %s", ErrFull, p.cfg.Timeout)
	}
	if left != nil {
		p.mu.Lock()
		if w.at != nil {
			p.waiters.remove(w)
			p.waiters.grant(p) // whoever was behind may fit where w did not
			p.mu.Unlock()
			return left
		}
		p.mu.Unlock() // it was decided in the same moment
	}
	if w.refused {
		return ErrClosed
	}
	return nil
}
