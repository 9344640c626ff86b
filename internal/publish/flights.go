package publish

import (
	"fmt"
	"time"
)

// flightList holds the events not yet answered. All have the same time to live,
// so the oldest is the next to run out. The publisher's lock guards it.
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

// sweep answers Unknown what is not answered in time. The client cannot be asked
// to: it does not give up an idempotent record in flight.
func (p *Publisher) sweep() {
	timer := time.NewTimer(p.cfg.Timeout)
	defer timer.Stop()
	for {
		select {
		case <-p.stop:
			return
		case <-timer.C:
		}
		timer.Reset(p.expire())
	}
}

// expire answers what has run out and returns how long nothing else will.
func (p *Publisher) expire() time.Duration {
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
	if len(expired) > 0 {
		p.cfg.Log.Warn("events not acknowledged in time", "count", len(expired), "topic", expired[0].topic.Topic)
	}
	for _, pd := range expired {
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
	pd.answered = true
	e := &Error{Outcome: Unknown, Reason: reason, EventID: pd.id, Err: err}
	p.count(e)
	pd.err = e
}
