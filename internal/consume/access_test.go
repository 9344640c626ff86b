package consume_test

import (
	"errors"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/consume"
	"firehose/internal/kafka"
)

// A member that its brokers do not let into its group does not begin, and says
// why.
func TestDeniedAtTheStart(t *testing.T) {
	b := newBank(t)
	b.broker.Cluster().ControlKey(int16(kmsg.JoinGroup), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster().KeepControl()
		resp := req.ResponseKind().(*kmsg.JoinGroupResponse)
		resp.ErrorCode = kerr.GroupAuthorizationFailed.Code
		return resp, nil, true
	})
	m := b.start(b.store)
	select {
	case err := <-m.done:
		m.done <- err
		if !errors.Is(err, kafka.ErrDenied) || !strings.Contains(err.Error(), "group bank: ") || !strings.Contains(err.Error(), "READ on the group") {
			t.Errorf("got %v, want ErrDenied that names the group and the permission", err)
		}
	case <-time.After(20 * time.Second):
		t.Fatal("the member goes on trying")
	}
}

// A permission that is taken away later pauses what it is about, by name, and the
// rest goes on.
func TestDeniedLater(t *testing.T) {
	b := newBank(t)
	var deny atomic.Bool
	b.broker.Cluster().ControlKey(int16(kmsg.Fetch), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster().KeepControl()
		if !deny.Load() {
			return nil, nil, false
		}
		f := req.(*kmsg.FetchRequest)
		resp := f.ResponseKind().(*kmsg.FetchResponse)
		for _, topic := range f.Topics {
			rt := kmsg.NewFetchResponseTopic()
			rt.Topic, rt.TopicID = topic.Topic, topic.TopicID
			for _, p := range topic.Partitions {
				rp := kmsg.NewFetchResponseTopicPartition()
				rp.Partition, rp.ErrorCode = p.Partition, kerr.TopicAuthorizationFailed.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	m := b.start(b.store)
	b.eventually("a member that is ready", m.Ready)
	deny.Store(true)
	b.produce(b.entry("e1", "a", 1, 0))
	b.eventually("partitions paused", func() error { return wantState(m, consume.PausedAccess) })
	if err := m.Ready(); err == nil || !strings.Contains(err.Error(), "TOPIC_AUTHORIZATION_FAILED") && !strings.Contains(err.Error(), "an ACL is missing") {
		t.Errorf("Ready: %v, want the reason", err)
	}
	deny.Store(false)
	b.caughtUp()
	b.wantQuery(1, "SELECT sum(entries) FROM sums")
}
