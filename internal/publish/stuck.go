package publish

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// unstick has the client let go of events that it will never be done with.
//
// A client can lose its place in a partition, and then never sends the batch that
// all others wait for (docs/adr/0007-stuck-partitions.md). Its events were answered
// long ago; what they keep are their places, until none is left.
func (p *Publisher) unstick(life context.Context) {
	every := p.cfg.Timeout + optDuration(p.client, kgo.ProduceRequestTimeout) + optDuration(p.client, kgo.RequestTimeoutOverhead)
	look := time.NewTimer(every) // from the end of a look, so that two are never close together
	defer look.Stop()
	var suspects map[string]suspect
	for {
		select {
		case <-life.Done():
			return
		case <-look.C:
		}
		ctx, cancel := context.WithTimeout(life, every)
		suspects = p.suspect(ctx, suspects)
		cancel()
		look.Reset(every)
	}
}

// suspect is an event that the client holds beyond its time. Its ID alone would not
// tell it from the same event published once more.
type suspect struct {
	id    string
	taken time.Duration // since Publisher.start
}

// suspect returns, by topic, the event that the client has held longest beyond its
// time, of the topics on which nothing seems to keep it. One that was there at the
// look before is stuck: a healthy partition had it for longer than its time and a
// request's. The client then fails all that it holds, here and in other partitions,
// with an outcome that is not known; it cannot be asked for less.
func (p *Publisher) suspect(ctx context.Context, before map[string]suspect) map[string]suspect {
	longest := p.longestLate()
	if len(longest) == 0 {
		return nil
	}
	admin, topics := kadm.NewClient(p.client), slices.Collect(maps.Keys(longest))
	details, err := admin.ListTopics(ctx, topics...)
	if err != nil {
		return nil // the brokers are away: that keeps them
	}
	// Of the leaders themselves: others do not know whether this client reaches them.
	// A leader that does not answer is missing here and keeps its own topics only.
	ends, _ := admin.ListEndOffsets(ctx, topics...)
	for topic, held := range longest {
		switch {
		case !healthy(details[topic], ends[topic]):
			delete(longest, topic)
		case before[topic] == held:
			p.cfg.Log.Error("events of a topic whose leaders answer have been with the client for a long time: all that it holds are given up",
				"topic", topic, "event_id", held.id, "records", p.client.BufferedProduceRecords())
			p.client.UnsafeAbortBufferedRecords()
			return nil
		}
	}
	return longest
}

// healthy reports whether nothing keeps a topic's partitions from taking events, as
// far as the brokers tell: leaders that answer, all replicas in sync. Fewer may do,
// or not: that depends on a setting that a producer need not be allowed to see.
func healthy(topic kadm.TopicDetail, ends map[int32]kadm.ListedOffset) bool {
	if topic.Err != nil || len(topic.Partitions) == 0 {
		return false
	}
	for id, partition := range topic.Partitions {
		end, answered := ends[id]
		if partition.Err != nil || partition.Leader < 0 || len(partition.ISR) < len(partition.Replicas) || !answered || end.Err != nil {
			return false
		}
	}
	return true
}

// longestLate returns the event of each topic that the client has held longest of
// those answered without it.
func (p *Publisher) longestLate() map[string]suspect {
	p.mu.Lock()
	defer p.mu.Unlock()
	longest := map[string]suspect{}
	for pd := p.late.head; pd != nil; pd = pd.next {
		if _, known := longest[pd.topic.Topic]; !known {
			longest[pd.topic.Topic] = suspect{pd.id, pd.taken}
		}
	}
	return longest
}

// optDuration is what the client was given, or has by default, as opt.
func optDuration(client *kgo.Client, opt any) time.Duration {
	d, _ := client.OptValue(opt).(time.Duration)
	return d
}
