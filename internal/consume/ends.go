package consume

import (
	"context"
	"time"

	"firehose/internal/kafka"
)

// watchEnds keeps the ends of the partitions up to date of which nothing is
// fetched: without it the lag of one that rests would stand still while its log
// grows, and nobody would be told. It also asks about those that are in doubt.
func (e *Engine) watchEnds(ctx context.Context) error {
	tick := time.NewTicker(e.cfg.EndsEvery)
	defer tick.Stop()
	for {
		var again <-chan time.Time
		if at := e.nextDoubt(); !at.IsZero() {
			again = time.After(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case <-e.doubted:
			continue
		case <-again:
		case <-tick.C:
		}
		e.askEnds(ctx)
	}
}

// askEnds asks for the last stable offsets of the partitions that rest, and for
// whatever else decides about those in doubt. Where the brokers do not answer, the
// ends stay what they were: what is wrong with the brokers is told elsewhere.
func (e *Engine) askEnds(ctx context.Context) {
	var topics []string
	var doubted []*partition
	e.mu.Lock()
	resting := map[string]bool{}
	for id, p := range e.parts {
		if (p.fetchPaused || p.state != Active) && !resting[id.Topic] {
			resting[id.Topic] = true
			topics = append(topics, id.Topic)
		}
		if p.doubt != nil {
			doubted = append(doubted, p)
		}
	}
	e.mu.Unlock()
	if len(topics) == 0 {
		return
	}
	logs, err := kafka.DescribeLogs(ctx, e.client, topics...)
	if err == nil {
		e.mu.Lock()
		for id, p := range e.parts {
			if log := logs.Of(id); resting[id.Topic] && log.Err == nil {
				if p.fetchPaused || p.state != Active {
					p.ends(log.StableEnd)
				} else {
					p.reaches(log.StableEnd) // a fetch may have told of more since
				}
			}
		}
		e.mu.Unlock()
	}
	e.decide(ctx, doubted, logs, err)
}
