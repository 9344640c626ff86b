package consume

import (
	"context"
	"errors"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/failpoint"
	"firehose/internal/kafka"
	"firehose/internal/offsets"
)

const (
	pollRecords   = 16_000 // bounds one poll, and so one chunk
	eventOverhead = 704    // bytes of memory that an event takes beyond what was on the wire
	// ordinaryHeaders is more than an event of ours has. Each one beyond takes
	// headerOverhead bytes of memory, and may take two on the wire.
	ordinaryHeaders = 16
	headerOverhead  = 40
)

// poll fetches until ctx ends. While the appliers have enough to do it does not
// poll: the client goes on heartbeating, and holds what one fetch brings. A
// partition that rests has its fetch paused, so that the others go on.
func (e *Engine) poll(ctx context.Context) error {
	for e.room(ctx) {
		wait, cancel := context.WithCancel(ctx)
		e.seek(cancel)
		fetches := e.client.PollRecords(wait, pollRecords)
		cancel()
		if fetches.IsClientClosed() {
			return nil
		}
		failpoint.Hit("after-poll")
		errored := false
		var refused error
		fetches.EachError(func(topic string, partition int32, err error) {
			if errors.Is(err, context.Canceled) {
				return
			}
			errored = true
			id := offsets.Partition{Topic: topic, ID: partition}
			if denied := kafka.Explain(err); errors.Is(denied, kafka.ErrDenied) {
				refused = errors.Join(refused, e.refuse(id, denied))
				return
			}
			e.fetchFailed(id, err)
		})
		if refused != nil {
			return refused
		}
		e.mu.Lock()
		fetches.EachPartition(func(f kgo.FetchTopicPartition) { e.enqueue(f) })
		e.mu.Unlock()
		if errored {
			// A broken partition answers thousands of times a second.
			select {
			case <-ctx.Done():
			case <-time.After(e.cfg.RetryMin):
			}
		}
	}
	return nil
}

// seek begins a poll: it fetches partitions again from their position, where that
// was asked for, and keeps cancel as the way to end the poll that follows.
func (e *Engine) seek(cancel func()) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.polls++
	e.wakePoll = cancel
	for _, p := range e.parts {
		if p.seek {
			p.seek = false
			e.client.SetOffsets(map[string]map[int32]kgo.EpochOffset{
				p.id.Topic: {p.id.ID: {Epoch: p.pos.LeaderEpoch, Offset: p.pos.Next}},
			})
			e.resumeFetch(p)
		}
	}
}

// enqueue hands what a poll brought to the decoders. The caller holds the mutex.
func (e *Engine) enqueue(f kgo.FetchTopicPartition) {
	p := e.parts[offsets.Partition{Topic: f.Topic, ID: f.Partition}]
	if p == nil || p.gone || p.seek || p.doubt != nil || p.state.Stopped() {
		return
	}
	if p.since == e.polls {
		// This poll began before the partition was assigned: the records may be
		// of an earlier time that this member owned it, and others have moved
		// the position since.
		p.seek = true
		return
	}
	if len(f.Records) == 0 {
		p.reaches(f.LastStableOffset)
		return
	}
	p.ends(max(f.LastStableOffset, f.Records[len(f.Records)-1].Offset+1))
	p.doubts = 0
	if p.state == PausedAccess {
		e.setState(p, Active, "")
	}
	c := &chunk{records: f.Records, events: e.spare.take(len(f.Records)), sent: f.Records[0].Timestamp}
	c.decoder.headers.Shared = true // a chunk is held as long as its events
	for _, r := range f.Records {
		c.bytes += wireSize(r) + eventOverhead + headerOverhead*max(0, len(r.Headers)-ordinaryHeaders)
	}
	p.queue = append(p.queue, c)
	p.queuedBytes += c.bytes
	if !p.fetchPaused && !p.flows() && p.queuedBytes > e.share() {
		p.fetchPaused = true
		e.client.PauseFetchPartitions(map[string][]int32{p.id.Topic: {p.id.ID}})
	}
	e.schedule(p)
}

// room waits until what is queued of the partitions that go on is below its
// bound. It reports false when the engine stops.
func (e *Engine) room(ctx context.Context) bool {
	e.mu.Lock()
	defer e.mu.Unlock()
	for !e.stopping && ctx.Err() == nil {
		queued := 0
		for _, p := range e.parts {
			if p.flows() {
				queued += p.queuedBytes
			}
		}
		if queued < e.cfg.MaxQueueBytes {
			return true
		}
		e.changed.Wait()
	}
	return false
}

// share is what a partition that rests may queue, in bytes. The caller holds the
// mutex.
func (e *Engine) share() int { return e.cfg.MaxQueueBytes / max(1, len(e.parts)) }

// resumeFetch fetches a partition again that goes on, or whose queue is half
// empty. The caller holds the mutex.
func (e *Engine) resumeFetch(p *partition) {
	if p.fetchPaused && !p.gone && p.doubt == nil && !p.state.Stopped() && (p.flows() || p.queuedBytes <= e.share()/2) {
		p.fetchPaused = false
		e.client.ResumeFetchPartitions(map[string][]int32{p.id.Topic: {p.id.ID}})
	}
}

// fetchFailed stops a partition whose log has lost what was read, or cannot be
// read, and doubts one whose log may not be where the position is; anything else
// the client tries again by itself.
func (e *Engine) fetchFailed(id offsets.Partition, err error) {
	e.mu.Lock()
	defer e.mu.Unlock()
	p := e.parts[id]
	var loss *kgo.ErrDataLoss
	switch {
	case p == nil || p.state.Stopped():
	case errors.As(err, &loss):
		e.halt(p, StoppedDataLoss, err.Error())
	case errors.Is(err, kgo.ErrMaxDecompress): // the client fetches no more of it
		e.halt(p, StoppedTooLarge, err.Error())
	case p.doubt != nil: // it is asked for
	case errors.Is(err, kerr.OffsetOutOfRange), errors.Is(err, kerr.UnknownTopicID), errors.Is(err, kerr.InconsistentTopicID):
		e.suspect(p, err)
	case p.fetchError == err.Error(): // told already
	default:
		p.fetchError = err.Error()
		e.cfg.Log.Warn("fetching", "group", e.cfg.Group, "topic", id.Topic, "partition", id.ID, "err", err)
	}
}
