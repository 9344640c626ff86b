package consume

import (
	"context"
	"time"

	"firehose/internal/offsets"
	"firehose/internal/store"
)

// claim is what one transaction takes of one partition. Its partition is busy
// until it is released.
type claim struct {
	p      *partition
	epoch  int   // of the partition: when it has another one, these events are not ours to apply
	from   int64 // the position that everything before the events has been brought to
	events []*Event
	trip   State // the breaker tripped behind these events
	wait   error // the dead letter behind these events is not acknowledged
}

// claim waits for decoded events and takes a batch of them, of whatever
// partitions are ready. It returns nothing when the engine stops.
func (e *Engine) claim(ctx context.Context) []*claim {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.stopping && ctx.Err() == nil {
		if claims := e.takeReady(time.Now()); len(claims) > 0 {
			return claims
		}
		e.changed.Wait()
	}
	return nil
}

func (e *Engine) takeReady(now time.Time) []*claim {
	var ready []*partition
	var wake time.Time
	for _, p := range e.parts {
		if p.busy || p.gone || p.seek || p.round != nil || p.doubt != nil || p.state.Stopped() || p.ready() == 0 {
			continue
		}
		if now.Before(p.retryAt) {
			if wake.IsZero() || p.retryAt.Before(wake) {
				wake = p.retryAt
			}
			continue
		}
		ready = append(ready, p)
	}
	if len(ready) == 0 {
		if !wake.IsZero() {
			e.wakeAt(wake)
		}
		return nil
	}
	// Map order is random, so no partition starves; several appliers share.
	ready = ready[:(len(ready)+e.cfg.Appliers-1)/e.cfg.Appliers]
	var claims []*claim
	room, bytes := e.cfg.MaxBatch, e.cfg.MaxBatchBytes
	for _, p := range ready {
		if room <= 0 || bytes <= 0 {
			break
		}
		events := p.take(p.breaker.limit(room), bytes)
		for _, ev := range events {
			bytes -= ev.size
		}
		room -= len(events)
		p.busy = true
		claims = append(claims, &claim{p: p, epoch: p.epoch, from: p.pos.Next, events: events})
	}
	return claims
}

// mine reports whether the claim's events are still its own to apply. The caller
// holds the mutex.
func (c *claim) mine() bool { return c.epoch == c.p.epoch }

// cut gives the claim's events from the ith on back to their queue, and with them
// all that another claim took behind them. With again set they are decoded again.
func (c *claim) cut(i int, again bool) {
	c.p.untake(c.events[i].From.Offset, again)
	c.events = c.events[:i]
	c.p.epoch++
	c.epoch = c.p.epoch
}

// giveBack gives all that was taken of the claim's partition and is not applied
// back to its queue, what another claim took behind these events among it. The
// caller holds the mutex.
func (c *claim) giveBack() {
	c.p.untake(c.p.pos.Next, false)
	c.p.epoch++
}

// settled reports whether nothing of the claim is left to apply. The caller holds
// the mutex.
func (c *claim) settled() bool {
	return len(c.events) == 0 || c.events[len(c.events)-1].From.Offset < c.p.pos.Next
}

// release lets others have the partitions again. What was not applied is given
// back, whatever the reason: the next claim has to begin at the position.
func (e *Engine) release(claims []*claim) {
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, c := range claims {
		if c.mine() && !c.settled() {
			c.giveBack()
		}
		c.p.busy = false
		c.p.drop(&e.spare)
		if r := c.p.round; r != nil && r.over {
			e.hear(r)
		}
		e.schedule(c.p)
		e.resumeFetch(c.p)
	}
	e.changed.Broadcast()
}

// split divides the claims after n events, in order.
func split(claims []*claim, n int) (first, second []*claim) {
	for _, c := range claims {
		k := min(n, len(c.events))
		n -= k
		if k > 0 {
			first = append(first, &claim{p: c.p, epoch: c.epoch, from: c.from, events: c.events[:k]})
		}
		if k < len(c.events) {
			from := c.from
			if k > 0 {
				from = c.events[k-1].next()
			}
			second = append(second, &claim{p: c.p, epoch: c.epoch, from: from, events: c.events[k:]})
		}
	}
	return first, second
}

func partitionsOf(claims []*claim) []*partition {
	out := make([]*partition, len(claims))
	for i, c := range claims {
		out[i] = c.p
	}
	return out
}

func fencedOf(claims []*claim, f *store.FencedError) []*partition {
	named := map[offsets.Partition]bool{}
	for _, id := range f.Partitions {
		named[id] = true
	}
	var out []*partition
	for _, c := range claims {
		if named[c.p.id] {
			out = append(out, c.p)
		}
	}
	return out
}

func anyGone(claims []*claim) bool {
	for _, c := range claims {
		if c.p.gone {
			return true
		}
	}
	return false
}
