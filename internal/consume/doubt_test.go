package consume_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/consume"
	"firehose/internal/kafka"
	"firehose/internal/store"
)

// unreadable answers every fetch of a partition with an error while the func that it
// returns says so; asked counts them.
func (b *bank) unreadable(topic string, id int32, with *kerr.Error, asked *atomic.Int32) (set func(bool)) {
	b.t.Helper()
	infos, err := kafka.DescribeTopics(b.t.Context(), b.client, topic)
	if err != nil {
		b.t.Fatal(err)
	}
	topicID := [16]byte(infos[0].ID)
	var on atomic.Bool
	b.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster().KeepControl()
		if !on.Load() {
			return nil, nil, false
		}
		fetch, ill := req.(*kmsg.FetchRequest), false
		resp := fetch.ResponseKind().(*kmsg.FetchResponse)
		for _, t := range fetch.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, p := range t.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition = p.Partition
				if (t.Topic == topic || t.TopicID == topicID) && p.Partition == id {
					rp.ErrorCode, ill = with.Code, true
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		if ill {
			asked.Add(1)
		}
		return resp, nil, ill
	})
	return on.Store
}

func withoutSessions(cfg *consume.Config) {
	cfg.ClientOptions = append(cfg.ClientOptions, kgo.DisableFetchSessions())
}

// The log was cut behind the position while the member knew of more: that is no
// position that retention has passed, and the lag is nothing.
func TestLogCutWhileItIsRead(t *testing.T) {
	b := newBank(t)
	const applied, written = 5, 10
	for i := range written {
		b.produce(b.entry(fmt.Sprint("e", i), "a", 1, 0))
	}
	held, release := make(chan struct{}), make(chan struct{})
	defer close(release)
	calls := 0
	f := &faulty{Store: b.store, fault: func(ctx context.Context, _ consume.Store, _ *store.Batch) (store.Result, error, bool) {
		if calls++; calls == 2 {
			close(held)
			<-release
			return store.Result{}, fmt.Errorf("%w: away", store.ErrTransient), true
		}
		return store.Result{}, nil, false
	}}
	var asked atomic.Int32
	cut := b.unreadable("bank.entries", 0, kerr.OffsetOutOfRange, &asked)
	m := b.start(f, withoutSessions, func(c *consume.Config) { c.MaxBatch = applied })
	<-held
	cutTo(b, "bank.entries", 3)
	cut(true)
	b.eventually("stopped", func() error {
		for _, s := range m.Status() {
			if s.State.Stopped() {
				if s.State != consume.StoppedPastEnd || s.Position.Next != applied || s.Lag() != 0 {
					t.Errorf("got %+v with lag %d, want %s at %d", s, s.Lag(), consume.StoppedPastEnd, applied)
				}
				return nil
			}
		}
		return fmt.Errorf("%+v", m.Status())
	})
}

// cutTo lets the broker say that partition 0 of a topic ends at an offset.
func cutTo(b *bank, topic string, end int64) {
	b.broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster().KeepControl()
		asked := req.(*kmsg.ListOffsetsRequest)
		resp := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, t := range asked.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = t.Topic
			for _, p := range t.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.Offset = p.Partition, 0
				if t.Topic == topic && p.Partition == 0 && p.Timestamp == -1 {
					rp.Offset = end
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
}

// A broker that does not know its topics for a while, as one that has just begun,
// says that they have another ID. They have not.
func TestBrokerThatForgetsTopicIDs(t *testing.T) {
	for _, with := range []*kerr.Error{kerr.UnknownTopicID, kerr.OffsetOutOfRange} {
		t.Run(with.Message, func(t *testing.T) {
			b := newBank(t)
			b.produce(b.entry("before", "a", 1, 0))
			var asked atomic.Int32
			forget := b.unreadable("bank.entries", 0, with, &asked)
			m := b.start(b.store, withoutSessions)
			b.caughtUp()
			forget(true)
			b.eventually("told", func() error { // the client keeps a few of them to itself
				if n := asked.Load(); n < 12 {
					return fmt.Errorf("%d times", n)
				}
				return nil
			})
			b.produce(b.entry("after", "a", 1, 0))
			forget(false)
			b.eventually("it goes on", func() error {
				if n := b.query("SELECT sum(entries) FROM sums"); n != 2 {
					return fmt.Errorf("%d entries: %+v", n, m.Status())
				}
				return nil
			})
			if err := m.Ready(); err != nil {
				t.Errorf("ready: %v", err)
			}
		})
	}
}

// The topic is deleted under a member that reads it, and created again.
func TestTopicRecreatedWhileItIsRead(t *testing.T) {
	b := newBank(t)
	b.produce(b.entry("e1", "a", 1, 0), b.entry("e2", "a", 1, 0))
	m := b.start(b.store)
	b.caughtUp()
	if _, err := kadm.NewClient(b.client).DeleteTopics(t.Context(), "bank.entries"); err != nil {
		t.Fatal(err)
	}
	topic, _ := b.set.Topic("bank.entries")
	if _, err := kafka.ApplyTopics(t.Context(), b.client, []kafka.Topic{kafka.EventTopic(topic.Contract, 1)}); err != nil {
		t.Fatal(err)
	}
	b.produceAs(b.entry("f1", "a", 1, 0))
	b.eventually("stopped", func() error { return wantState(m, consume.StoppedRecreate) })
	b.wantQuery(2, "SELECT sum(entries) FROM sums")
	if err := m.Ready(); err == nil || !errors.Is(err, consume.ErrNotReady) {
		t.Errorf("ready: got %v", err)
	}
}
