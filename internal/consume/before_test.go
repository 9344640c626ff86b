package consume_test

import (
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/consume"
	"firehose/internal/event"
	"firehose/internal/store"
)

// A projection sees the same state before an event whether that comes from the
// store or from the same batch: else its effect would depend on when events come.
func TestBeforeIsTheSameInOneBatchAndInTwo(t *testing.T) {
	type seen struct { // all that an event shows
		event.Envelope
		From      store.Source
		Timestamp string
		Key       string
		Version   int64
		Deleted   bool
		Value     account
		Body      []byte
	}
	var got [2]seen
	for i, batches := range []int{1, 2} {
		b := newBank(t)
		var mu sync.Mutex
		look := func(c *consume.Config) {
			c.Handlers[0].Project = func(e, before *consume.Event, ch *consume.Changes) error {
				mu.Lock()
				defer mu.Unlock()
				if before != nil {
					got[i] = seen{before.Envelope, before.From, before.Timestamp.String(), before.Key,
						before.Version, before.Deleted, *before.Value.(*account), before.Body}
				}
				return nil
			}
		}
		if batches == 1 {
			b.produce(b.account("a", 1, 10, 0), b.account("a", 2, 20, 0))
			b.start(b.store, look)
		} else {
			b.start(b.store, look)
			b.produce(b.account("a", 1, 10, 0))
			b.caughtUp()
			b.produce(b.account("a", 2, 20, 0))
		}
		b.caughtUp()
	}
	if got[0].Value.Limit != 10 {
		t.Errorf("limit before: got %d, want 10", got[0].Value.Limit)
	}
	if diff := cmp.Diff(got[0], got[1]); diff != "" {
		t.Errorf("before (-one batch +two batches):\n%s", diff)
	}
}
