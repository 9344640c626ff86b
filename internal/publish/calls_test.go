package publish

import (
	"runtime"
	"sync"
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

// A caller that is not run for two ticks between taking events and calling back
// looks stuck before there is anything to take from it. When its first callback
// blocks then, the others are called all the same.
func TestCallerThatSeemedStuckIsWatched(t *testing.T) {
	p := queueOnly(t)
	p.metrics = newMetrics(p)
	q := &p.calls
	c := &caller{}
	q.callers[c] = struct{}{}
	blocked, release, called := make(chan struct{}), make(chan struct{}), make(chan struct{})
	var returned sync.WaitGroup
	for _, done := range []func(){func() { close(blocked); <-release }, func() { close(called) }} {
		returned.Add(1)
		pd := p.spares.take()
		pd.done = func(Receipt, error) { defer returned.Done(); done() }
		p.records++
		p.open++
		p.push(pd, false)
	}
	if !q.take(c) {
		t.Fatal("nothing to take")
	}
	for range 3 {
		p.watchCalls()
	}
	go p.callBatch(c)
	<-blocked
	for deadline := time.Now().Add(5 * time.Second); ; {
		p.watchCalls()
		select {
		case <-called:
			close(release)
			returned.Wait()
			return
		default:
			runtime.Gosched()
		}
		if time.Now().After(deadline) {
			close(release)
			t.Fatal("a blocked callback holds up another")
		}
	}
}
