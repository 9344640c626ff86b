package consume_test

import (
	"context"
	"fmt"
	"sync/atomic"
	"testing"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/store"
)

// counted counts what the handlers decode.
func counted(n *atomic.Int32) func(*consume.Config) {
	return func(c *consume.Config) {
		for _, h := range c.Handlers {
			decode := h.Decode
			h.Decode = func(ctx context.Context, f codec.Frame) (any, error) {
				defer n.Add(1)
				return decode(ctx, f)
			}
		}
	}
}

// everywhere sends one event to each of the four partitions.
func (b *bank) everywhere(name string) {
	b.t.Helper()
	for p := range int32(2) {
		b.produce(b.entry(fmt.Sprint(name, p), "a", 1, p), b.account(fmt.Sprint(name, p), 1, 1, p))
	}
}

// A partition that is taken away is given up at once, also where the transaction
// that it was part of is tried again and again for the sake of others.
func TestRevokedWhileTheStoreIsAway(t *testing.T) {
	b := newBank(t)
	held, release := make(chan struct{}), make(chan struct{})
	var away atomic.Bool
	var calls int
	f := &faulty{Store: b.store}
	f.fault = func(context.Context, consume.Store, *store.Batch) (store.Result, error, bool) {
		if calls++; calls == 1 {
			close(held)
			<-release
			return store.Result{}, nil, false
		}
		return store.Result{}, fmt.Errorf("%w: away", store.ErrTransient), away.Load()
	}
	var decoded atomic.Int32
	b.everywhere("first")
	m := b.start(f, counted(&decoded))
	<-held
	b.everywhere("second")
	b.eventually("decoded", func() error {
		if n := decoded.Load(); n < 8 {
			return fmt.Errorf("%d of 8", n)
		}
		return nil
	})
	away.Store(true)
	close(release) // the next transaction takes all four partitions
	b.eventually("the store is away", func() error { return wantState(m, consume.PausedStore) })
	other := b.start(b.store)
	b.eventually("the other member has its share", func() error {
		if n := len(other.Status()); n != 2 {
			return fmt.Errorf("it has %d partitions, want 2", n)
		}
		for _, s := range other.Status() {
			if s.Lag() > 0 || s.Position.Next != 2 {
				return fmt.Errorf("%s of %d", s.Position, s.End)
			}
		}
		return nil
	})
	away.Store(false)
	b.caughtUp()
	b.wantQuery(4, "SELECT sum(entries) FROM sums")
	b.wantQuery(4, "SELECT total FROM limits")
}
