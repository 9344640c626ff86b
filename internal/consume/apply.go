package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"time"

	"firehose/internal/failpoint"
	"firehose/internal/store"
)

// applyLoop applies batches until the engine stops.
func (e *Engine) applyLoop(ctx context.Context) error {
	for {
		claims := e.claim(ctx)
		if len(claims) == 0 {
			return nil
		}
		err := e.apply(ctx, claims)
		e.release(claims)
		if err != nil && ctx.Err() == nil {
			return err
		}
	}
}

// apply brings the claims into the store, however often it takes. It returns nil
// when every event is applied, set aside, given back to its queue, or somebody
// else's, and an error when the service cannot go on.
func (e *Engine) apply(ctx context.Context, claims []*claim) error {
	for attempt := 1; ; attempt++ {
		if claims = e.prune(claims); len(claims) == 0 {
			return nil
		}
		err := e.try(ctx, claims)
		var fenced *store.FencedError
		var held *heldError
		switch {
		case err == nil:
			return nil
		case errors.As(err, &held):
			e.hold(held.c, PausedRegistry, err)
			continue
		case errors.Is(err, errUnusable):
			attempt--
			continue
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, ErrMisuse), errors.Is(err, store.ErrFatal), errors.Is(err, errGap):
			return err
		case errors.As(err, &fenced):
			e.metrics.fenced.Inc()
			err = e.reread(ctx, fencedOf(claims, fenced))
		case errors.Is(err, store.ErrChanged) && attempt%10 != 0:
			e.wary.Store(waryFor)
			err = nil // look up, merge and try again
		case errors.Is(err, store.ErrRefused):
			return e.isolate(ctx, claims, err)
		default:
			// The commit may or may not have happened: the positions tell.
			if !e.rest(ctx, claims, attempt, err) {
				return nil
			}
			if claims = e.prune(claims); len(claims) == 0 {
				return nil
			}
			err = e.reread(ctx, partitionsOf(claims))
		}
		if errors.Is(err, store.ErrFatal) {
			return err
		}
		if err != nil && !e.rest(ctx, claims, attempt, err) {
			return nil
		}
	}
}

// prune drops what is not this member's to apply any more: partitions that were
// taken away or are fetched again, events that the store already has. Whoever
// takes a partition away waits no longer: what is tried on is not about it.
func (e *Engine) prune(claims []*claim) []*claim {
	e.mu.Lock()
	defer e.mu.Unlock()
	kept := claims[:0:0]
	for _, c := range claims {
		if c.p.gone {
			c.p.busy = false
			e.changed.Broadcast()
		}
		if !c.mine() || len(c.events) == 0 { // the latter are settled
			continue
		}
		for len(c.events) > 0 && c.events[0].From.Offset < c.p.pos.Next {
			c.events = c.events[1:]
			e.metrics.replayed.Inc()
		}
		if len(c.events) == 0 {
			e.goOn(c.p) // the commit whose answer was lost had happened
			continue
		}
		kept = append(kept, c)
	}
	return kept
}

// hold gives a claim back whole and lets its partition rest.
func (e *Engine) hold(c *claim, s State, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	if !c.mine() {
		return
	}
	c.giveBack()
	c.p.rest(e.backoff(c.p.attempts + 1))
	e.setState(c.p, s, err.Error())
}

// rest lets a partition wait until it is tried again.
func (p *partition) rest(d time.Duration) {
	p.attempts++
	p.retryAt = time.Now().Add(d)
}

// goOn ends a pause whose cause is over. The caller holds the mutex.
func (e *Engine) goOn(p *partition) {
	p.attempts = 0
	switch {
	case p.stalls > 0:
		// The registry is away still.
	case p.breaker.open && p.pos.Next < p.end:
		e.setState(p, p.breaker.state, whyTripped)
	case p.breaker.open:
		e.setState(p, Active, "") // nothing is left to try
	default:
		p.retryAt = time.Time{}
		e.setState(p, Active, "")
	}
	e.mirror.Set(p.pos, string(p.state))
}

// try makes one transaction of the claims.
func (e *Engine) try(ctx context.Context, claims []*claim) error {
	e.admit(claims)
	if err := e.setAside(ctx, claims); err != nil {
		return err
	}
	claims = e.settleEmpty(claims)
	m, err := e.merge(ctx, claims)
	if err != nil {
		return err
	}
	if len(m.batch.Moves) > 0 {
		start := time.Now()
		result, err := e.store.Apply(ctx, m.batch)
		if err != nil {
			return err
		}
		failpoint.Hit("after-commit")
		e.metrics.batch(m, result, time.Since(start))
	}
	e.settle(claims)
	return nil
}

// settleEmpty settles the claims of which nothing is left to apply, and returns
// the others.
func (e *Engine) settleEmpty(claims []*claim) []*claim {
	var empty, rest []*claim
	for _, c := range claims {
		if len(c.events) == 0 {
			empty = append(empty, c)
		} else {
			rest = append(rest, c)
		}
	}
	e.settle(empty)
	return rest
}

// settle takes over what the transaction has made true.
func (e *Engine) settle(claims []*claim) {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	for _, c := range claims {
		p := c.p
		for _, ev := range c.events {
			if f := failureOf(ev); f != nil {
				p.breaker.setAside(f.Class)
				p.retryAt = now.Add(p.breaker.probe(e.cfg.BreakerPause))
			} else if !ev.control {
				p.breaker.applied()
			}
		}
		if n := len(c.events); n > 0 {
			last := c.events[n-1]
			p.pos.Next, p.pos.LeaderEpoch = last.next(), last.LeaderEpoch
			maps.DeleteFunc(p.aside, func(offset int64, _ bool) bool { return offset < p.pos.Next })
			p.moved()
			if !p.gone { // its series are gone, too
				e.metrics.applied(p, c.events)
			}
		}
		switch {
		case c.trip != "":
			p.breaker.open, p.breaker.state = true, c.trip
			p.retryAt = now.Add(e.cfg.BreakerPause)
			e.setState(p, c.trip, whyTripped)
		case c.wait != nil:
			p.rest(e.backoff(p.attempts + 1))
			e.setState(p, PausedDLT, c.wait.Error())
		case p.round != nil && p.state == PausedDLT: // the pause is not over
		default:
			e.goOn(p)
		}
		e.mirror.Set(p.pos, string(p.state))
	}
}

const whyTripped = "too many records in a row had to be set aside; one at a time is tried from now on"

// rest pauses the claims' partitions until the backoff is over. It reports false
// when there is nothing left to try: the engine stops, and the claims are given
// back, so that nothing behind them is applied either.
func (e *Engine) rest(ctx context.Context, claims []*claim, attempt int, err error) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range claims {
		if len(c.events) > 0 { // else it waits for something else, or for nothing
			e.setState(c.p, PausedStore, err.Error())
		}
	}
	until := time.Now().Add(e.backoff(attempt))
	stop := context.AfterFunc(ctx, e.stop)
	defer stop()
	for time.Now().Before(until) && !e.stopping && ctx.Err() == nil && !anyGone(claims) {
		e.wakeAt(until)
		e.changed.Wait()
	}
	if !e.stopping && ctx.Err() == nil {
		return true
	}
	for _, c := range claims {
		if c.mine() && len(c.events) > 0 {
			c.giveBack()
		}
	}
	return false
}

// isolate finds the one record that the store refuses by halving the batch.
func (e *Engine) isolate(ctx context.Context, claims []*claim, refused error) error {
	n := 0
	for _, c := range claims {
		n += len(c.events)
	}
	first, second := split(claims, max(1, n/2))
	if n == 1 {
		ev := first[0].events[0]
		if ev.failure != nil {
			return fmt.Errorf("%w: it refuses a mark that a record was set aside: %w", store.ErrFatal, refused)
		}
		if ev.seen != nil && e.wary.Load() <= 0 { // of an ID that is known it would not be asked
			e.wary.Store(waryFor)
			return e.apply(ctx, first)
		}
		if ev.record == nil { // it is to be set aside as it was
			e.readAgain(first[0])
			return nil
		}
		ev.failure = &Failure{Class: ClassStoreRefused, Err: refused}
	}
	if err := e.apply(ctx, first); err != nil {
		return err
	}
	// What stands behind an event that was given back was given back with it.
	return e.apply(ctx, second)
}

func failureOf(e *Event) *Failure {
	if e.failure == nil { // asked of every event, several times
		return nil
	}
	var f *Failure
	if errors.As(e.failure, &f) {
		return f
	}
	return nil
}
