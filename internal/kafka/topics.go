package kafka

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"strconv"

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

// The settings that are looked at one by one.
const (
	maxMessage = "max.message.bytes"
	minInSync  = "min.insync.replicas"
	unclean    = "unclean.leader.election.enable" // a leader that lacks what was acknowledged
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
// winner only there. Everything else is kept for ever, whatever the cluster's
// defaults are.
func EventTopic(c schemas.Contract, replication int16) Topic {
	t := Topic{
		Name:        c.Topic,
		Partitions:  int32(c.Partitions),
		Replication: replication,
		Configs: map[string]string{
			"cleanup.policy":  "delete",
			"retention.ms":    "-1",
			"retention.bytes": "-1",
			maxMessage:        strconv.Itoa(MaxMessageBytes),
			// When it was sent: lag in seconds and the horizon of what was seen
			// go by it.
			"message.timestamp.type": "CreateTime",
			unclean:                  "false",
		},
	}
	if c.Compacted() {
		// What is retained stays: Kafka ignores it here, other brokers may not.
		t.Configs["cleanup.policy"] = "compact"
	}
	if replication > 0 {
		return t.heldBy(int(replication))
	}
	return t // ApplyTopics knows how many copies there will be
}

// heldBy returns t with how many of its copies have to be in sync for a record to
// be acknowledged. Of three copies or more two at least: then what is
// acknowledged outlives the loss of a broker, and a broker may be away.
func (t Topic) heldBy(copies int) Topic {
	t.Configs = maps.Clone(t.Configs)
	switch {
	case copies < 3:
		delete(t.Configs, minInSync)
	case !larger(t.Configs[minInSync], "2"):
		if t.Configs == nil {
			t.Configs = map[string]string{}
		}
		t.Configs[minInSync] = "2"
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
	if n, err := strconv.Atoi(source.Configs[maxMessage]); err == nil {
		limit = n
	}
	configs := map[string]string{
		"cleanup.policy":  "delete",
		"retention.ms":    "-1",
		"retention.bytes": "-1",
		maxMessage:        strconv.Itoa(limit + deadLetterRoom),
		unclean:           "false",
	}
	if least := source.Configs[minInSync]; least != "" {
		configs[minInSync] = least
	}
	return Topic{
		Name:        DeadLetterName(source.Name, group),
		Partitions:  source.Partitions,
		Replication: source.Replication,
		Configs:     configs,
	}
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
