package consume

import (
	"context"
	"errors"
	"time"

	"firehose/internal/codec"
)

// decodeJob is a chunk that waits for a decoder.
type decodeJob struct {
	p *partition
	c *chunk
}

// schemaKey identifies a writer's schema that the registry does not know.
type schemaKey struct {
	id     int
	guid   [16]byte
	byGUID bool
}

// schedule gives a partition's undecoded chunks to the decoders: all of them, or
// one record while its breaker probes. The caller holds the mutex.
func (e *Engine) schedule(p *partition) {
	for i, c := range p.queue {
		if p.breaker.open && (i > 0 || c.decoded > c.taken) {
			break
		}
		if c.busy || c.stalled != nil || c.decoded == len(c.events) {
			continue
		}
		c.busy = true
		e.jobs = append(e.jobs, &decodeJob{p, c})
	}
	e.changed.Broadcast()
}

// decodeLoop decodes chunks until the engine stops. Chunks of one partition may
// be decoded side by side; they stay in the order of the queue.
func (e *Engine) decodeLoop(ctx context.Context) error {
	for {
		job := e.nextJob(ctx)
		if job == nil {
			return nil
		}
		if err := e.decodeChunk(ctx, job.p, job.c); err != nil {
			return err
		}
	}
}

func (e *Engine) nextJob(ctx context.Context) *decodeJob {
	e.mu.Lock()
	defer e.mu.Unlock()
	for len(e.jobs) == 0 {
		if e.stopping || ctx.Err() != nil {
			return nil
		}
		e.changed.Wait()
	}
	if e.stopping {
		return nil
	}
	job := e.jobs[0]
	e.jobs[0] = nil
	e.jobs = e.jobs[1:]
	return job
}

// decodeChunk decodes a chunk from where it stands. A registry that is away
// stalls the chunk: what is decoded can be applied, the rest is tried again.
func (e *Engine) decodeChunk(ctx context.Context, p *partition, c *chunk) error {
	e.mu.Lock()
	from, to := c.decoded, len(c.events)
	if p.breaker.open {
		to = min(to, c.taken+1)
	}
	id, first, round := p.pos.TopicID, c.firstTry, c.round
	slim := from == 0 && to == len(c.events) && !p.handler.NeedBefore && c.records[0].Offset > p.whole
	e.mu.Unlock()

	var err error
	n := from
	for ; n < to; n++ {
		ev := &c.events[n]
		if err = p.handler.decode(ctx, &c.decoder, c.records[n], id, ev); err != nil {
			break
		}
		if wait := e.patience(ev, &first); wait != nil {
			err = wait
			break
		}
	}
	if errors.Is(err, ErrMisuse) {
		return err
	}
	slim = slim && err == nil && c.slim()
	e.mu.Lock()
	defer e.mu.Unlock()
	c.busy = false
	if c.round != round { // all of it has to be decoded again
		e.schedule(p)
		return nil
	}
	c.decoded, c.firstTry = n, first
	if slim {
		c.records = nil
	}
	if err != nil {
		e.stall(ctx, p, c, err)
		return nil
	}
	p.stalls = 0
	if p.state == PausedRegistry {
		e.goOn(p)
	}
	e.schedule(p)
	return nil
}

// patience reports that a record whose schema the registry does not know should
// be tried again a little later: it may only just have been registered. A schema
// that was given up is not waited for again for a while.
func (e *Engine) patience(ev *Event, first *time.Time) error {
	if f := failureOf(ev); f == nil || f.Class != ClassUnknownSchema {
		*first = time.Time{}
		return nil
	}
	frame, err := codec.ParseFrame(ev.Body, header(ev.record, codec.SchemaIDHeader))
	if err != nil {
		return nil
	}
	key := schemaKey{frame.ID, frame.GUID, frame.ByGUID}
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	if until, ok := e.gaveUp[key]; ok && now.Before(until) {
		return nil
	}
	switch {
	case first.IsZero():
		*first = now
		return ev.failure
	case now.Sub(*first) < e.cfg.SchemaPatience:
		return ev.failure
	}
	*first = time.Time{}
	if len(e.gaveUp) >= 1000 {
		clear(e.gaveUp)
	}
	e.gaveUp[key] = now.Add(12 * e.cfg.SchemaPatience)
	return nil
}

// stall lets a chunk wait for the registry. The caller holds the mutex.
func (e *Engine) stall(ctx context.Context, p *partition, c *chunk, err error) {
	c.stalled = err
	if ctx.Err() != nil || p.gone {
		return
	}
	var f *Failure
	if !errors.As(err, &f) && p.state != PausedRegistry {
		e.setState(p, PausedRegistry, err.Error())
	}
	p.stalls++
	time.AfterFunc(e.backoff(p.stalls), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		if c.stalled = nil; !p.gone {
			e.schedule(p)
		}
	})
	e.changed.Broadcast()
}

// setState moves a partition to a state and tells of it. The caller holds the
// mutex.
func (e *Engine) setState(p *partition, s State, why string) {
	if p.state == s || p.state.Stopped() || p.gone {
		return
	}
	was := p.state
	p.state, p.why = s, why
	e.mirror.Set(p.pos, string(s))
	log := e.cfg.Log.With("group", e.cfg.Group, "topic", p.id.Topic, "partition", p.id.ID,
		"offset", p.pos.Next, "state", string(s), "was", string(was))
	e.changed.Broadcast()
	if s == Active {
		e.resumeFetch(p)
		log.Info("partition goes on")
		return
	}
	log.Warn("partition paused", "err", why)
}
