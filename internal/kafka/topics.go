package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/offsets"
	"firehose/schemas"
)

const (
	// MaxMessageBytes is the limit of an event topic's record batch: Kafka's
	// own default, stated so that it holds on any cluster.
	MaxMessageBytes = 1_048_588

	// deadLetterRoom is how much larger than its source's a dead letter's batch
	// may be: its headers say where it came from and why.
	deadLetterRoom = 64 << 10
)

// Topic declares a topic.
type Topic struct {
	Name        string
	Partitions  int32
	Replication int16 // -1 leaves it to the cluster
	Configs     map[string]string
}

// EventTopic returns the topic that a contract asks for. Only an entity with a
// single origin is compacted: compaction keeps the last offset, which is the
// winner only there. Everything else is kept for ever.
func EventTopic(c schemas.Contract, replication int16) Topic {
	t := Topic{
		Name:        c.Topic,
		Partitions:  int32(c.Partitions),
		Replication: replication,
		Configs: map[string]string{
			"cleanup.policy":    "delete",
			"retention.ms":      "-1",
			"max.message.bytes": strconv.Itoa(MaxMessageBytes),
		},
	}
	if c.Compacted() {
		// retention.ms stays: Kafka ignores it here, other brokers may not.
		t.Configs["cleanup.policy"] = "compact"
	}
	if replication >= 3 {
		// Acknowledged by all in-sync replicas means two at least.
		t.Configs["min.insync.replicas"] = "2"
	}
	return t
}

// DeadLetterName returns the name of a group's dead-letter topic for a topic.
func DeadLetterName(topic, group string) string { return topic + "." + group + "-dlt" }

// DeadLetterTopic returns the topic for what the group sets aside from source:
// as many partitions, so that a dead letter keeps its number, nothing expires,
// and what fitted the source fits with the headers added.
func DeadLetterTopic(source Topic, group string) Topic {
	limit := MaxMessageBytes
	if n, err := strconv.Atoi(source.Configs["max.message.bytes"]); err == nil {
		limit = n
	}
	configs := map[string]string{
		"cleanup.policy":    "delete",
		"retention.ms":      "-1",
		"max.message.bytes": strconv.Itoa(limit + deadLetterRoom),
	}
	if min := source.Configs["min.insync.replicas"]; min != "" {
		configs["min.insync.replicas"] = min
	}
	return Topic{
		Name:        DeadLetterName(source.Name, group),
		Partitions:  source.Partitions,
		Replication: source.Replication,
		Configs:     configs,
	}
}

// ChangeKind says what ApplyTopics did, or would not do.
type ChangeKind string

// The kinds of change.
const (
	Created    ChangeKind = "created"
	Configured ChangeKind = "configured" // Key was From and is now To
	Differs    ChangeKind = "differs"    // Key is From, declared is To, and it was left so
)

// TopicChange is one difference between what is declared and what was found.
type TopicChange struct {
	Topic string     `json:"topic"`
	Kind  ChangeKind `json:"kind"`
	Key   string     `json:"key,omitempty"` // a configuration's name, or "partitions"
	From  string     `json:"from,omitempty"`
	To    string     `json:"to,omitempty"`
}

// ApplyTopics creates the topics that are missing and sets what is configured
// otherwise than declared. It is idempotent, several may do it at once, and it
// never destroys: another partition count is reported and left, since adding
// partitions moves keys, and a higher message limit is left as it is. When it
// returns, the topics can be read and written: a cluster answers that a topic is
// created a moment before its brokers know of it.
func ApplyTopics(ctx context.Context, client *kgo.Client, topics []Topic) ([]TopicChange, error) {
	var changes []TopicChange
	for _, t := range topics {
		c, err := applyTopic(ctx, client, t)
		changes = append(changes, c...)
		if err != nil {
			return changes, fmt.Errorf("topic %s: %w", t.Name, err)
		}
	}
	// All are created before the first is waited for: they come up together.
	for _, c := range changes {
		if c.Kind != Created {
			continue
		}
		if err := awaitTopic(ctx, client, c.Topic); err != nil {
			return changes, fmt.Errorf("topic %s: %w", c.Topic, err)
		}
	}
	return changes, nil
}

const (
	awaitTopicFor   = 30 * time.Second
	awaitTopicEvery = 50 * time.Millisecond
)

// awaitTopic waits until every partition of a topic has a leader that serves it.
func awaitTopic(ctx context.Context, client *kgo.Client, name string) error {
	deadline := time.NewTimer(awaitTopicFor)
	defer deadline.Stop()
	for {
		_, err := DescribeTopics(ctx, client, name)
		if err == nil || !errors.Is(err, ErrUnknownTopic) && !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("not served after %s: %w", awaitTopicFor, err)
		case <-time.After(awaitTopicEvery):
		}
	}
}

func applyTopic(ctx context.Context, client *kgo.Client, t Topic) ([]TopicChange, error) {
	admin := kadm.NewClient(client)
	configs := make(map[string]*string, len(t.Configs))
	for k, v := range t.Configs {
		configs[k] = &v
	}
	resp, err := admin.CreateTopic(ctx, t.Partitions, t.Replication, configs, t.Name)
	switch {
	case err == nil:
		return []TopicChange{{Topic: t.Name, Kind: Created, Key: "partitions", To: strconv.Itoa(int(t.Partitions))}}, nil
	case !errors.Is(err, kerr.TopicAlreadyExists):
		if resp.ErrMessage != "" {
			err = fmt.Errorf("%w: %s", err, resp.ErrMessage)
		}
		return nil, fmt.Errorf("create: %w", err)
	}
	var changes []TopicChange
	found, err := admin.ListTopicsWithInternal(ctx, t.Name)
	if err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	if errors.Is(found[t.Name].Err, kerr.UnknownTopicOrPartition) {
		// Somebody else has created it just now.
		if err := awaitTopic(ctx, client, t.Name); err != nil {
			return nil, err
		}
		if found, err = admin.ListTopicsWithInternal(ctx, t.Name); err != nil {
			return nil, fmt.Errorf("describe: %w", err)
		}
	}
	if err := found[t.Name].Err; err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	if n := len(found[t.Name].Partitions); n != int(t.Partitions) {
		changes = append(changes, TopicChange{
			Topic: t.Name, Kind: Differs, Key: "partitions",
			From: strconv.Itoa(n), To: strconv.Itoa(int(t.Partitions)),
		})
	}
	configured, err := applyConfigs(ctx, admin, t)
	return append(changes, configured...), err
}

func applyConfigs(ctx context.Context, admin *kadm.Client, t Topic) ([]TopicChange, error) {
	described, err := admin.DescribeTopicConfigs(ctx, t.Name)
	if err != nil {
		return nil, fmt.Errorf("describe configuration: %w", err)
	}
	current, err := described.On(t.Name, nil)
	if err = cmp.Or(err, current.Err); err != nil {
		return nil, fmt.Errorf("describe configuration: %w", err)
	}
	have := make(map[string]string, len(current.Configs))
	for _, c := range current.Configs {
		have[c.Key] = c.MaybeValue()
	}
	var changes []TopicChange
	var alter []kadm.AlterConfig
	for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
		want := t.Configs[key]
		if have[key] == want || key == "max.message.bytes" && larger(have[key], want) {
			continue
		}
		changes = append(changes, TopicChange{Topic: t.Name, Kind: Configured, Key: key, From: have[key], To: want})
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &want})
	}
	if len(alter) == 0 {
		return nil, nil
	}
	altered, err := admin.AlterTopicConfigs(ctx, alter, t.Name)
	if err != nil {
		return nil, fmt.Errorf("configure: %w", err)
	}
	for _, a := range altered {
		if a.Err != nil {
			return nil, fmt.Errorf("configure: %w: %s", a.Err, a.ErrMessage)
		}
	}
	return changes, nil
}

func larger(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return errX == nil && errY == nil && x > y
}

// TopicInfo is a topic as the cluster has it.
type TopicInfo struct {
	Name       string
	ID         offsets.TopicID
	Partitions []PartitionInfo // sorted by ID
}

// PartitionInfo is the extent of one partition's log.
type PartitionInfo struct {
	ID        int32
	Start     int64 // first offset that can still be read
	End       int64 // one past the last one written
	StableEnd int64 // one past the last one of a finished transaction (last stable offset)
}

// ErrUnknownTopic says that the cluster has no such topic.
var ErrUnknownTopic = errors.New("unknown topic")

// DescribeTopics returns the named topics, in that order.
func DescribeTopics(ctx context.Context, client *kgo.Client, names ...string) ([]TopicInfo, error) {
	if len(names) == 0 {
		return nil, nil // kadm would list all
	}
	admin := kadm.NewClient(client)
	details, err := admin.ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	infos := make([]TopicInfo, 0, len(names))
	for _, name := range names {
		d := details[name]
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) || d.Topic == "" {
			return nil, fmt.Errorf("describe topics: %s: %w", name, ErrUnknownTopic)
		}
		if d.Err != nil {
			return nil, fmt.Errorf("describe topics: %s: %w", name, d.Err)
		}
		info := TopicInfo{Name: name, ID: offsets.TopicID(d.ID)}
		for _, p := range d.Partitions.Sorted() {
			info.Partitions = append(info.Partitions, PartitionInfo{ID: p.Partition})
		}
		infos = append(infos, info)
	}
	type list func(context.Context, ...string) (kadm.ListedOffsets, error)
	for _, q := range []struct {
		list list
		set  func(*PartitionInfo, int64)
	}{
		// The start is asked first and the end last, so that neither can be
		// found on the wrong side of the stable end.
		{admin.ListStartOffsets, func(p *PartitionInfo, at int64) { p.Start = at }},
		{admin.ListCommittedOffsets, func(p *PartitionInfo, at int64) { p.StableEnd = at }},
		{admin.ListEndOffsets, func(p *PartitionInfo, at int64) { p.End = at }},
	} {
		listed, err := q.list(ctx, names...)
		if err != nil {
			return nil, fmt.Errorf("list offsets: %w", err)
		}
		for i := range infos {
			for j := range infos[i].Partitions {
				p := &infos[i].Partitions[j]
				o, ok := listed.Lookup(infos[i].Name, p.ID)
				if !ok {
					return nil, fmt.Errorf("list offsets: %s/%d: no answer", infos[i].Name, p.ID)
				}
				if o.Err != nil {
					return nil, fmt.Errorf("list offsets: %s/%d: %w", infos[i].Name, p.ID, o.Err)
				}
				q.set(p, o.Offset)
			}
		}
	}
	return infos, nil
}

// TopicIDs returns the IDs of the named topics, as the cluster has them now.
func TopicIDs(ctx context.Context, client *kgo.Client, names ...string) (map[string]offsets.TopicID, error) {
	ids := make(map[string]offsets.TopicID, len(names))
	if len(names) == 0 {
		return ids, nil
	}
	details, err := kadm.NewClient(client).ListTopicsWithInternal(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("topic IDs: %w", err)
	}
	for _, name := range names {
		d := details[name]
		if errors.Is(d.Err, kerr.UnknownTopicOrPartition) || d.Topic == "" {
			return nil, fmt.Errorf("topic IDs: %s: %w", name, ErrUnknownTopic)
		}
		if d.Err != nil {
			return nil, fmt.Errorf("topic IDs: %s: %w", name, d.Err)
		}
		ids[name] = offsets.TopicID(d.ID)
	}
	return ids, nil
}
