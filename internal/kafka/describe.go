package kafka

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/offsets"
)

// Log is one partition's log as the cluster has it, or why that is not known.
type Log struct {
	PartitionInfo
	TopicID offsets.TopicID // zero when the topic is not known
	Err     error

	leader int32
}

// Logs are what DescribeLogs found.
type Logs struct {
	topics map[string]topicLogs
}

type topicLogs struct {
	err  error
	logs map[int32]*Log
}

// Of returns a partition's log. It always answers: of what was not asked for, or
// does not exist, with an error.
func (l Logs) Of(p offsets.Partition) Log {
	t, asked := l.topics[p.Topic]
	switch log := t.logs[p.ID]; {
	case log != nil:
		return *log
	case t.err != nil:
		return Log{Err: t.err}
	case asked:
		return Log{Err: kerr.UnknownTopicOrPartition} // the broker that was asked may not know of it yet
	}
	return Log{Err: ErrUnknownTopic}
}

// logsPatience bounds one question about logs. Leaders that are there answer at
// once, and whoever asks wants to go on with theirs.
const logsPatience = 5 * time.Second

// DescribeLogs asks for the logs of all partitions of the named topics. What it
// cannot learn about one, for want of a leader say, is that partition's error and
// nobody else's. It fails only where no broker answers at all.
func DescribeLogs(ctx context.Context, client *kgo.Client, names ...string) (Logs, error) {
	l := Logs{topics: map[string]topicLogs{}}
	if len(names) == 0 {
		return l, nil // all would be listed
	}
	req := kmsg.NewPtrMetadataRequest()
	for _, name := range names {
		t := kmsg.NewMetadataRequestTopic()
		t.Topic = kmsg.StringPtr(name)
		req.Topics = append(req.Topics, t)
	}
	resp, err := req.RequestWith(ctx, client)
	if err != nil {
		return l, fmt.Errorf("describe topics: %w", err)
	}
	for _, t := range resp.Topics {
		if t.Topic == nil {
			continue
		}
		found := topicLogs{err: kerr.ErrorForCode(t.ErrorCode), logs: map[int32]*Log{}}
		if errors.Is(found.err, kerr.UnknownTopicOrPartition) {
			found.err = ErrUnknownTopic
		}
		for _, p := range t.Partitions {
			log := &Log{TopicID: offsets.TopicID(t.TopicID), leader: p.Leader, PartitionInfo: PartitionInfo{ID: p.Partition}}
			// A partition may be known by a leader, and be read, while a replica is away.
			if log.Err = kerr.ErrorForCode(p.ErrorCode); errors.Is(log.Err, kerr.ReplicaNotAvailable) {
				log.Err = nil
			}
			if log.Err == nil && p.Leader < 0 {
				log.Err = kerr.LeaderNotAvailable
			}
			found.logs[p.Partition] = log
		}
		l.topics[*t.Topic] = found
	}
	// The start is asked first and the end last, so that neither can be found on
	// the wrong side of the stable end.
	l.list(ctx, client, -2, 0, func(p *PartitionInfo, at int64) { p.Start = at })
	l.list(ctx, client, -1, 1, func(p *PartitionInfo, at int64) { p.StableEnd = at })
	l.list(ctx, client, -1, 0, func(p *PartitionInfo, at int64) { p.End = at })
	return l, nil
}

// list asks every leader for one offset of its logs about which nothing went wrong
// so far. What one of them refuses is not asked for again: the client would do so
// with everything that was in the request.
func (l Logs) list(ctx context.Context, client *kgo.Client, timestamp int64, isolation int8, set func(*PartitionInfo, int64)) {
	byLeader := map[int32]map[string]map[int32]*Log{}
	for name, t := range l.topics {
		for id, log := range t.logs {
			if log.Err != nil {
				continue
			}
			topics := byLeader[log.leader]
			if topics == nil {
				topics = map[string]map[int32]*Log{}
				byLeader[log.leader] = topics
			}
			if topics[name] == nil {
				topics[name] = map[int32]*Log{}
			}
			topics[name][id] = log
		}
	}
	ctx, cancel := context.WithTimeout(ctx, logsPatience)
	defer cancel()
	var all sync.WaitGroup
	for leader, topics := range byLeader {
		all.Go(func() {
			req := kmsg.NewPtrListOffsetsRequest()
			req.ReplicaID, req.IsolationLevel = -1, isolation
			for name, logs := range topics {
				t := kmsg.NewListOffsetsRequestTopic()
				t.Topic = name
				for id := range logs {
					p := kmsg.NewListOffsetsRequestTopicPartition()
					p.Partition, p.Timestamp = id, timestamp
					t.Partitions = append(t.Partitions, p)
				}
				req.Topics = append(req.Topics, t)
			}
			resp, err := client.Broker(int(leader)).RetriableRequest(ctx, req)
			if err != nil {
				fail(topics, fmt.Errorf("list offsets: %w", err))
				return
			}
			for _, t := range resp.(*kmsg.ListOffsetsResponse).Topics {
				for _, p := range t.Partitions {
					log := topics[t.Topic][p.Partition]
					if log == nil {
						continue
					}
					delete(topics[t.Topic], p.Partition)
					if err := kerr.ErrorForCode(p.ErrorCode); err != nil {
						log.Err = fmt.Errorf("list offsets: %w", err)
					} else {
						set(&log.PartitionInfo, p.Offset)
					}
				}
			}
			fail(topics, errors.New("list offsets: no answer"))
		})
	}
	all.Wait()
}

func fail(topics map[string]map[int32]*Log, err error) {
	for _, logs := range topics {
		for _, log := range logs {
			log.Err = err
		}
	}
}
