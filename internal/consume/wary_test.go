package consume_test

import (
	"context"
	"fmt"
	"math"
	"slices"
	"sync/atomic"
	"testing"

	"firehose/internal/consume"
	"firehose/internal/store"
)

// countingStore counts the event IDs that are asked for.
type countingStore struct {
	consume.Store
	asked atomic.Int64
}

func (s *countingStore) Lookup(ctx context.Context, l *store.Lookup) (store.Known, error) {
	s.asked.Add(int64(len(l.Seen)))
	return s.Store.Lookup(ctx, l)
}

// Event IDs are taken to be new without asking, until one has come again: then the
// transaction says so, it has one effect, and the batches that follow ask.
func TestEventIDsAreAskedForOnceOneHasComeAgain(t *testing.T) {
	b := newBank(t)
	counting := &countingStore{Store: b.store}
	b.start(counting)
	b.produce(b.entry("e1", "a", 5, 0), b.entry("e2", "a", 7, 0))
	b.caughtUp()
	if n := counting.asked.Load(); n != 0 {
		t.Errorf("%d event IDs were asked for before any came again", n)
	}
	b.produce(b.entry("e1", "a", 5, 1), b.entry("e3", "a", 1, 1))
	b.caughtUp()
	b.wantQuery(13, "SELECT sum(cents) FROM sums")
	b.wantQuery(3, "SELECT sum(entries) FROM sums")
	was := counting.asked.Load()
	if was == 0 {
		t.Error("an event ID came again, and none was asked for")
	}
	b.produce(b.entry("e4", "a", 1, 0))
	b.caughtUp()
	b.wantQuery(14, "SELECT sum(cents) FROM sums")
	if counting.asked.Load() == was {
		t.Error("the batch behind one whose event ID came again did not ask")
	}
}

// An event that comes again does nothing, also where a store that has not looked
// at its ID yet refuses what it would do if it were new: it is not set aside.
func TestEventThatComesAgainIsNotRefused(t *testing.T) {
	b := newBank(t)
	known := map[store.EventKey]bool{} // the only applier's
	b.start(&faulty{Store: b.store, fault: func(_ context.Context, _ consume.Store, batch *store.Batch) (store.Result, error, bool) {
		again := slices.ContainsFunc(batch.Seen, func(s store.Seen) bool { return known[s.EventKey] })
		if again {
			return store.Result{}, fmt.Errorf("%w: it would overflow", store.ErrRefused), true
		}
		for _, s := range batch.Seen {
			known[s.EventKey] = true
		}
		return store.Result{}, nil, false
	}})
	b.produce(b.entry("e1", "a", math.MaxInt64-5, 0), b.entry("e2", "a", 5, 0))
	b.caughtUp()
	b.produce(b.entry("e2", "a", 5, 1), b.entry("e3", "b", 1, 1))
	b.caughtUp()
	b.wantQuery(math.MaxInt64, "SELECT cents FROM sums WHERE account='a'")
	b.wantQuery(1, "SELECT cents FROM sums WHERE account='b'")
	b.wantQuery(0, "SELECT count(*) FROM firehose_dead_letters")
}
