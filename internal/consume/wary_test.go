package consume_test

import (
	"context"
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
