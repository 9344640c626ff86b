package storetest

import (
	"context"
	"errors"
	"fmt"
	"math/rand"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// full is a batch with something of everything.
func full(n int64) *store.Batch {
	id := fmt.Sprint("full-", n)
	return &store.Batch{
		Seen:   []store.Seen{seen(id, moment, 1)},
		Images: []store.ImageChange{image(id, stamp(n, id), "body", conflict.Stamp{})},
		Changes: []store.Changes{
			{Table: things(), Rows: []store.Row{row("a", id, stamp(n, id))}},
			{Table: stock(), Sums: []store.Sum{{Key: []any{"sku"}, Deltas: []int64{1, 1}}}},
			{Table: ledger(), Entries: []store.Entry{{Source: "/shop", EventID: id, Values: []any{"cash", n}}}},
		},
		Conflicts: []store.Conflict{{Key: id, Policy: "newest", Loser: stamp(n, "l"), Winner: stamp(n, "w"), Body: []byte("b"), Outcome: "kept"}},
		SetAside:  []store.SetAside{{From: store.Source{Topic: "shop.things", TopicID: topicA, Offset: n}, Class: "refused", Time: moment}},
	}
}

// dump is all that a store holds, whatever it is for.
func (h *harness) dump() [][]string {
	h.Helper()
	all := [][]string{{h.mustHash()}}
	for _, query := range []string{
		`SELECT topic, partition, topic_id, next, leader_epoch, generation, updated_at FROM positions ORDER BY 1, 2`,
		`SELECT key, policy, loser_event_id FROM conflicts ORDER BY 1, 2, 3`,
		`SELECT topic, "offset" FROM firehose_dead_letters ORDER BY 1, 2`,
		`SELECT topic, key, version FROM firehose_images ORDER BY 1, 2`,
		`SELECT id, state, firehose_version FROM firehose_things ORDER BY 1`,
	} {
		all = append(append(all, []string{query}), h.mustRead(query)...)
	}
	known, err := h.Lookup(h.Context(), &store.Lookup{Seen: []store.Seen{seen("full-1", moment, 1), seen("full-2", moment, 1)}})
	if err != nil {
		h.Fatal(err)
	}
	return append(all, []string{fmt.Sprint(len(known.Seen))})
}

// testAllOrNothing: whatever is wrong with a batch, nothing of it stays, and the
// same batch without the fault goes through afterwards.
func testAllOrNothing(t *testing.T, open Opener) {
	faults := map[string]struct {
		class error
		fault func(h *harness, b *store.Batch)
	}{
		"position": {store.ErrFenced, func(h *harness, b *store.Batch) {
			b.Moves = []store.Move{{From: position("shop.nowhere", 0, 0), Next: 1}}
		}},
		"seen": {store.ErrChanged, func(_ *harness, b *store.Batch) { b.Seen = append(b.Seen, seen("full-1", moment, 1)) }},
		"image": {store.ErrChanged, func(_ *harness, b *store.Batch) {
			b.Images = append(b.Images, image("full-1", stamp(9, "e"), "body", stamp(8, "e")))
		}},
		"row": {store.ErrRefused, func(_ *harness, b *store.Batch) {
			b.Changes[0].Rows = append(b.Changes[0].Rows, row("z", "\x00", stamp(1, "e")))
		}},
		"sum": {store.ErrRefused, func(_ *harness, b *store.Batch) {
			b.Changes[1].Sums = append(b.Changes[1].Sums, store.Sum{Key: []any{"sku"}, Deltas: []int64{1<<63 - 1, 0}})
		}},
		"entry": {store.ErrRefused, func(_ *harness, b *store.Batch) {
			b.Changes[2].Entries = append(b.Changes[2].Entries, store.Entry{Source: "/shop", EventID: "x", Values: []any{"cash", nil}})
		}},
		"table": {store.ErrFatal, func(_ *harness, b *store.Batch) {
			b.Changes = append(b.Changes, store.Changes{Table: &store.Table{Name: "zz"}})
		}},
	}
	for name, f := range faults {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, open, things(), stock(), ledger())
			h.mustApply(full(1))
			before := h.dump()
			b := full(2)
			f.fault(h, b)
			_, err := h.apply(b)
			h.wantError(err, f.class)
			if diff := cmp.Diff(before, h.dump()); diff != "" {
				t.Errorf("something stayed (-before +after):\n%s", diff)
			}
			h.mustApply(full(2))
			h.want(`SELECT on_hand, sold FROM stock`, one(2, 2))
		})
	}
}

func testCancelled(t *testing.T, open Opener) {
	h := newHarness(t, open, things(), stock(), ledger())
	h.mustApply(full(1))
	before := h.dump()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	b := full(2)
	b.Moves = []store.Move{{From: h.at, Next: h.at.Next + 1}}
	_, err := h.Apply(ctx, b)
	h.wantError(err, store.ErrTransient)
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want it to be context.Canceled too", err)
	}
	_, err = h.Lookup(ctx, &store.Lookup{Seen: b.Seen})
	h.wantError(err, store.ErrTransient)
	_, err = h.Positions(ctx, nil)
	h.wantError(err, store.ErrTransient)
	_, err = h.AllPositions(ctx)
	h.wantError(err, store.ErrTransient)
	_, err = h.Hash(ctx)
	h.wantError(err, store.ErrTransient)
	if diff := cmp.Diff(before, h.dump()); diff != "" {
		t.Errorf("something stayed (-before +after):\n%s", diff)
	}
	h.mustApply(full(2))
}

func testClosed(t *testing.T, open Opener) {
	h := newHarness(t, open, things())
	for range 2 {
		if err := h.Close(); err != nil {
			t.Errorf("close: %v", err)
		}
	}
	_, err := h.apply(&store.Batch{})
	h.wantError(err, store.ErrFatal)
	_, err = h.Lookup(t.Context(), &store.Lookup{Images: []store.EntityKey{{}}})
	h.wantError(err, store.ErrFatal)
}

// testHash: the hash tells contents apart, and nothing else.
func testHash(t *testing.T, open Opener) {
	batch := func(change func(b *store.Batch)) *store.Batch {
		b := full(1)
		change(b)
		return b
	}
	hashes := map[string]string{}
	for name, b := range map[string]*store.Batch{
		"as is":     full(1),
		"value":     batch(func(b *store.Batch) { b.Changes[0].Rows[0].Values = []any{"other", nil} }),
		"shifted":   batch(func(b *store.Batch) { b.Changes[0].Rows[0].Values = []any{"", "full-1"} }),
		"not null":  batch(func(b *store.Batch) { b.Changes[0].Rows[0].Values[1] = "" }),
		"key":       batch(func(b *store.Batch) { b.Changes[0].Rows[0].Key = []any{"b"} }),
		"version":   batch(func(b *store.Batch) { b.Changes[0].Rows[0].Stamp.Version++ }),
		"time":      batch(func(b *store.Batch) { b.Changes[0].Rows[0].Stamp.Time++ }),
		"origin":    batch(func(b *store.Batch) { b.Changes[0].Rows[0].Stamp.Origin = "/x" }),
		"event ID":  batch(func(b *store.Batch) { b.Changes[0].Rows[0].Stamp.EventID = "x" }),
		"no row":    batch(func(b *store.Batch) { b.Changes = b.Changes[1:] }),
		"sum":       batch(func(b *store.Batch) { b.Changes[1].Sums[0].Deltas[0]++ }),
		"entry":     batch(func(b *store.Batch) { b.Changes[2].Entries[0].Line++ }),
		"entry's":   batch(func(b *store.Batch) { b.Changes[2].Entries[0].Values[1] = int64(99) }),
		"no events": {},
	} {
		h := newHarness(t, open, things(), stock(), ledger())
		h.mustApply(b)
		sum := h.mustHash()
		if other, ok := hashes[sum]; ok {
			t.Errorf("%q and %q hash alike", name, other)
		}
		hashes[sum] = name
	}
	for name, b := range map[string]*store.Batch{
		"seen":      batch(func(b *store.Batch) { b.Seen = nil }),
		"conflicts": batch(func(b *store.Batch) { b.Conflicts = nil }),
		"positions": batch(func(b *store.Batch) { b.SetAside = nil }),
		"deleted": batch(func(b *store.Batch) {
			b.Changes[0].Rows = append(b.Changes[0].Rows, removed("gone", stamp(1, "e")))
		}),
		"order of tables": batch(func(b *store.Batch) { slices.Reverse(b.Changes) }),
	} {
		h := newHarness(t, open, things(), stock(), ledger())
		h.mustApply(&store.Batch{})
		h.mustApply(b)
		if hashes[h.mustHash()] != "as is" {
			t.Errorf("%s: hashes otherwise", name)
		}
	}
}

// testAnyOrder: whatever order a set of entity events is delivered in, however
// often and in whatever batches, the tables are the same: for each key the event
// that comes last in the total order, and of events under one stamp the one whose
// row does.
func testAnyOrder(t *testing.T, open Opener) {
	table := things()
	events := rapid.Custom(func(t *rapid.T) store.Row {
		s := conflict.Stamp{
			Version: rapid.Int64Range(1, 3).Draw(t, "version"),
			Time:    rapid.Int64Range(1, 2).Draw(t, "time"),
			Origin:  rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "origin"),
			EventID: rapid.StringMatching(`[0-9a-f]`).Draw(t, "event ID"),
		}
		id := rapid.SampledFrom([]string{"a", "b", "c"}).Draw(t, "key")
		if rapid.IntRange(0, 4).Draw(t, "kind") == 0 {
			return removed(id, s)
		}
		return row(id, rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "state"), s)
	})
	// Opening a store takes longer than filling it, so that two are used for all
	// sets, each with keys of its own; after a failure two new ones, for the smaller
	// sets that are then tried.
	var stores []*harness
	number := 0
	rapid.Check(t, func(rt *rapid.T) {
		if stores == nil {
			stores = []*harness{newHarness(t, open, table), newHarness(t, open, table)}
		}
		used := stores
		stores = nil
		number++
		set := rapid.SliceOfN(events, 1, 8).Draw(rt, "events")
		for i := range set {
			set[i].Key = []any{fmt.Sprintf("%d%s", number, set[i].Key[0])}
		}
		for range rapid.IntRange(0, 3).Draw(rt, "ties") {
			r := rapid.SampledFrom(set).Draw(rt, "tied")
			set = append(set, row(r.Key[0].(string), "tied", r.Stamp))
		}
		for _, h := range used {
			delivered := slices.Clone(set)
			for range rapid.IntRange(0, 4).Draw(rt, "repeats") {
				delivered = append(delivered, rapid.SampledFrom(set).Draw(rt, "repeat"))
			}
			r := rand.New(rand.NewSource(rapid.Int64().Draw(rt, "order")))
			r.Shuffle(len(delivered), func(i, j int) { delivered[i], delivered[j] = delivered[j], delivered[i] })
			deliver(h, table, append(delivered, set...))
			h.checkWinners(rt, number, set)
		}
		if used[0].mustHash() != used[1].mustHash() {
			rt.Fatalf("two orders of %v hash differently", set)
		}
		if diff := cmp.Diff(used[0].losers(number), used[1].losers(number)); diff != "" {
			rt.Fatalf("bodies that lost, of %v (-one +other):\n%s", set, diff)
		}
		stores = used
	})
}

// losers are the bodies that lost to another one of the same version, once all
// events came again. Events that say the same do not conflict, so it is certain
// which bodies are kept, not with which of their stamps.
func (h *harness) losers(number int) [][]string {
	h.Helper()
	var lost [][]string
	for _, r := range h.mustRead(fmt.Sprintf(`SELECT DISTINCT c.key, c.body, t.state FROM conflicts c JOIN firehose_things t ON t.id = c.key
		WHERE c.key IN ('%da', '%[1]db', '%[1]dc') AND c.loser_version = t.firehose_version AND c.encoding <> 'columns' ORDER BY 1, 2`, number)) {
		if key, body, state := r[0], r[1], r[2]; body != state && body != "body of "+state { // a delete is NULL, both ways
			lost = append(lost, one(key, body))
		}
	}
	return lost
}

// deliver applies rows in batches that are as long as the keys are distinct.
func deliver(h *harness, table *store.Table, delivered []store.Row) {
	for len(delivered) > 0 {
		var batch []store.Row
		for len(delivered) > 0 && !slices.ContainsFunc(batch, func(r store.Row) bool { return r.Key[0] == delivered[0].Key[0] }) {
			batch, delivered = append(batch, delivered[0]), delivered[1:]
		}
		slices.SortFunc(batch, func(a, b store.Row) int { return strings.Compare(a.Key[0].(string), b.Key[0].(string)) })
		h.mustApply(rows(table, batch...))
	}
}

func (h *harness) checkWinners(rt *rapid.T, number int, set []store.Row) {
	winners := map[string]store.Row{}
	for _, r := range set {
		key := r.Key[0].(string)
		w, ok := winners[key]
		if c := conflict.Compare(r.Stamp, w.Stamp); !ok || c > 0 || c == 0 && store.CompareRow(&r, &w) > 0 {
			winners[key] = r
		}
	}
	var want [][]string
	for _, letter := range []string{"a", "b", "c"} {
		key := fmt.Sprint(number, letter)
		if w, ok := winners[key]; ok && !w.Deleted {
			want = append(want, one(key, w.Values[0]))
		}
	}
	if diff := cmp.Diff(want, h.mustRead(fmt.Sprintf(`SELECT id, state FROM things WHERE id IN ('%da', '%[1]db', '%[1]dc') ORDER BY id`, number))); diff != "" {
		rt.Fatalf("rows of %v (-want +got):\n%s", set, diff)
	}
}
