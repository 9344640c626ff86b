package producer

import (
	"time"

	"golang.org/x/time/rate"

	"firehose/internal/publish"
)

// pace says when an event is due: at once, at a rate, or at a multiple of the
// speed at which it happened.
type pace struct {
	limiter *rate.Limiter // nil without a rate
	speed   float64       // 0 without a speed

	start      time.Time // when the first event was due, with a speed
	firstEvent time.Time // and its own time
}

// paceGrain is how far ahead of its time an event may be sent, so that a fast
// pace is kept in bursts and not with a timer for each event.
const paceGrain = 5 * time.Millisecond

func newPace(perSecond, speed float64) *pace {
	p := &pace{speed: speed}
	if perSecond > 0 {
		p.limiter = rate.NewLimiter(rate.Limit(perSecond), max(1, int(perSecond*paceGrain.Seconds())))
	}
	return p
}

// due returns when the event is to be sent; zero means now. Each event is to be
// asked for once.
func (p *pace) due(e *publish.Event) time.Time {
	switch {
	case p.limiter != nil:
		now := time.Now()
		if delay := p.limiter.ReserveN(now, 1).DelayFrom(now); delay > 0 {
			return now.Add(delay)
		}
	case p.speed > 0:
		if p.start.IsZero() {
			p.start, p.firstEvent = time.Now(), e.Time
		}
		ahead := time.Duration(float64(e.Time.Sub(p.firstEvent)) / p.speed)
		if due := p.start.Add(ahead); time.Until(due) > paceGrain {
			return due
		}
	}
	return time.Time{}
}
