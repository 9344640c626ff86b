package consume_test

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"

	"firehose/internal/consume"
	"firehose/internal/store"
)

// write changes the store behind the engine's back.
func (b *bank) write(statements ...string) {
	b.t.Helper()
	db, err := sql.Open("sqlite", "file:"+b.path+"?_pragma=busy_timeout(5000)")
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	for _, s := range statements {
		if _, err := db.Exec(s); err != nil {
			b.t.Fatalf("%s: %v", s, err)
		}
	}
}

// empty takes everything out of the store that came from bank.entries, but the
// positions.
func (b *bank) empty() {
	b.t.Helper()
	statements := []string{"DELETE FROM sums", "DELETE FROM journal"}
	for _, name := range b.texts("SELECT name FROM firehose_seen_slices") {
		statements = append(statements, `DELETE FROM "`+name+`"`)
	}
	b.write(statements...)
}

// The store was put back to a copy from before the partition had a position. The
// log is read again from its start, never from where the member believes to be.
func TestPositionVanishes(t *testing.T) {
	b := newBank(t)
	for i := range 10 {
		b.produce(b.entry(fmt.Sprint("e", i), "a", 1, 0))
	}
	b.start(b.store)
	b.caughtUp()
	b.write("DELETE FROM positions")
	b.empty()
	b.produce(b.entry("e10", "a", 1, 0))
	b.eventually("the position is there again", func() error {
		for _, next := range b.texts("SELECT next FROM positions WHERE topic = 'bank.entries' AND partition = 0") {
			if next == "11" {
				return nil
			}
		}
		return errors.New("it is not")
	})
	b.wantQuery(11, "SELECT sum(entries) FROM sums")
}

// The store goes back while a batch is in flight. What the batch holds lies
// behind the position then, also when the poll loop has already gone back to it
// by the time that the applier looks.
func TestBatchInFlightWhenTheStoreGoesBack(t *testing.T) {
	b := newBank(t)
	for i := range 10 {
		b.produce(b.entry(fmt.Sprint("e", i), "a", 1, 0))
	}
	f := &faulty{Store: b.store}
	m := b.start(f)
	b.caughtUp()
	// Whoever asks for the status, as scrapes do, takes turns with poll loop and
	// applier: so the one overtakes the other.
	stop := make(chan struct{})
	var askers sync.WaitGroup
	for range 6 {
		askers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
					m.Status()
				}
			}
		})
	}
	defer askers.Wait()
	defer close(stop)
	for round := range 10 {
		f.mu.Lock()
		f.fault = times(1, func(ctx context.Context, s consume.Store, batch *store.Batch) (store.Result, error) {
			b.empty()
			b.write("UPDATE positions SET next = 0 WHERE topic = 'bank.entries' AND partition = 0")
			return s.Apply(ctx, batch)
		})
		f.mu.Unlock()
		b.produce(b.entry(fmt.Sprint("r", round), "a", 1, 0))
		b.caughtUp()
		if got, want := b.query("SELECT sum(entries) FROM sums"), int64(10+round+1); got != want {
			t.Fatalf("round %d: got %d entries, want %d", round, got, want)
		}
	}
}
