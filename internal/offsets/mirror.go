package offsets

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// markPrefix begins the metadata of every offset that we commit; the state of
// the partition follows it: "firehose/1 active".
const markPrefix = "firehose/1 "

// Mark returns the metadata of a committed offset of ours.
func Mark(state string) string { return markPrefix + state }

// ParseMark returns the state that a committed offset's metadata tells, and
// whether the offset is ours at all.
func ParseMark(metadata string) (state string, ours bool) {
	return strings.CutPrefix(metadata, markPrefix)
}

// Mirror follows the store's positions in the group's committed offsets, so that
// every Kafka tool sees the truth a moment later. It is never read back to
// decide where to resume.
type Mirror struct {
	client *kgo.Client
	group  string
	log    *slog.Logger

	// committing has one slot: commits go one at a time, in order, and who waits
	// for another one's answer can stop waiting.
	committing chan struct{}

	mu    sync.Mutex
	owned map[Partition]bool
	dirty map[Partition]mirrored
}

type mirrored struct {
	pos   Position
	state string
}

// NewMirror returns the mirror of a group, over the client that is its member.
func NewMirror(client *kgo.Client, group string, log *slog.Logger) *Mirror {
	return &Mirror{
		client: client, group: group, log: log, committing: make(chan struct{}, 1),
		owned: map[Partition]bool{}, dirty: map[Partition]mirrored{},
	}
}

// Own begins to mirror a partition that this member was given.
func (m *Mirror) Own(p Position, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.owned[p.Of()] = true
	m.dirty[p.Of()] = mirrored{p, state}
}

// Set notes a position that the store has committed, and the partition's state.
// It does nothing for a partition that is not owned.
func (m *Mirror) Set(p Position, state string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.owned[p.Of()] {
		m.dirty[p.Of()] = mirrored{p, state}
	}
}

// Drop forgets partitions that are somebody else's now.
func (m *Mirror) Drop(taken map[string][]int32) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for topic, ids := range taken {
		for _, id := range ids {
			delete(m.owned, Partition{topic, id})
			delete(m.dirty, Partition{topic, id})
		}
	}
}

// Run commits what changed, every so often, until ctx ends.
func (m *Mirror) Run(ctx context.Context, every time.Duration) error {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		// A rebalance refuses commits for a moment; the next round has them.
		if err := m.Flush(ctx); err != nil && ctx.Err() == nil && !rebalancing(err) {
			m.log.Warn("mirroring positions", "group", m.group, "err", err)
		}
	}
}

// Flush commits what changed since the last commit and waits for the answer,
// until ctx ends.
func (m *Mirror) Flush(ctx context.Context) error {
	select {
	case m.committing <- struct{}{}:
		defer func() { <-m.committing }()
	case <-ctx.Done():
		return fmt.Errorf("commit offsets of group %s: waiting for the commit before: %w", m.group, ctx.Err())
	}
	m.mu.Lock()
	batch := m.dirty
	m.dirty = map[Partition]mirrored{}
	m.mu.Unlock()
	if len(batch) == 0 {
		return nil
	}
	err := m.commit(ctx, batch)
	if err != nil {
		m.mu.Lock()
		defer m.mu.Unlock()
		for id, v := range batch {
			if _, newer := m.dirty[id]; !newer && m.owned[id] {
				m.dirty[id] = v
			}
		}
	}
	return err
}

func (m *Mirror) commit(ctx context.Context, batch map[Partition]mirrored) error {
	commit := map[string]map[int32]kgo.EpochOffset{}
	for id, v := range batch {
		if commit[id.Topic] == nil {
			commit[id.Topic] = map[int32]kgo.EpochOffset{}
		}
		commit[id.Topic][id.ID] = kgo.EpochOffset{Epoch: v.pos.LeaderEpoch, Offset: v.pos.Next}
	}
	ctx = kgo.PreCommitFnContext(ctx, func(req *kmsg.OffsetCommitRequest) error {
		for i := range req.Topics {
			t := &req.Topics[i]
			for j := range t.Partitions {
				mark := Mark(batch[Partition{t.Topic, t.Partitions[j].Partition}].state)
				t.Partitions[j].Metadata = &mark
			}
		}
		return nil
	})
	var failed error
	m.client.CommitOffsetsSync(ctx, commit, func(_ *kgo.Client, _ *kmsg.OffsetCommitRequest, resp *kmsg.OffsetCommitResponse, err error) {
		if failed = err; err != nil {
			return
		}
		for _, t := range resp.Topics {
			for _, p := range t.Partitions {
				if err := kerr.ErrorForCode(p.ErrorCode); err != nil && failed == nil {
					failed = fmt.Errorf("%s/%d: %w", t.Topic, p.Partition, err)
				}
			}
		}
	})
	if failed != nil {
		return fmt.Errorf("commit offsets of group %s: %w", m.group, failed)
	}
	return nil
}

func rebalancing(err error) bool {
	return errors.Is(err, kerr.RebalanceInProgress) || errors.Is(err, kerr.IllegalGeneration) ||
		errors.Is(err, kerr.UnknownMemberID) || errors.Is(err, kerr.StaleMemberEpoch)
}

// Moved is a committed offset that is not where our mirror put it.
type Moved struct {
	Position        // the store's
	Committed int64 // what the group says
}

// Moved returns the committed offsets of the given partitions that somebody else
// wrote: they lack our mark, or are ahead of the store.
func (m *Mirror) Moved(ctx context.Context, stored []Position) ([]Moved, error) {
	committed, err := kadm.NewClient(m.client).FetchOffsets(ctx, m.group)
	if err != nil {
		return nil, fmt.Errorf("fetch offsets of group %s: %w", m.group, err)
	}
	var out []Moved
	for _, pos := range stored {
		c, ok := committed.Lookup(pos.Topic, pos.Partition)
		if !ok || c.Err != nil || c.At < 0 {
			continue
		}
		if _, ours := ParseMark(c.Metadata); !ours || c.At > pos.Next {
			out = append(out, Moved{pos, c.At})
		}
	}
	return out, nil
}
