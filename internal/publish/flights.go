package publish

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"
)

// flightList holds the events not yet answered, or those that the client holds all
// the same. All have the same time to live, so the oldest is the next to run out.
// The publisher's lock guards it.
type flightList struct{ head, tail *pending }

func (l *flightList) push(pd *pending) {
	pd.prev, pd.next = l.tail, nil
	if l.tail == nil {
		l.head = pd
	} else {
		l.tail.next = pd
	}
	l.tail = pd
}

func (l *flightList) remove(pd *pending) {
	if pd.prev == nil {
		l.head = pd.next
	} else {
		pd.prev.next = pd.next
	}
	if pd.next == nil {
		l.tail = pd.prev
	} else {
		pd.next.prev = pd.prev
	}
	pd.prev, pd.next = nil, nil
}

// overdue counts, by topic, the events that ran out and were not told of yet. A
// broker that is away lets them run out one after the other, by the thousand.
type overdue struct {
	counts map[string]int
	told   time.Time
}

// tellEvery is the least time between two lines about one topic.
const tellEvery = time.Second

// sweep answers Unknown what is not answered in time. The client cannot be asked
// to: it does not give up an idempotent record in flight.
func (p *Publisher) sweep(life context.Context) {
	timer := time.NewTimer(p.cfg.Timeout)
	defer timer.Stop()
	late := overdue{counts: map[string]int{}}
	defer p.tell(&late)
	for {
		select {
		case <-life.Done():
			return
		case <-timer.C:
		}
		wait := p.expire(&late)
		if len(late.counts) > 0 {
			if left := tellEvery - time.Since(late.told); left > 0 {
				wait = min(wait, left)
			} else {
				p.tell(&late)
			}
		}
		timer.Reset(wait)
	}
}

func (p *Publisher) tell(late *overdue) {
	for _, topic := range slices.Sorted(maps.Keys(late.counts)) {
		p.cfg.Log.Warn("events not acknowledged in time", "count", late.counts[topic], "topic", topic)
	}
	clear(late.counts)
	late.told = time.Now()
}

// expire answers what has run out and returns how long nothing else will.
func (p *Publisher) expire(late *overdue) time.Duration {
	now := time.Since(p.start)
	var expired []*pending
	p.mu.Lock()
	wait := p.cfg.Timeout // what is not taken yet has all of it
	for pd := p.flights.head; pd != nil; pd = p.flights.head {
		if left := pd.taken + p.cfg.Timeout - now; left > 0 {
			wait = left
			break
		}
		p.giveUp(pd, ReasonTimeout, fmt.Errorf("topic %s: no acknowledgement within %s", pd.topic.Topic, p.cfg.Timeout))
		expired = append(expired, pd)
	}
	p.mu.Unlock()
	for _, pd := range expired {
		late.counts[pd.topic.Topic]++ // before it is answered, which frees it
		p.push(pd, false)
	}
	return max(wait, time.Millisecond)
}

// abandon answers Unknown whatever is not answered, and returns how many.
func (p *Publisher) abandon() int {
	var left []*pending
	p.mu.Lock()
	for pd := p.flights.head; pd != nil; pd = p.flights.head {
		p.giveUp(pd, ReasonClosed, fmt.Errorf("topic %s: %w", pd.topic.Topic, ErrClosed))
		left = append(left, pd)
	}
	p.mu.Unlock()
	for _, pd := range left {
		p.push(pd, false)
	}
	return len(left)
}

// giveUp decides that an event's outcome is not known. Called with the lock
// held.
func (p *Publisher) giveUp(pd *pending, reason string, err error) {
	p.flights.remove(pd)
	p.late.push(pd)
	pd.answered = true
	e := &Error{Outcome: Unknown, Reason: reason, EventID: pd.id, Err: err}
	p.count(e)
	pd.err = e
}
