package consume_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/consume"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

// faulty is a store whose Apply can be disturbed.
type faulty struct {
	consume.Store
	mu    sync.Mutex
	fault func(ctx context.Context, s consume.Store, b *store.Batch) (store.Result, error, bool)
	calls int
}

func (f *faulty) Apply(ctx context.Context, b *store.Batch) (store.Result, error) {
	f.mu.Lock()
	f.calls++
	fault := f.fault
	f.mu.Unlock()
	if fault != nil {
		if r, err, done := fault(ctx, f.Store, b); done {
			return r, err
		}
	}
	return f.Store.Apply(ctx, b)
}

// hold has the next call wait until release is closed; held is closed once it does.
func (f *faulty) hold() (held, release chan struct{}) {
	held, release = make(chan struct{}), make(chan struct{})
	f.mu.Lock()
	defer f.mu.Unlock()
	f.fault = times(1, func(ctx context.Context, s consume.Store, b *store.Batch) (store.Result, error) {
		close(held)
		<-release
		return s.Apply(ctx, b)
	})
	return held, release
}

// times disturbs the first n calls.
func times(n int, do func(ctx context.Context, s consume.Store, b *store.Batch) (store.Result, error)) func(context.Context, consume.Store, *store.Batch) (store.Result, error, bool) {
	return func(ctx context.Context, s consume.Store, b *store.Batch) (store.Result, error, bool) {
		if n == 0 {
			return store.Result{}, nil, false
		}
		n--
		r, err := do(ctx, s, b)
		return r, err, true
	}
}

func TestStoreAwayThenBack(t *testing.T) {
	b := newBank(t)
	b.produce(b.entry("e1", "a", 5, 0), b.entry("e2", "a", 7, 1))
	b.start(&faulty{Store: b.store, fault: times(5, func(context.Context, consume.Store, *store.Batch) (store.Result, error) {
		return store.Result{}, fmt.Errorf("%w: gone fishing", store.ErrTransient)
	})})
	b.caughtUp()
	b.wantQuery(12, "SELECT sum(cents) FROM sums")
	if reasons, _ := b.deadLetters("bank.entries"); len(reasons) != 0 {
		t.Errorf("dead letters because the store was away: %v", reasons)
	}
	if !strings.Contains(b.logs.String(), "paused_store") {
		t.Errorf("the log does not tell of the pause:\n%s", b.logs)
	}
}

// The answer to a commit is lost: the rows are there, the engine does not know.
func TestCommitAnswerLost(t *testing.T) {
	b := newBank(t)
	for i := range 50 {
		b.produce(b.entry(fmt.Sprint("e", i), "a", 1, int32(i%2)))
	}
	b.start(&faulty{Store: b.store, fault: times(3, func(ctx context.Context, s consume.Store, batch *store.Batch) (store.Result, error) {
		if _, err := s.Apply(ctx, batch); err != nil {
			return store.Result{}, err
		}
		return store.Result{}, fmt.Errorf("%w: the answer is lost", store.ErrTransient)
	})})
	b.caughtUp()
	b.wantQuery(50, "SELECT sum(entries) FROM sums")
	b.wantQuery(50, "SELECT count(*) FROM journal")
}

// The answer that is lost is the last one for a while. What it left, nobody else
// comes to put right: the pause ends and the mirror follows.
func TestLostAnswerLeavesNoPause(t *testing.T) {
	b := newBank(t)
	b.produce(b.entry("e1", "a", 1, 0))
	m := b.start(&faulty{Store: b.store, fault: times(1, func(ctx context.Context, s consume.Store, batch *store.Batch) (store.Result, error) {
		if _, err := s.Apply(ctx, batch); err != nil {
			return store.Result{}, err
		}
		return store.Result{}, fmt.Errorf("%w: the answer is lost", store.ErrTransient)
	})})
	b.eventually("paused", func() error {
		if !strings.Contains(b.logs.String(), "paused_store") {
			return errors.New("not yet")
		}
		return nil
	})
	b.eventually("ready", func() error { return m.Ready() })
	b.eventually("mirror", func() error {
		got, err := kadm.NewClient(b.client).FetchOffsets(t.Context(), "bank")
		if err != nil {
			return err
		}
		if o, _ := got.Lookup("bank.entries", 0); o.At != 1 || o.Metadata != offsets.Mark("active") {
			return fmt.Errorf("committed %d %q", o.At, o.Metadata)
		}
		return nil
	})
	b.wantQuery(1, "SELECT sum(entries) FROM sums")
}

// Somebody else moves a position between the poll and the commit.
func TestZombieIsFenced(t *testing.T) {
	b := newBank(t)
	for i := range 20 {
		b.produce(b.entry(fmt.Sprint("e", i), "a", 1, 0))
	}
	b.start(&faulty{Store: b.store, fault: times(1, func(ctx context.Context, s consume.Store, batch *store.Batch) (store.Result, error) {
		// The successor applies the same batch first; then the zombie tries.
		if _, err := s.Apply(ctx, batch); err != nil {
			return store.Result{}, err
		}
		return s.Apply(ctx, batch)
	})})
	b.caughtUp()
	b.wantQuery(20, "SELECT sum(entries) FROM sums")
}

// The store was put back to an older copy: the engine reads the log again from
// there.
func TestPositionWentBack(t *testing.T) {
	b := newBank(t)
	for i := range 10 {
		b.produce(b.entry(fmt.Sprint("e", i), "a", 1, 0))
	}
	f := &faulty{Store: b.store}
	b.start(f)
	b.caughtUp()
	older := b.position("bank.entries", 0)
	f.mu.Lock()
	f.fault = times(1, func(ctx context.Context, s consume.Store, batch *store.Batch) (store.Result, error) {
		now := older
		rewind := store.Batch{Moves: []store.Move{{From: now, Next: 0, LeaderEpoch: offsets.NoEpoch}}}
		if _, err := s.Apply(ctx, &rewind); err != nil {
			return store.Result{}, err
		}
		return s.Apply(ctx, batch)
	})
	f.mu.Unlock()
	b.produce(b.entry("e10", "a", 1, 0))
	b.caughtUp()
	b.wantQuery(11, "SELECT sum(entries) FROM sums") // the IDs are known: no effect twice
}

func (b *bank) position(topic string, partition int32) offsets.Position {
	b.t.Helper()
	all, err := b.store.AllPositions(b.t.Context())
	if err != nil {
		b.t.Fatal(err)
	}
	for _, p := range all {
		if p.Topic == topic && p.Partition == partition {
			return p
		}
	}
	b.t.Fatalf("no position of %s/%d", topic, partition)
	return offsets.Position{}
}

func TestSameEventAtAnotherOffset(t *testing.T) {
	b := newBank(t)
	b.start(b.store)
	// In one batch and in another one.
	b.produce(b.entry("e1", "a", 5, 0), b.entry("e1", "a", 5, 0), b.entry("e2", "a", 1, 0))
	b.caughtUp()
	b.produce(b.entry("e1", "a", 5, 0), b.entry("e2", "a", 99, 0)) // the second with another body
	b.caughtUp()
	b.wantQuery(6, "SELECT sum(cents) FROM sums")
	b.wantQuery(2, "SELECT count(*) FROM journal")
	b.wantQuery(1, "SELECT count(*) FROM conflicts")
	b.wantQuery(1, "SELECT count(*) FROM conflicts WHERE policy='seen'")
}

func TestEntityVersions(t *testing.T) {
	b := newBank(t)
	v := int64(3)
	del := b.record("bank.accounts", 0, "del", "a", &account{}, &v)
	del.Value = nil
	b.start(b.store)
	for _, r := range []*kgo.Record{
		b.account("a", 2, 20, 0), b.account("a", 1, 10, 0), // late: no effect
		b.account("a", 2, 20, 0),      // again
		b.account("a", 2, 21, 0),      // concurrent: same version, another body
		del, b.account("a", 2, 20, 0), // a late update does not resurrect
		b.account("b", 1, 7, 1),
	} {
		b.produce(r)
		b.caughtUp()
	}
	b.wantQuery(1, "SELECT count(*) FROM accounts")
	b.wantQuery(7, "SELECT total FROM limits")
	b.wantQuery(1, "SELECT count(*) FROM conflicts WHERE policy='newest'")
}

// The store refuses one record of a batch: it alone is set aside.
func TestStoreRefusesOneRecord(t *testing.T) {
	b := newBank(t)
	for i := range 30 {
		cents := int64(1)
		if i == 17 {
			cents = math.MaxInt64
		}
		b.client.Produce(t.Context(), b.entry(fmt.Sprint("e", i), "a", cents, 0), nil)
	}
	b.produce(b.entry("last", "b", 1, 0))
	b.start(b.store)
	b.caughtUp()
	b.wantQuery(30, "SELECT sum(entries) FROM sums")
	reasons, _ := b.deadLetters("bank.entries")
	if len(reasons) != 1 || reasons[0].Class != consume.ClassStoreRefused || reasons[0].Offset != 17 {
		t.Errorf("dead letters: got %+v, want offset 17 alone", reasons)
	}
}

// Two members share a store while they come and go; each event counts once.
func TestMembersComeAndGo(t *testing.T) {
	b := newBank(t)
	stop := make(chan struct{})
	var wg sync.WaitGroup
	n := 0
	wg.Go(func() {
		for tick := time.NewTicker(10 * time.Millisecond); ; {
			select {
			case <-stop:
				tick.Stop()
				return
			case <-tick.C:
			}
			for range 10 {
				b.client.Produce(t.Context(), b.entry(fmt.Sprint("e", n), "a", 1, int32(n%2)), nil)
				n++
			}
		}
	})
	keep := b.start(b.store)
	for range 4 {
		other := b.start(b.store)
		b.eventually("both have partitions", func() error {
			if len(keep.Status()) == 0 || len(other.Status()) == 0 {
				return fmt.Errorf("%d and %d", len(keep.Status()), len(other.Status()))
			}
			return nil
		})
		if err := other.end(t); err != nil {
			t.Error(err)
		}
	}
	close(stop)
	wg.Wait()
	if err := b.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.caughtUp()
	b.wantQuery(int64(n), "SELECT sum(entries) FROM sums")
}

// A service that cannot go on says so instead of setting its events aside.
func TestMisuseStopsTheService(t *testing.T) {
	b := newBank(t)
	b.produce(b.entry("e1", "a", 5, 0))
	m := b.start(b.store, func(c *consume.Config) {
		for _, h := range c.Handlers {
			h.Project = func(_, _ *consume.Event, ch *consume.Changes) error {
				ch.Append(journal, []any{"too few"})
				return nil
			}
		}
	})
	select {
	case err := <-m.done:
		m.done <- err
		if err == nil || !strings.Contains(err.Error(), "journal") {
			t.Errorf("run: got %v, want an error that names the table", err)
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the service goes on")
	}
}
