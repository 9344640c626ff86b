package consume_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"firehose/internal/consume"
	"firehose/internal/store"
)

// The store refuses a batch, and is away for its first half just as the member
// stops. The second half may not be applied then: its position would pass the
// first.
func TestStopBetweenTheHalvesOfARefusedBatch(t *testing.T) {
	b := newBank(t)
	const n = 10
	for i := range n {
		b.produce(b.entry(fmt.Sprint("e", i), "a", 1, 0))
	}
	f := &faulty{Store: b.store}
	stop := make(chan context.CancelFunc, 1)
	calls := 0
	f.fault = func(_ context.Context, s consume.Store, batch *store.Batch) (store.Result, error, bool) {
		switch calls++; calls {
		case 1:
			return store.Result{}, fmt.Errorf("%w: one of them", store.ErrRefused), true
		case 2:
			(<-stop)()
			return store.Result{}, fmt.Errorf("%w: away", store.ErrTransient), true
		}
		return store.Result{}, nil, false
	}
	m := b.start(f, func(c *consume.Config) { c.RetryMin, c.RetryMax = time.Hour, time.Hour })
	stop <- m.stop
	b.eventually("the store is away", func() error {
		if len(stop) > 0 {
			return errors.New("it was not asked twice")
		}
		return nil
	})
	if err := m.end(t); err != nil {
		t.Errorf("run: %v", err)
	}
	if next := b.position("bank.entries", 0).Next; next != 0 {
		t.Errorf("position: got %d, beyond events that are not applied", next)
	}
	b.start(b.store)
	b.caughtUp()
	b.wantQuery(n, "SELECT sum(entries) FROM sums")
}
