package consume_test

import (
	"context"
	"errors"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/consume"
	"firehose/internal/event"
	"firehose/internal/store"
)

// batches keeps the batches that reach the store.
type batches struct {
	consume.Store
	mu  sync.Mutex
	all []*store.Batch
}

func (b *batches) Apply(ctx context.Context, batch *store.Batch) (store.Result, error) {
	b.mu.Lock()
	b.all = append(b.all, batch)
	b.mu.Unlock()
	return b.Store.Apply(ctx, batch)
}

// A table that gets a column while events are decoded has two shapes in one
// batch. Its rows are written in the wider one, whichever came first.
func TestOneBatchHoldsTwoShapesOfATable(t *testing.T) {
	narrow := &store.Table{Name: "shapes", Kind: store.Rows, Key: []store.Column{{Name: "id"}},
		Columns: []store.Column{{Name: "lim", Type: store.Int}}}
	wide := &store.Table{Name: "shapes", Kind: store.Rows, Key: narrow.Key,
		Columns: append(narrow.Columns[:1:1], store.Column{Name: "tier", Default: "basic"})}
	b := newBank(t)
	b.produce(b.account("a", 1, 10, 0), b.account("b", 2, 20, 0), b.account("c", 1, 30, 0))
	into := &batches{Store: b.store}
	b.start(into, func(cfg *consume.Config) {
		h := *cfg.Handlers[0]
		h.NeedBefore = false
		h.Project = func(e, _ *consume.Event, c *consume.Changes) error {
			if limit := e.Value.(*account).Limit; e.Version == 1 {
				c.Put(narrow, []any{e.Key}, []any{limit})
			} else {
				c.Put(wide, []any{e.Key}, []any{limit, "gold"})
			}
			return nil
		}
		cfg.Handlers = []*consume.Handler{&h, cfg.Handlers[1]}
	})
	b.caughtUp()
	into.mu.Lock()
	defer into.mu.Unlock()
	if len(into.all) != 1 {
		t.Fatalf("got %d batches, want 1: the log was there before the member", len(into.all))
	}
	got := map[any][]any{}
	for _, c := range into.all[0].Changes {
		for _, r := range c.Rows {
			got[r.Key[0]] = r.Values
		}
	}
	want := map[any][]any{"a": {int64(10), "basic"}, "b": {int64(20), "gold"}, "c": {int64(30), "basic"}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("rows (-want +got):\n%s", diff)
	}
	b.wantQuery(2, "SELECT COUNT(*) FROM shapes WHERE tier = 'basic'")
}

// An entity's events write no log: compaction takes states away, so that a
// rebuild would write another one. That its projection sees what was before
// changes nothing about it.
func TestAppendFromAnEntityIsMisuse(t *testing.T) {
	for _, needBefore := range []bool{false, true} {
		b := newBank(t)
		h := *b.handlers()[0]
		h.NeedBefore = needBefore
		h.Project = func(e, _ *consume.Event, c *consume.Changes) error {
			c.Append(journal, []any{e.Key, int64(1)})
			return nil
		}
		f := consume.NewFold([]*consume.Handler{&h}, []*store.Table{journal})
		r := b.account("a", 1, 10, 0)
		env, err := event.ParseHeaders(r.Headers)
		if err != nil {
			t.Fatal(err)
		}
		err = f.Apply(t.Context(), r.Topic, &env, r.Value)
		if !errors.Is(err, consume.ErrMisuse) || !strings.Contains(err.Error(), "journal") {
			t.Errorf("with the state before %v: got %v, want an ErrMisuse that names the table", needBefore, err)
		}
		if rows := f.Rows("journal"); len(rows) > 0 {
			t.Errorf("with the state before %v: got %v, want nothing", needBefore, rows)
		}
	}
}
