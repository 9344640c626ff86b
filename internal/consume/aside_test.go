package consume_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/kafka"
)

// A dead letter was sent and nothing comes back, so that the client may not give
// it up: the engine does, and it still stops.
func TestDeadLetterWithoutAnAnswer(t *testing.T) {
	b := newBank(t)
	bad := b.entry("bad", "a", 1, 0)
	bad.Value = []byte("garbage")
	b.produce(bad)
	var cut atomic.Bool
	cut.Store(true)
	b.broker.Cluster().ControlKey(int16(kmsg.Produce), func(kmsg.Request) (kmsg.Response, error, bool) {
		b.broker.Cluster().KeepControl()
		return nil, errors.New("cut off"), cut.Load()
	})
	timeout := func(c *consume.Config) { c.DeadLetterTimeout = 50 * time.Millisecond }
	m := b.start(b.store, timeout)
	b.eventually("the wait ends", func() error { return wantState(m, consume.PausedDLT) })
	if err := m.end(t); err != nil {
		t.Errorf("run: %v", err)
	}
	if next := b.position("bank.entries", 0).Next; next != 0 {
		t.Errorf("position: got %d, beyond a record that is nowhere", next)
	}
	cut.Store(false)
	b.start(b.store, timeout)
	b.caughtUp()
	b.wantQuery(1, "SELECT count(*) FROM firehose_dead_letters")
}

// A partition whose first dead letter is refused has nothing left in its batch,
// in which the store refuses an event of another partition.
func TestStoreRefusesBesideAnUnacknowledgedDeadLetter(t *testing.T) {
	b := newBank(t)
	accept := b.refuse("bank.accounts.bank-dlt", kerr.TopicAuthorizationFailed)
	b.produce(b.entry("max", "a", math.MaxInt64, 0))
	for p := range int32(2) {
		bad := b.account("x", 1, 1, p)
		bad.Key = []byte("another")
		b.produce(bad)
	}
	f := &faulty{Store: b.store}
	var entries atomic.Int32
	m := b.start(f, func(c *consume.Config) {
		// While the store is held, the pauses of the others end.
		c.RetryMin, c.RetryMax = time.Nanosecond, time.Nanosecond
		decode := c.Handlers[1].Decode
		c.Handlers[1].Decode = func(ctx context.Context, f codec.Frame) (any, error) {
			defer entries.Add(1)
			return decode(ctx, f)
		}
	})
	b.eventually("paused", func() error { return wantState(m, consume.PausedDLT) })
	const rounds = 8 // which partition comes first is chance
	for round := range rounds {
		held, release := f.hold()
		before := entries.Load()
		b.produce(b.entry(fmt.Sprint("hold", round), "b", 1, 0))
		<-held
		b.produce(b.entry(fmt.Sprint("over", round), "a", 1, 0))
		b.eventually("decoded", func() error {
			if n := entries.Load() - before; n < 2 {
				return fmt.Errorf("%d of 2", n)
			}
			return nil
		})
		close(release)
		b.eventually("set aside", func() error {
			if n := b.query("SELECT count(*) FROM firehose_dead_letters"); n != int64(round+1) {
				return fmt.Errorf("%d records, want %d", n, round+1)
			}
			return nil
		})
	}
	accept()
	b.caughtUp()
	b.wantQuery(rounds+2, "SELECT count(*) FROM firehose_dead_letters")
	b.wantQuery(rounds+1, "SELECT sum(entries) FROM sums")
}

// The store refuses an event whose record is gone, so that it is read again, and
// with it what stands behind it and is set aside already: once is enough.
func TestDeadLetterBehindAnEventThatIsReadAgain(t *testing.T) {
	b := newBank(t)
	f := &faulty{Store: b.store}
	var decoded atomic.Int32
	b.produce(b.entry("max", "a", math.MaxInt64, 0))
	b.start(f, func(c *consume.Config) {
		decode := c.Handlers[1].Decode
		c.Handlers[1].Decode = func(ctx context.Context, f codec.Frame) (any, error) {
			defer decoded.Add(1)
			return decode(ctx, f)
		}
	})
	b.caughtUp()
	held, release := f.hold()
	b.produce(b.entry("hold", "b", 1, 0))
	<-held
	bad := b.entry("bad", "a", 1, 0)
	bad.Value = bad.Value[:len(bad.Value)-1]
	for i, r := range []*kgo.Record{b.entry("over", "a", 1, 0), bad} { // polled one after the other
		b.produce(r)
		b.eventually("decoded", func() error {
			if n := decoded.Load(); n < int32(3+i) {
				return fmt.Errorf("%d records", n)
			}
			return nil
		})
	}
	close(release)
	b.caughtUp()
	reasons, _ := b.deadLetters("bank.entries")
	if len(reasons) != 2 || reasons[0].Offset+reasons[1].Offset != 2+3 {
		t.Errorf("dead letters: got %+v, want offsets 2 and 3 once each", reasons)
	}
	b.wantQuery(2, "SELECT count(*) FROM firehose_dead_letters")
}

// What stands behind a record whose dead letter is refused waits for it, however
// short the pause was.
func TestNothingPassesARecordThatIsGivenBack(t *testing.T) {
	b := newBank(t)
	b.produce(b.entry("max", "a", math.MaxInt64, 0))
	b.start(b.store).untilIdle(b)
	accept := b.refuse("bank.entries.bank-dlt", kerr.TopicAuthorizationFailed)
	b.produce(b.entry("over", "a", 1, 0), b.entry("good", "b", 1, 0))
	m := b.start(b.store, func(c *consume.Config) { c.RetryMin, c.RetryMax = time.Nanosecond, time.Nanosecond })
	b.eventually("paused", func() error { return wantState(m, consume.PausedDLT) })
	accept()
	b.caughtUp()
	b.wantQuery(1, "SELECT count(*) FROM firehose_dead_letters")
	b.wantQuery(2, "SELECT sum(entries) FROM sums")
}

// untilIdle stops the member once it has caught up.
func (m *member) untilIdle(b *bank) {
	b.t.Helper()
	b.caughtUp()
	if err := m.end(b.t); err != nil {
		b.t.Fatal(err)
	}
}

// A projection that sees the state before refuses events while they are merged.
// That is no failure of the store, for which partitions would pause.
func TestRefusalsWhileMergingDoNotPause(t *testing.T) {
	b := newBank(t)
	for i := range 25 {
		b.produce(b.account(fmt.Sprint("k", i), 1, -666, 0))
	}
	b.start(b.store, func(c *consume.Config) {
		project := c.Handlers[0].Project
		c.Handlers[0].Project = func(e, before *consume.Event, ch *consume.Changes) error {
			if e.Value.(*account).Limit == -666 {
				return &consume.Refusal{Reason: "limit: out of range"}
			}
			return project(e, before, ch)
		}
	})
	b.caughtUp()
	b.wantQuery(25, "SELECT count(*) FROM firehose_dead_letters")
	if logs := b.logs.String(); strings.Contains(logs, "paused") {
		t.Errorf("a partition paused:\n%s", logs)
	}
}

// The last record of the log is bad and the breaker is open. With nothing left to
// try, there is nothing to wait for either.
func TestBreakerOpenAtTheEndOfTheLog(t *testing.T) {
	b := newBank(t)
	for i := range 101 {
		r := b.entry(fmt.Sprint("bad", i), "a", 1, 0)
		r.Value = []byte("garbage")
		b.client.Produce(t.Context(), r, nil)
	}
	if err := b.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := b.start(b.store)
	b.caughtUp()
	if !strings.Contains(b.logs.String(), "paused_breaker") {
		t.Error("the breaker did not trip")
	}
	b.eventually("ready", func() error { return m.Ready() })
}

// Each unknown schema is waited for as long as the first one: a pause of the
// decoder that came to an end does not lengthen the next.
func TestPausesForUnknownSchemasDoNotGrow(t *testing.T) {
	b := newBank(t)
	b.start(b.store, func(c *consume.Config) {
		c.RetryMin, c.RetryMax = time.Millisecond, time.Hour
		c.SchemaPatience = 2 * time.Millisecond
	})
	const n = 20 // pauses at least: the last one would take a quarter of an hour
	for i := range n {
		r := b.entry(fmt.Sprint("unknown", i), "a", 1, 0)
		r.Value = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(9000+i)), 1, 2)
		b.produce(r, b.entry(fmt.Sprint("known", i), "a", 1, 0))
		b.caughtUp()
	}
	b.wantQuery(n, "SELECT sum(entries) FROM sums")
	b.wantQuery(n, "SELECT count(*) FROM firehose_dead_letters")
}

// What fitted its topic fits the dead letters: a record of all that a topic takes,
// and one that only fitted because it was compressed.
func TestLargeRecordsAreSetAside(t *testing.T) {
	for _, test := range []struct {
		name string
		size int
		opts []kgo.Opt
	}{
		{"all that a topic takes", 1_020_000, []kgo.Opt{kgo.ProducerBatchMaxBytes(1_048_588), kgo.ProducerBatchCompression(kgo.NoCompression())}},
		{"compressed", 3_000_000, []kgo.Opt{kgo.ProducerBatchMaxBytes(10 << 20), kgo.ProducerBatchCompression(kgo.GzipCompression())}},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBank(t)
			r := b.entry("large", "a", 1, 0)
			r.Value = bytes.Repeat([]byte{'x'}, test.size)
			b.produceAs(r, test.opts...)
			b.produce(b.entry("next", "a", 1, 0))
			b.start(b.store)
			b.caughtUp()
			b.wantQuery(1, "SELECT sum(entries) FROM sums")
			if _, records := b.deadLetters("bank.entries"); len(records) != 1 || !bytes.Equal(records[0].Value, r.Value) {
				t.Errorf("got %d dead letters, want the record as it was", len(records))
			}
		})
	}
}

// A batch that decompresses to more than may be held cannot be read: its
// partition stops and says so, the others go on.
func TestDecompressionBombStopsItsPartition(t *testing.T) {
	b := newBank(t)
	r := b.entry("bomb", "a", 1, 0)
	r.Value = make([]byte, 3<<20)
	b.produceAs(r, kgo.ProducerBatchMaxBytes(10<<20), kgo.ProducerBatchCompression(kgo.GzipCompression()))
	b.produce(b.entry("next", "a", 1, 0), b.entry("other", "a", 1, 1))
	m := b.start(b.store, func(c *consume.Config) { c.Kafka.MaxDecompressedBytes = 2 << 20 })
	b.eventually("stopped", func() error { return wantState(m, consume.StoppedTooLarge) })
	b.eventually("the others go on", func() error {
		if n := b.query("SELECT sum(entries) FROM sums"); n != 1 {
			return fmt.Errorf("%d entries", n)
		}
		return nil
	})
	if err := m.Ready(); err == nil || !strings.Contains(err.Error(), "bank.entries/0 stopped_batch_too_large") {
		t.Errorf("ready: got %v, want the partition and its state", err)
	}
}

// produceAs sends a record through a client of its own.
func (b *bank) produceAs(r *kgo.Record, opts ...kgo.Opt) {
	b.t.Helper()
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{b.broker.Addr()}}, append(opts, kgo.RecordPartitioner(kgo.ManualPartitioner()))...)
	if err != nil {
		b.t.Fatal(err)
	}
	defer client.Close()
	if err := client.ProduceSync(b.t.Context(), r).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}
