package consume

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"

	"firehose/internal/kafka"
	"firehose/internal/offsets"
)

// A partition is in doubt while it is not known whether its log is the one that its
// position is about: it was given to this member and its log could not be
// described, or a fetch says that the log or its topic is not there. Nothing of it
// is fetched or applied then. What a fetch says decides nothing: a broker that has
// just begun may say so, and of a position outside the log it does not say on which
// side. So the log is asked for.

// suspect puts a partition in doubt. The caller holds the mutex.
func (e *Engine) suspect(p *partition, err error) {
	if p.doubt == nil {
		e.client.PauseFetchPartitions(map[string][]int32{p.id.Topic: {p.id.ID}})
		p.fetchPaused = true
		p.askAt = time.Now()
		if p.doubts > 0 { // it was for nothing before
			p.askAt = p.askAt.Add(e.backoff(p.doubts))
		}
		p.doubt = err
	} else { // asking did not end it
		p.askAt = time.Now().Add(e.backoff(p.doubts))
	}
	p.doubts++
	if denied := kafka.Explain(err); errors.Is(denied, kafka.ErrDenied) {
		e.setState(p, PausedAccess, denied.Error())
	}
	if text := err.Error(); p.fetchError != text {
		p.fetchError = text
		e.cfg.Log.Warn("waiting to know the log of a partition", "group", e.cfg.Group,
			"topic", p.id.Topic, "partition", p.id.ID, "err", err)
	}
	select {
	case e.doubted <- struct{}{}:
	default: // whoever asks will look at this one, too
	}
}

// nextDoubt is when the next partition in doubt is to be asked about; zero when
// there is none.
func (e *Engine) nextDoubt() time.Time {
	e.mu.Lock()
	defer e.mu.Unlock()
	var next time.Time
	for _, p := range e.parts {
		if p.doubt != nil && (next.IsZero() || p.askAt.Before(next)) {
			next = p.askAt
		}
	}
	return next
}

// decide ends the doubt about the partitions whose logs are known now.
func (e *Engine) decide(ctx context.Context, doubted []*partition, logs kafka.Logs, err error) {
	var stored map[offsets.Partition]offsets.Position
	if err == nil {
		var unplaced []offsets.Partition
		e.mu.Lock()
		for _, p := range doubted {
			if p.unplaced && !p.gone && logs.Of(p.id).Err == nil {
				unplaced = append(unplaced, p.id)
			}
		}
		e.mu.Unlock()
		stored, err = e.positions(ctx, logs, unplaced)
	}
	if ctx.Err() != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range doubted {
		if p.gone || p.doubt == nil {
			continue
		}
		log := logs.Of(p.id)
		pos, placed := stored[p.id]
		switch {
		case err != nil:
			e.suspect(p, err)
		case errors.Is(log.Err, kafka.ErrUnknownTopic) && errors.Is(p.doubt, kerr.UnknownTopicID):
			e.halt(p, StoppedRecreate, "the topic was deleted")
		case log.Err != nil:
			e.suspect(p, log.Err)
		case placed:
			if e.place(p, pos, log); !p.state.Stopped() {
				e.trust(p)
			}
		default:
			state, why := judge(p.pos, log)
			switch {
			case state != Active && !p.unplaced:
				e.halt(p, state, why)
			case p.busy || p.unplaced: // what is in flight may move its position yet
				e.suspect(p, p.doubt)
			default:
				e.trust(p)
			}
		}
	}
	e.changed.Broadcast()
}

// trust lets a partition go on whose position is in its log. It is fetched again
// from there: what was queued may be what the log has lost. It is not busy. The
// caller holds the mutex.
func (e *Engine) trust(p *partition) {
	p.doubt = nil
	p.clear()
	if p.state == PausedAccess {
		e.setState(p, Active, "")
	}
	p.seek = true
	e.wakePoll()
}
