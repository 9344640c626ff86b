package consume_test

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/consume"
	"firehose/internal/store"
)

// pollGate stops the poll loop once, with records in hand that it has not given
// to the engine yet.
type pollGate struct {
	armed   atomic.Bool
	blocked chan struct{}
	release chan struct{}
}

func (g *pollGate) OnFetchRecordUnbuffered(_ *kgo.Record, polled bool) {
	if polled && g.armed.CompareAndSwap(true, false) {
		close(g.blocked)
		<-g.release
	}
}

// A member loses a partition and is given it again while its poll loop still
// holds records of the time before. They lie behind the position that it resumes
// from, so applying them would skip what is between.
func TestPollOfAnEarlierAssignmentIsDropped(t *testing.T) {
	b := newBank(t)
	b.produce(b.entry("first", "a", 1, 0))
	gate := &pollGate{blocked: make(chan struct{}), release: make(chan struct{})}
	var away, fence atomic.Bool
	away.Store(true)
	into := &faulty{Store: b.store, fault: func(context.Context, consume.Store, *store.Batch) (store.Result, error, bool) {
		return store.Result{}, fmt.Errorf("%w: away", store.ErrTransient), away.Load()
	}}
	b.broker.Cluster().ControlKey(int16(kmsg.Heartbeat), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster().KeepControl()
		if !fence.CompareAndSwap(true, false) {
			return nil, nil, false
		}
		resp := req.(*kmsg.HeartbeatRequest).ResponseKind().(*kmsg.HeartbeatResponse)
		resp.ErrorCode = kerr.UnknownMemberID.Code
		return resp, nil, true
	})
	m := b.start(into, func(c *consume.Config) {
		c.ClientOptions = append(c.ClientOptions, kgo.WithHooks(gate), kgo.HeartbeatInterval(10*time.Millisecond))
	})
	b.eventually("the first poll", func() error { return wantState(m, consume.PausedStore) })
	gate.armed.Store(true)
	for i := range 10 {
		b.produce(b.entry(fmt.Sprint("later", i), "a", 1, 0))
	}
	<-gate.blocked
	fence.Store(true)
	b.eventually("given again", func() error {
		for _, s := range m.Status() {
			if s.State != consume.Active {
				return fmt.Errorf("%s is %s", s.Position, s.State)
			}
		}
		if len(m.Status()) != 4 {
			return errors.New("not all partitions")
		}
		return nil
	})
	close(gate.release)
	b.eventually("something to apply", func() error { return wantState(m, consume.PausedStore) })
	away.Store(false)
	b.caughtUp()
	b.wantQuery(11, "SELECT sum(entries) FROM sums")
}

// A member more than there are partitions is given none. It stands by, which is
// all that it is asked for.
func TestSpareMemberIsReady(t *testing.T) {
	b := newBank(t)
	for range 5 { // for 4 partitions
		b.start(b.store)
	}
	b.eventually("all are ready, one without partitions", func() error {
		spare := 0
		for i, m := range b.running {
			if err := m.Ready(); err != nil {
				return fmt.Errorf("member %d: %w", i, err)
			}
			if len(m.Status()) == 0 {
				spare++
			}
		}
		if spare != 1 {
			return fmt.Errorf("%d members have no partition", spare)
		}
		return nil
	})
}

// A stop does not depend on the broker, whether it is gone or there and silent.
func TestStopWithoutTheBroker(t *testing.T) {
	for _, test := range []struct {
		name string
		lose func(b *bank) (back func())
	}{
		{"gone", func(b *bank) func() {
			b.broker.Close()
			return func() {}
		}},
		{"silent", func(b *bank) func() {
			asked, silent := make(chan struct{}, 1), make(chan struct{})
			b.broker.Cluster().Control(func(kmsg.Request) (kmsg.Response, error, bool) {
				b.broker.Cluster().KeepControl()
				select {
				case asked <- struct{}{}:
				default:
				}
				b.broker.Cluster().SleepControl(func() { <-silent })
				return nil, nil, false
			})
			<-asked
			return func() { close(silent) }
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBank(t)
			b.produce(b.entry("e", "a", 1, 0))
			m := b.start(b.store)
			b.caughtUp()
			back := test.lose(b)
			m.kill() // the grace time is over
			err := m.end(t)
			back()
			if err != nil {
				t.Errorf("run: got %v, want an orderly stop", err)
			}
		})
	}
}
