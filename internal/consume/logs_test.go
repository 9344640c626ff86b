package consume_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/schemas"
)

func parseSchema(text string, n int) (*schemas.Schema, error) { return schemas.Parse(text, n) }

// What the position is about is gone: the partition stops, named, and the
// others go on.
func TestPositionOutsideTheLog(t *testing.T) {
	tests := []struct {
		name  string
		state consume.State
		do    func(b *bank)
	}{
		{"below the log", consume.StoppedBelowLog, func(b *bank) {
			if err := b.broker.Cluster().DeleteRecords("bank.entries", 0, 3); err != nil {
				b.t.Fatal(err)
			}
		}},
		{"past the end", consume.StoppedPastEnd, func(b *bank) {
			b.move(b.position("bank.entries", 0), 1000)
		}},
		{"topic recreated", consume.StoppedRecreate, func(b *bank) {
			if _, err := kadm.NewClient(b.client).DeleteTopics(b.t.Context(), "bank.entries"); err != nil {
				b.t.Fatal(err)
			}
			topic, _ := b.set.Topic("bank.entries")
			if _, err := kafka.ApplyTopics(b.t.Context(), b.client, []kafka.Topic{kafka.EventTopic(topic.Contract, 1)}); err != nil {
				b.t.Fatal(err)
			}
		}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			b := newBank(t)
			b.produce(b.entry("e1", "a", 1, 0))
			first := b.start(b.store)
			b.caughtUp()
			if err := first.end(t); err != nil {
				t.Fatal(err)
			}
			for i := range 5 {
				b.produce(b.entry(fmt.Sprint("f", i), "a", 1, 0))
			}
			test.do(b)
			b.produce(b.account("x", 1, 1, 0))
			m := b.start(b.store)
			b.eventually("stopped", func() error { return wantState(m, test.state) })
			b.eventually("the others go on", func() error {
				if n := b.query("SELECT count(*) FROM accounts"); n != 1 {
					return fmt.Errorf("%d accounts", n)
				}
				return nil
			})
			if err := m.Ready(); err == nil {
				t.Error("ready although a partition stopped")
			}
			b.wantQuery(1, "SELECT sum(entries) FROM sums")
		})
	}
}

// move forges a position, as an operator's mistake would.
func (b *bank) move(p offsets.Position, next int64) {
	b.t.Helper()
	batch := store.Batch{Moves: []store.Move{{From: p, Next: next, LeaderEpoch: p.LeaderEpoch}}}
	if _, err := b.store.Apply(b.t.Context(), &batch); err != nil {
		b.t.Fatal(err)
	}
}

// A group offset that somebody moved is reported and not obeyed.
func TestMovedGroupOffsetIsNotObeyed(t *testing.T) {
	b := newBank(t)
	b.produce(b.entry("e1", "a", 1, 0), b.entry("e2", "a", 1, 0))
	first := b.start(b.store)
	b.caughtUp()
	if err := first.end(t); err != nil {
		t.Fatal(err)
	}
	var o kadm.Offsets
	o.AddOffset("bank.entries", 0, 0, -1)
	if err := kadm.NewClient(b.client).CommitAllOffsets(t.Context(), "bank", o); err != nil {
		t.Fatal(err)
	}
	b.produce(b.entry("e3", "a", 1, 0))
	b.start(b.store)
	b.caughtUp()
	b.wantQuery(3, "SELECT sum(entries) FROM sums")
	b.eventually("reported", func() error {
		if s := b.logs.String(); !strings.Contains(s, "group offset moved by somebody else") {
			return fmt.Errorf("not in the log")
		}
		return nil
	})
}

// The registry is away: what cannot be decoded waits, nothing is set aside.
func TestRegistryAway(t *testing.T) {
	b := newBank(t)
	addr := b.registry.URL()[len("http://"):]
	if err := b.registry.Close(); err != nil {
		t.Fatal(err)
	}
	b.produce(b.entry("e1", "a", 1, 0))
	var err error
	if b.codec, err = codec.NewRegistry(codec.RegistryConfig{URLs: []string{"http://" + addr}}); err != nil {
		t.Fatal(err) // a new one: the other knows the schemas by heart
	}
	t.Cleanup(b.codec.Close)
	m := b.start(b.store, func(c *consume.Config) { c.SchemaPatience = time.Nanosecond }) // unknown it must never be
	b.eventually("paused", func() error { return wantState(m, consume.PausedRegistry) })
	if b.registry, err = embedded.StartRegistry(embedded.RegistryConfig{Addr: addr, Dir: b.schemas}); err != nil {
		t.Fatal(err)
	}
	b.caughtUp()
	b.wantQuery(1, "SELECT sum(entries) FROM sums")
	b.wantQuery(0, "SELECT count(*) FROM firehose_dead_letters")
	b.eventually("active again", func() error { return m.Ready() })
}
