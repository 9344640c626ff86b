package consume

import (
	"context"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// letterPatience is how long a transaction waits for dead letters. Nearly all are
// acknowledged by then, and go with it. Where one is not, its partition leaves the
// transaction and comes back when it is.
const letterPatience = 100 * time.Millisecond

// round is the dead letters of one claim, written together. The applier waits for
// it a moment and then leaves it: until it is over its partition is not claimed.
// What becomes of it is guarded by the engine's mutex.
type round struct {
	c        *claim
	at       []int // where the records are among the claim's events
	offsets  []int64
	failures []*Failure
	records  []*kgo.Record
	slow     bool // the last one of its partition was
	began    time.Time
	epoch    int // of the partition, when the applier left

	done  chan struct{} // closed when it is over
	over  bool
	first int   // of the records that were not acknowledged
	err   error // why; nil when all of them were
}

// newRounds makes a round of each claim that has records to be written. One that
// is acknowledged from before is not written again.
func (e *Engine) newRounds(claims []*claim) []*round {
	var rounds []*round
	for _, c := range claims {
		var r *round
		for i, ev := range c.events {
			f := failureOf(ev)
			if f == nil {
				continue
			}
			aside, slow := e.isAside(c.p, ev)
			if aside {
				continue
			}
			if r == nil {
				r = &round{c: c, slow: slow, began: time.Now(), done: make(chan struct{})}
				rounds = append(rounds, r)
			}
			r.at = append(r.at, i)
			r.offsets = append(r.offsets, ev.From.Offset)
			r.failures = append(r.failures, f)
			r.records = append(r.records, e.deadLetter(ev, f))
		}
	}
	return rounds
}

// isAside reports whether a failed event's dead letter is acknowledged, and
// whether its partition's last ones were slow.
func (e *Engine) isAside(p *partition, ev *Event) (aside, slow bool) {
	e.mu.Lock()
	defer e.mu.Unlock()
	return p.aside[ev.From.Offset], p.slow
}

// begin writes a round. What is acknowledged is noted, whoever still waits for it.
func (l *letters) begin(ctx context.Context, r *round) {
	l.open.Go(func() {
		errs := l.send(ctx, r.records)
		l.e.mu.Lock()
		defer l.e.mu.Unlock()
		p := r.c.p
		r.over, p.slow = true, time.Since(r.began) >= letterPatience
		for i, err := range errs {
			if err == nil {
				l.e.asideNow(p, r.offsets[i], r.failures[i])
			} else if r.err == nil {
				r.first, r.err, p.slow = i, fmt.Errorf("dead letter: %w", err), true
			}
		}
		close(r.done)
		if p.round == r && !p.busy {
			l.e.hear(r)
		}
	})
}

// await waits until the rounds are over, or for as long as a transaction may wait.
// A partition whose dead letters were slow before is not waited for.
func await(ctx context.Context, rounds []*round) {
	patience := time.NewTimer(letterPatience)
	defer patience.Stop()
	for _, r := range rounds {
		if r.slow {
			continue
		}
		select {
		case <-r.done:
		case <-patience.C:
			return
		case <-ctx.Done():
			return
		}
	}
}

// leave goes on without the round's records and what is behind them. They stay
// decoded: nothing is wrong with what they were found to be. The caller holds the
// mutex.
func (r *round) leave() {
	r.c.trip = ""
	r.c.cut(r.at[0], false)
	r.c.p.round, r.c.p.slow, r.epoch = r, true, r.c.p.epoch
}

// hear lets a partition go on whose round is over, or rest if that was in vain. It
// is not busy. The caller holds the mutex.
func (e *Engine) hear(r *round) {
	p := r.c.p
	p.round = nil
	if p.gone || e.stopping {
		return
	}
	if r.err != nil && p.epoch == r.epoch { // else it is read again, or tried again, anyway
		p.untake(r.offsets[r.first], true)
		p.rest(e.backoff(p.attempts + 1))
		e.setState(p, PausedDLT, r.err.Error())
	}
	e.resumeFetch(p)
	e.schedule(p)
}
