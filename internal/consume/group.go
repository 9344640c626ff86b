package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

// groupOptions are the consumer's settings. The start offset matters only until
// AdjustFetchOffsets has replaced it; no reset is ever done silently.
func (e *Engine) groupOptions(topics []string) []kgo.Opt {
	return []kgo.Opt{
		kgo.ConsumerGroup(e.cfg.Group),
		kgo.ConsumeTopics(topics...),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()),
		kgo.ConsumeResetOffset(kgo.NoResetOffset()),
		kgo.FetchIsolationLevel(kgo.ReadCommitted()),
		kgo.KeepControlRecords(),
		// The client has one fetch in flight per broker, and a partition that is
		// added or resumed meanwhile waits for it: at the default of 5 s the
		// first record after a restart was seen to come 5 s late.
		kgo.FetchMaxWait(250 * time.Millisecond),
		kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(e.assigned),
		kgo.AdjustFetchOffsetsFn(e.assign),
		kgo.OnPartitionsRevoked(e.revoked),
		kgo.OnPartitionsLost(e.lost),
	}
}

// assigned notes that this member is in its group, also when there are more
// members than partitions and it is given none.
func (e *Engine) assigned(context.Context, *kgo.Client, map[string][]int32) {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.joined = true
	select {
	case e.rebalanced <- struct{}{}:
	default: // whoever looks after it will see this change, too
	}
}

// assign answers where the partitions that this member was just given resume:
// where the store says. While the store or the broker is away it waits, for an
// error would make the group rebalance over and over.
func (e *Engine) assign(ctx context.Context, given map[string]map[int32]kgo.Offset) (map[string]map[int32]kgo.Offset, error) {
	select {
	case <-e.connected:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	for attempt := 1; ; attempt++ {
		err := e.resume(ctx, given)
		if err == nil {
			return given, nil
		}
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		e.cfg.Log.Warn("waiting to resume from the store", "group", e.cfg.Group, "err", err)
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-time.After(e.backoff(attempt)):
		}
	}
}

// resume reads the positions of the given partitions and replaces their offsets.
func (e *Engine) resume(ctx context.Context, given map[string]map[int32]kgo.Offset) error {
	topics := make([]string, 0, len(given))
	for t := range given {
		topics = append(topics, t)
	}
	if len(topics) == 0 {
		return nil
	}
	logs, err := kafka.DescribeLogs(ctx, e.client, topics...)
	if err != nil {
		return err
	}
	var known []offsets.Partition
	for topic, ids := range given {
		for id := range ids {
			if p := (offsets.Partition{Topic: topic, ID: id}); logs.Of(p).Err == nil {
				known = append(known, p)
			}
		}
	}
	stored, err := e.positions(ctx, logs, known)
	if err != nil {
		return err
	}
	e.reportMoved(ctx, slices.Collect(maps.Values(stored)))

	e.mu.Lock()
	defer e.mu.Unlock()
	for topic, ids := range given {
		for id := range ids {
			p := &partition{id: offsets.Partition{Topic: topic, ID: id}, handler: e.handlers[topic], state: Active, since: e.polls}
			ids[id] = e.begin(p, stored, logs.Of(p.id))
			e.parts[p.id] = p
			e.metrics.assigned(p)
		}
	}
	e.wakePoll() // what it brings may be of an earlier assignment: see enqueue
	e.changed.Broadcast()
	return nil
}

// begin decides where a partition that was just given is fetched from. The caller
// holds the mutex.
func (e *Engine) begin(p *partition, stored map[offsets.Partition]offsets.Position, log kafka.Log) kgo.Offset {
	pos, placed := stored[p.id]
	if !placed {
		// Nothing is fetched until it has its position: the client only sets
		// another offset where it had one, whichever that was.
		p.pos = offsets.Position{Topic: p.id.Topic, Partition: p.id.ID, LeaderEpoch: offsets.NoEpoch}
		p.unplaced = true
		e.suspect(p, log.Err)
		return kgo.NewOffset().At(0)
	}
	if e.place(p, pos, log); p.state.Stopped() {
		return kgo.NewOffset().AtEnd() // never read: the fetch is paused
	}
	e.client.ResumeFetchPartitions(map[string][]int32{p.id.Topic: {p.id.ID}})
	return kgo.NewOffset().At(pos.Next).WithEpoch(pos.LeaderEpoch)
}

// place gives a partition its position, or stops it where that is not in the log.
// The caller holds the mutex.
func (e *Engine) place(p *partition, pos offsets.Position, log kafka.Log) {
	p.pos, p.start, p.unplaced = pos, log.Start, false
	p.ends(log.StableEnd)
	if state, why := judge(pos, log); state != Active {
		e.halt(p, state, why)
	}
	e.mirror.Own(pos, string(p.state))
}

// positions returns the stored positions of partitions whose logs are known. One
// that has none begins where its log does.
func (e *Engine) positions(ctx context.Context, logs kafka.Logs, of []offsets.Partition) (map[offsets.Partition]offsets.Position, error) {
	if len(of) == 0 {
		return nil, nil
	}
	start := make([]offsets.Position, len(of))
	for i, p := range of {
		log := logs.Of(p)
		start[i] = offsets.Position{Topic: p.Topic, Partition: p.ID, TopicID: log.TopicID, Next: log.Start, LeaderEpoch: offsets.NoEpoch}
	}
	stored, err := e.store.Positions(ctx, start)
	if err != nil {
		return nil, fmt.Errorf("read positions: %w", err)
	}
	byID := make(map[offsets.Partition]offsets.Position, len(stored))
	for _, pos := range stored {
		byID[pos.Of()] = pos
	}
	for _, p := range of {
		if _, ok := byID[p]; !ok {
			return nil, fmt.Errorf("read positions: none of %s", p)
		}
	}
	return byID, nil
}

// judge compares a stored position with the log that it is about.
func judge(pos offsets.Position, log kafka.Log) (State, string) {
	switch {
	case pos.TopicID != log.TopicID:
		return StoppedRecreate, fmt.Sprintf("the topic was recreated: the position is in %s, the topic is %s", pos.TopicID, log.TopicID)
	case pos.Next < log.Start:
		return StoppedBelowLog, fmt.Sprintf("the position is %d, the log starts at %d", pos.Next, log.Start)
	case pos.Next > log.End:
		return StoppedPastEnd, fmt.Sprintf("the position is %d, the log ends at %d", pos.Next, log.End)
	}
	return Active, ""
}

// reportMoved tells of committed offsets that are not ours. They are not obeyed.
func (e *Engine) reportMoved(ctx context.Context, stored []offsets.Position) {
	moved, err := e.mirror.Moved(ctx, stored)
	if err != nil {
		e.cfg.Log.Warn("reading the group's offsets", "group", e.cfg.Group, "err", err)
		return
	}
	for _, m := range moved {
		e.cfg.Log.Warn("group offset moved by somebody else, not obeyed",
			"group", e.cfg.Group, "topic", m.Topic, "partition", m.Partition,
			"offset", m.Committed, "position", m.Next)
	}
}

// halt stops a partition until an operator acts. The caller holds the mutex.
func (e *Engine) halt(p *partition, s State, why string) {
	if p.gone {
		return
	}
	p.state, p.why, p.doubt = s, why, nil
	p.clear()
	e.client.PauseFetchPartitions(map[string][]int32{p.id.Topic: {p.id.ID}})
	e.mirror.Set(p.pos, string(s))
	e.cfg.Log.Error("partition stopped", "group", e.cfg.Group, "topic", p.id.Topic,
		"partition", p.id.ID, "offset", p.pos.Next, "state", string(s), "err", why)
	e.changed.Broadcast()
}

// revoked gives partitions back: what is in flight is finished, the rest is left
// to the next owner.
func (e *Engine) revoked(ctx context.Context, _ *kgo.Client, taken map[string][]int32) {
	if len(taken) == 0 {
		return
	}
	e.forget(taken, true)
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := e.mirror.Flush(ctx); err != nil && !errors.Is(err, context.Canceled) {
		e.cfg.Log.Warn("mirroring positions of revoked partitions", "group", e.cfg.Group, "err", err)
	}
	e.mirror.Drop(taken)
}

// lost forgets partitions that are already somebody else's. Nothing of them is
// committed; a transaction in flight is fenced by its compare-and-set.
func (e *Engine) lost(_ context.Context, _ *kgo.Client, taken map[string][]int32) {
	if len(taken) == 0 {
		return // also before this member is connected
	}
	e.mirror.Drop(taken)
	e.forget(taken, false)
	e.mirror.Drop(taken) // of one that was given its position meanwhile
}

func (e *Engine) forget(taken map[string][]int32, wait bool) {
	e.metrics.rebalances.Inc()
	e.mu.Lock()
	defer e.mu.Unlock()
	for topic, ids := range taken {
		for _, id := range ids {
			p := e.parts[offsets.Partition{Topic: topic, ID: id}]
			if p == nil {
				continue
			}
			p.gone = true
			p.clear()
			e.changed.Broadcast()
			for wait && p.busy {
				e.changed.Wait()
			}
			delete(e.parts, p.id)
			e.metrics.revoked(p)
		}
	}
	e.changed.Broadcast()
}

// reread replaces the positions of partitions by what the store holds, and drops
// or fetches again what does not fit. It is called for busy partitions only.
func (e *Engine) reread(ctx context.Context, parts []*partition) error {
	want := make([]offsets.Position, len(parts))
	for i, p := range parts {
		// A row that is gone (the store was emptied under us) comes back at the
		// log's start, never where this member believes to be.
		want[i] = p.pos
		want[i].Next, want[i].LeaderEpoch, want[i].Generation = p.start, offsets.NoEpoch, 0
	}
	stored, err := e.store.Positions(ctx, want)
	if err != nil {
		return err
	}
	byID := map[offsets.Partition]offsets.Position{}
	for _, s := range stored {
		byID[s.Of()] = s
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	for _, p := range parts {
		s, ok := byID[p.id]
		switch {
		case !ok:
			return fmt.Errorf("%w: no position of %s", store.ErrFatal, p.id)
		case s.TopicID != p.pos.TopicID:
			e.halt(p, StoppedRecreate, "the stored position is of another topic ID")
		case s.Generation != p.pos.Generation || s.Next < p.pos.Next:
			// A reset, or an older copy of the store: read again from there.
			p.clear()
			p.pos = s
			p.seek = true // by the poll loop, so that no older poll slips in behind
			e.wakePoll()
		default:
			p.pos = s
		}
		p.moved()
	}
	return nil
}
