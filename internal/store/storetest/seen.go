package storetest

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/store"
)

const horizon = 24 * time.Hour

func seen(id string, at time.Time, body byte) store.Seen {
	return store.Seen{EventKey: store.EventKeyOf("/shop", id), Hash: store.Hash{body}, Time: at, Horizon: horizon}
}

func (h *harness) wantSeen(want map[store.EventKey]store.Hash, asked ...store.Seen) {
	h.Helper()
	known, err := h.Lookup(h.Context(), &store.Lookup{Seen: asked})
	if err != nil {
		h.Fatal(err)
	}
	if diff := cmp.Diff(want, known.Seen); diff != "" {
		h.Errorf("seen (-want +got):\n%s", diff)
	}
}

func testSeen(t *testing.T, open Opener) {
	h := newHarness(t, open)
	a, b := seen("a", moment, 1), seen("b", moment, 2)
	h.wantSeen(map[store.EventKey]store.Hash{}, a, b)
	h.mustApply(&store.Batch{Seen: []store.Seen{a, b}})
	// The hash that is answered is the stored one: the engine compares.
	other := a
	other.Hash = store.Hash{99}
	// Source and ID together are the key, however they are cut.
	elsewhere, cut := a, a
	elsewhere.EventKey, cut.EventKey = store.EventKeyOf("/other", "a"), store.EventKeyOf("/sho", "pa")
	h.wantSeen(map[store.EventKey]store.Hash{a.EventKey: {1}, b.EventKey: {2}}, other, b, elsewhere, cut, seen("c", moment, 3))
	h.mustApply(&store.Batch{Seen: []store.Seen{elsewhere, cut}})
	// Many at once, some of them known.
	many, want := []store.Seen{b, a}, map[store.EventKey]store.Hash{a.EventKey: {1}, b.EventKey: {2}}
	for i := range 3000 {
		many = append(many, seen(string(rune('α'+i)), moment, 7))
	}
	h.wantSeen(want, many...)
	h.mustApply(&store.Batch{Seen: many[2:]})
	for _, s := range many[2:] {
		want[s.EventKey] = s.Hash
	}
	h.wantSeen(want, many...)
}

// testSeenHorizon: whatever lies within the horizon by record time is known,
// before and after; what lies two horizons away is not.
func testSeenHorizon(t *testing.T, open Opener) {
	for _, at := range []time.Time{moment, moment.Add(11 * time.Hour), time.Unix(0, 0), time.Unix(-3600, 0), time.Unix(3600, 0)} {
		h := newHarness(t, open)
		s := seen("a", at, 1)
		h.mustApply(&store.Batch{Seen: []store.Seen{s}})
		for _, d := range []time.Duration{0, time.Millisecond, horizon / 2, horizon - time.Millisecond, horizon} {
			for _, d := range []time.Duration{d, -d} {
				h.wantSeen(map[store.EventKey]store.Hash{s.EventKey: {1}}, seen("a", at.Add(d), 1))
				_, err := h.apply(&store.Batch{Seen: []store.Seen{seen("a", at.Add(d), 1)}})
				h.wantError(err, store.ErrChanged)
			}
		}
		for _, d := range []time.Duration{2*horizon + time.Millisecond, -2*horizon - time.Millisecond} {
			h.wantSeen(map[store.EventKey]store.Hash{}, seen("a", at.Add(d), 1))
		}
	}
}

// testSeenTwice: an ID that came meanwhile undoes the batch.
func testSeenTwice(t *testing.T, open Opener) {
	table := stock()
	h := newHarness(t, open, table)
	a, b := seen("a", moment, 1), seen("b", moment, 1)
	h.mustApply(&store.Batch{Seen: []store.Seen{a}})
	before := h.mustHash()
	_, err := h.apply(&store.Batch{
		Seen:    []store.Seen{a, b},
		Changes: []store.Changes{{Table: table, Sums: []store.Sum{{Key: []any{"sku"}, Deltas: []int64{1, 1}}}}},
	})
	h.wantError(err, store.ErrChanged)
	if h.mustHash() != before {
		t.Error("the tables changed")
	}
	h.wantSeen(map[store.EventKey]store.Hash{a.EventKey: {1}}, a, b)
	// Merged again without it, the rest goes through.
	h.mustApply(&store.Batch{Seen: []store.Seen{b}})
	h.wantSeen(map[store.EventKey]store.Hash{a.EventKey: {1}, b.EventKey: {1}}, a, b)
}
