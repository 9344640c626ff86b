package loadtest

import (
	"context"
	"sync"
	"time"
)

// maxAtOnce bounds what a worker hands to its door at once.
const maxAtOnce = 1000

// generator sends a load: every event is due at a time that was fixed before the
// run, and is sent then or, when something held its worker up, as soon after as
// can be.
type generator struct {
	load    Load
	workers []*chooser
	door    door
	start   time.Time
	warm    time.Duration

	answered func(event, answer)
	sending  func(events []outgoing) // told before they are sent

	// lateness of sending, as far as it is the generator's own doing: time that
	// a worker waited for the door is the system's.
	lateness *latency
}

// run sends until the load is over or ctx ends.
func (g *generator) run(ctx context.Context) {
	var all sync.WaitGroup
	for i, c := range g.workers {
		if c.own > 0 {
			all.Go(func() { g.work(ctx, c, i) })
		}
	}
	all.Wait()
}

func (g *generator) work(ctx context.Context, c *chooser, worker int) {
	table := timetable{load: g.load}
	total, step := g.load.Total(), int64(len(g.workers))
	timer := time.NewTimer(time.Hour)
	defer timer.Stop()
	var debt time.Duration // how late the system has made this worker
	batch := make([]outgoing, 0, maxAtOnce)
	for n := int64(worker); n < total; {
		due := table.due(n)
		if wait := due - time.Since(g.start); wait > 0 {
			timer.Reset(wait)
			select {
			case <-timer.C:
			case <-ctx.Done():
				return
			}
		}
		now := time.Since(g.start)
		batch = batch[:0]
		for due <= now && len(batch) < maxAtOnce {
			late := now - due
			debt = min(debt, late)
			g.lateness.record((late - debt).Microseconds(), due >= g.warm)
			e := c.next()
			e.due = due.Microseconds()
			batch = append(batch, outgoing{e, c.pad()})
			if n += step; n >= total {
				break
			}
			due = table.due(n)
		}
		if len(batch) == 0 {
			continue // the timer was early
		}
		g.sending(batch)
		debt += g.door.send(ctx, batch, g.answered)
		if ctx.Err() != nil {
			return
		}
	}
}
