package consume_test

import (
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/consume"
	"firehose/internal/offsets"
)

// leaderless lets nobody know where the log of a partition begins, until the func
// that it returns is called. Of others that are asked for with it, it says 0.
func (b *bank) leaderless(sick offsets.Partition) (heal func()) {
	b.t.Helper()
	var healed atomic.Bool
	heal = func() { healed.Store(true) }
	b.t.Cleanup(heal)
	b.broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if healed.Load() {
			return nil, nil, false
		}
		b.broker.Cluster().KeepControl()
		asked, ill := req.(*kmsg.ListOffsetsRequest), false
		resp := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
		for _, topic := range asked.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				id := offsets.Partition{Topic: topic.Topic, ID: p.Partition}
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.Offset = p.Partition, 0
				if id == sick {
					rp.Offset, rp.ErrorCode, ill = -1, kerr.LeaderNotAvailable.Code, true
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, ill
	})
	return heal
}

// A partition without a leader waits for it; the others that the member was given
// with it go on. It makes no difference whether it has a position yet.
func TestPartitionWithoutALeader(t *testing.T) {
	for _, rounds := range []int64{1, 2} {
		t.Run(fmt.Sprint(rounds-1, " events before"), func(t *testing.T) {
			b := newBank(t)
			b.everywhere("first")
			if rounds == 2 {
				b.start(b.store).untilIdle(b)
				b.everywhere("second")
			}
			heal := b.leaderless(offsets.Partition{Topic: "bank.entries", ID: 0})
			m := b.start(b.store)
			b.eventually("the others go on", func() error {
				if n := b.query("SELECT sum(entries) + (SELECT sum(total) FROM limits) FROM sums"); n != 3+4*(rounds-1) {
					return fmt.Errorf("%d events", n)
				}
				return nil
			})
			heal()
			b.caughtUp()
			b.wantQuery(2*rounds, "SELECT sum(entries) FROM sums")
			b.eventually("ready", func() error { return m.Ready() })
		})
	}
}

// What is not known of one partition says nothing about the lag of another.
func TestLagBesideAPartitionWithoutALeader(t *testing.T) {
	b := newBank(t)
	b.everywhere("first")
	b.start(b.store).untilIdle(b)
	b.write("UPDATE positions SET next = 50 WHERE topic = 'bank.entries' AND partition = 0")
	m := b.start(b.store, func(cfg *consume.Config) { cfg.EndsEvery = 5 * time.Millisecond })
	b.eventually("stopped", func() error { return wantState(m, consume.StoppedPastEnd) })
	b.leaderless(offsets.Partition{Topic: "bank.entries", ID: 1})
	for i := range 60 {
		b.produce(b.entry(fmt.Sprint("more", i), "a", 1, 0))
	}
	b.eventually("its lag grows", func() error {
		for _, s := range m.Status() {
			if s.Lag() == 11 {
				return nil
			}
		}
		return fmt.Errorf("%+v", m.Status())
	})
}
