package consume_test

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/consume"
	"firehose/internal/kafka"
)

// silence lets the broker say nothing to whoever writes to a topic, until the func
// that it returns is called. asked is closed when somebody does.
func (b *bank) silence(topic string) (asked <-chan struct{}, answer func()) {
	b.t.Helper()
	infos, err := kafka.DescribeTopics(b.t.Context(), b.client, topic)
	if err != nil {
		b.t.Fatal(err)
	}
	id := [16]byte(infos[0].ID)
	heard, silent := make(chan struct{}), make(chan struct{})
	var once, twice sync.Once
	answer = func() { twice.Do(func() { close(silent) }) }
	b.t.Cleanup(answer)
	b.broker.Cluster().ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster().KeepControl()
		p := req.(*kmsg.ProduceRequest)
		if slices.ContainsFunc(p.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.Topic == topic || t.TopicID == id }) {
			once.Do(func() { close(heard) })
			b.broker.Cluster().SleepControl(func() { <-silent })
		}
		return nil, nil, false
	})
	return heard, answer
}

// A dead-letter topic that does not answer holds up the partition whose record
// goes there. The others go on, in the same transaction and in those that follow.
func TestOthersGoOnBesideASilentDeadLetterTopic(t *testing.T) {
	for _, timeout := range []time.Duration{time.Hour, 300 * time.Millisecond} {
		t.Run(fmt.Sprint("tried again after ", timeout), func(t *testing.T) {
			b := newBank(t)
			asked, answer := b.silence("bank.accounts.bank-dlt")
			bad := b.account("x", 1, 1, 0)
			bad.Value = []byte("garbage")
			b.produce(b.account("y", 1, 10, 0), bad, b.account("z", 1, 20, 0), b.entry("e", "a", 1, 0))
			m := b.start(b.store, func(c *consume.Config) {
				c.DeadLetterTimeout, c.RetryMax = timeout, time.Millisecond
			})
			<-asked
			if timeout < time.Hour {
				b.eventually("paused", func() error { return wantState(m, consume.PausedDLT) })
			}
			for i := range 20 {
				b.produce(b.entry(fmt.Sprint("e", i), "a", 1, int32(i%2)))
				b.eventually("the entries go on", func() error {
					if n := b.query("SELECT sum(entries) FROM sums"); n != int64(i+2) {
						return fmt.Errorf("%d entries, want %d", n, i+2)
					}
					return nil
				})
			}
			if next := b.position("bank.accounts", 0).Next; next != 1 {
				t.Errorf("position: got %d, want 1: what is before the record is applied, the record is nowhere", next)
			}
			answer()
			b.caughtUp()
			b.wantQuery(30, "SELECT total FROM limits")
			b.wantQuery(1, "SELECT count(*) FROM firehose_dead_letters")
			b.eventually("ready", func() error { return m.Ready() })
		})
	}
}

// A member that waits for a dead letter stops all the same, and gives a partition
// back.
func TestStopBesideASilentDeadLetterTopic(t *testing.T) {
	b := newBank(t)
	asked, answer := b.silence("bank.entries.bank-dlt")
	for p := range int32(2) {
		bad := b.entry("bad", "a", 1, p)
		bad.Value = []byte("garbage")
		b.produce(bad)
	}
	m := b.start(b.store, func(c *consume.Config) { c.DeadLetterTimeout = time.Hour })
	<-asked
	other := b.start(b.store, func(c *consume.Config) { c.DeadLetterTimeout = time.Hour })
	b.eventually("the partitions are shared", func() error {
		if n, k := len(m.Status()), len(other.Status()); n != 2 || k != 2 {
			return fmt.Errorf("%d and %d", n, k)
		}
		return nil
	})
	for _, m := range b.running {
		if err := m.end(t); err != nil {
			t.Errorf("run: %v", err)
		}
	}
	answer()
	b.start(b.store)
	b.caughtUp()
	b.wantQuery(2, "SELECT count(*) FROM firehose_dead_letters")
}

// Of many dead letters some are acknowledged after a while: each record is set
// aside once all the same, and nothing between them is lost.
func TestSlowDeadLettersAreWrittenOnce(t *testing.T) {
	b := newBank(t)
	asked, answer := b.silence("bank.entries.bank-dlt")
	const n = 50
	for i := range n {
		bad := b.entry(fmt.Sprint("bad", i), "a", 1, 0)
		bad.Value = []byte("garbage")
		for _, r := range []*kgo.Record{bad, b.entry(fmt.Sprint("good", i), "a", 1, 0)} {
			b.client.Produce(t.Context(), r, nil)
		}
	}
	if err := b.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := b.start(b.store)
	<-asked
	b.produce(b.account("a", 1, 1, 0))
	b.eventually("the accounts go on", func() error {
		if b.query("SELECT count(*) FROM accounts") != 1 {
			return errors.New("not yet")
		}
		return nil
	})
	answer()
	b.caughtUp()
	b.wantQuery(n, "SELECT sum(entries) FROM sums")
	b.wantQuery(n, "SELECT count(*) FROM firehose_dead_letters")
	if reasons, _ := b.deadLetters("bank.entries"); len(reasons) != n {
		t.Errorf("dead letters: got %d, want %d", len(reasons), n)
	}
	if got := m.Counts().SetAside; got != n {
		t.Errorf("counted: got %d, want %d", got, n)
	}
}
