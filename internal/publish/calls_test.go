package publish

import (
	"testing"
	"time"
)

// queueOnly returns a publisher that can do nothing but call back. Its watch
// ticks only when a test calls it.
func queueOnly(t *testing.T) *Publisher {
	p := &Publisher{start: time.Now()}
	p.spares.pool.New = func() any { return &pending{p: p} }
	p.calls.callers = map[*caller]struct{}{}
	p.calls.watch = time.AfterFunc(time.Hour, func() {})
	t.Cleanup(p.calls.stopWatch)
	return p
}

// A caller that is not run for two ticks looks stuck also where it has found
// nothing to do and is about to leave.
func TestCallerThatSeemedStuckLeaves(t *testing.T) {
	p := queueOnly(t)
	q := &p.calls
	leaving := &caller{}
	q.callers[leaving] = struct{}{}
	for range 2 {
		p.watchCalls()
	}
	if q.stuck != 1 {
		t.Fatalf("%d callers seem stuck, want the one that was not run", q.stuck)
	}
	if !q.leave(leaving) {
		t.Fatal("a caller with nothing to do stays")
	}
	if len(q.callers) != 0 || q.stuck != 0 || leaving.stuck {
		t.Errorf("%d callers, %d of them stuck, want none", len(q.callers), q.stuck)
	}

	called := make(chan struct{})
	pd := p.spares.take()
	pd.done = func(Receipt, error) { close(called) }
	p.records, p.open = 1, 1
	p.push(pd, false)
	select {
	case <-called:
	case <-time.After(5 * time.Second):
		t.Fatal("nobody calls back any more")
	}
}
