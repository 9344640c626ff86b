package consume

import (
	"context"
	"time"

	"firehose/internal/kafka"
	"firehose/internal/offsets"
)

// watchEnds keeps the ends of the partitions up to date of which nothing is
// fetched: without it the lag of one that rests would stand still while its log
// grows, and nobody would be told.
func (e *Engine) watchEnds(ctx context.Context) error {
	tick := time.NewTicker(e.cfg.EndsEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			e.askEnds(ctx)
		}
	}
}

// askEnds asks for the last stable offsets of the partitions that rest. Where the
// brokers do not answer, the ends stay what they were: what is wrong with the
// brokers is told elsewhere.
func (e *Engine) askEnds(ctx context.Context) {
	var topics []string
	e.mu.Lock()
	resting := map[string]bool{}
	for id, p := range e.parts {
		if (p.fetchPaused || p.state != Active) && !resting[id.Topic] {
			resting[id.Topic] = true
			topics = append(topics, id.Topic)
		}
	}
	e.mu.Unlock()
	if len(topics) == 0 {
		return
	}
	infos, err := kafka.DescribeTopics(ctx, e.client, topics...)
	if err != nil {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, info := range infos {
		for _, log := range info.Partitions {
			if p := e.parts[offsets.Partition{Topic: info.Name, ID: log.ID}]; p != nil {
				p.reaches(log.StableEnd)
			}
		}
	}
}
