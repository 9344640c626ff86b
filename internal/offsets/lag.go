package offsets

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// The states of a partition that its group's mark does not tell.
const (
	StateForeign = "foreign" // committed by somebody else: a commit without our mark
	StateNone    = "none"    // nothing is committed
	StateGone    = "gone"    // the cluster no longer has the partition
)

// Lag is how far a group is behind in one partition, as its committed offset,
// the mirror of the store's position, tells.
type Lag struct {
	Group     string `json:"group"`
	Topic     string `json:"topic"`
	Partition int32  `json:"partition"`
	Committed int64  `json:"committed"` // next offset to read; -1 when there is none
	End       int64  `json:"end"`       // last stable offset; -1 when the partition is gone
	Records   int64  `json:"lag"`       // offsets between the two
	State     string `json:"state"`     // what the service says of the partition, or one of the states above
}

// Lags returns the lag of the groups, by group, topic and partition, for every
// partition of every topic that a group has committed in. Without groups it
// finds those of this system by the mark in their commits; groups of others
// among the named ones are shown as foreign.
func Lags(ctx context.Context, client *kgo.Client, groups ...string) ([]Lag, error) {
	admin := kadm.NewClient(client)
	named := len(groups) > 0
	if !named {
		listed, err := admin.ListGroups(ctx)
		if err != nil {
			return nil, fmt.Errorf("list groups: %w", err)
		}
		groups = listed.Groups()
	}
	committed := map[string]kadm.OffsetResponses{}
	topics := map[string]bool{}
	for _, group := range groups {
		offsets, err := admin.FetchOffsets(ctx, group)
		if err != nil && !errors.Is(err, kerr.GroupIDNotFound) { // which some brokers answer for none
			return nil, fmt.Errorf("committed offsets of group %s: %w", group, err)
		}
		if !named && !anyOurs(offsets) {
			continue
		}
		if len(offsets) == 0 {
			return nil, fmt.Errorf("group %s: no committed offsets", group)
		}
		committed[group] = offsets
		for topic := range offsets {
			topics[topic] = true
		}
	}
	if len(topics) == 0 {
		return nil, nil
	}
	logs, err := listLogs(ctx, admin, topics)
	if err != nil {
		return nil, err
	}
	var out []Lag
	for group, offsets := range committed {
		out = append(out, logs.lags(group, offsets)...)
	}
	slices.SortFunc(out, func(a, b Lag) int {
		return cmp.Or(cmp.Compare(a.Group, b.Group), Compare(Partition{a.Topic, a.Partition}, Partition{b.Topic, b.Partition}))
	})
	return out, nil
}

func anyOurs(offsets kadm.OffsetResponses) bool {
	ours := false
	offsets.Each(func(o kadm.OffsetResponse) {
		if _, marked := ParseMark(o.Metadata); marked {
			ours = true
		}
	})
	return ours
}

// logs are the extents of topics.
type logs struct{ starts, ends kadm.ListedOffsets }

func listLogs(ctx context.Context, admin *kadm.Client, topics map[string]bool) (logs, error) {
	var names []string
	for topic := range topics {
		names = append(names, topic)
	}
	starts, err := admin.ListStartOffsets(ctx, names...)
	if err != nil {
		return logs{}, fmt.Errorf("list start offsets: %w", err)
	}
	ends, err := admin.ListCommittedOffsets(ctx, names...)
	if err != nil {
		return logs{}, fmt.Errorf("list end offsets: %w", err)
	}
	return logs{starts, ends}, nil
}

func (l logs) lags(group string, committed kadm.OffsetResponses) []Lag {
	var out []Lag
	committed.Each(func(c kadm.OffsetResponse) {
		lag := Lag{Group: group, Topic: c.Topic, Partition: c.Partition, Committed: c.At, End: -1, State: StateForeign}
		if state, ours := ParseMark(c.Metadata); ours {
			lag.State = state
		}
		end, ok := l.ends.Lookup(c.Topic, c.Partition)
		if ok && end.Err == nil {
			lag.End = end.Offset
			lag.Records = max(0, end.Offset-c.At)
		} else {
			lag.State = StateGone
		}
		out = append(out, lag)
	})
	for topic := range committed {
		for id, end := range l.ends[topic] {
			start, ok := l.starts.Lookup(topic, id)
			if _, has := committed.Lookup(topic, id); has || id < 0 || end.Err != nil || !ok || start.Err != nil {
				continue
			}
			out = append(out, Lag{
				Group: group, Topic: topic, Partition: id, Committed: -1,
				End: end.Offset, Records: max(0, end.Offset-start.Offset), State: StateNone,
			})
		}
	}
	return out
}
