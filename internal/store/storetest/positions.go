package storetest

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/offsets"
	"firehose/internal/store"
)

func testPositions(t *testing.T, open Opener) {
	s := open(t, nil)
	ctx := t.Context()
	first := []offsets.Position{position("shop.b", 1, 40), position("shop.a", 2, 7), position("shop.a", 0, 0)}
	got, err := s.Positions(ctx, first)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(first, got); diff != "" {
		t.Errorf("first positions (-want +got):\n%s", diff)
	}
	// What is stored stays, whatever the log's start is by now; only what was
	// asked for is answered.
	other := position("shop.b", 1, 99)
	other.TopicID, other.Generation = topicB, 5
	got, err = s.Positions(ctx, []offsets.Position{other, position("shop.c", 0, 3)})
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]offsets.Position{first[0], position("shop.c", 0, 3)}, got); diff != "" {
		t.Errorf("second positions (-want +got):\n%s", diff)
	}
	all, err := s.AllPositions(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]offsets.Position{first[2], first[1], first[0], position("shop.c", 0, 3)}, all); diff != "" {
		t.Errorf("all positions (-want +got):\n%s", diff)
	}
	if got, err := s.Positions(ctx, nil); err != nil || len(got) != 0 {
		t.Errorf("no positions: got %v, %v", got, err)
	}
}

func testFenced(t *testing.T, open Opener) {
	changes := map[string]func(*offsets.Position){
		"topic ID":      func(p *offsets.Position) { p.TopicID = topicB },
		"generation":    func(p *offsets.Position) { p.Generation++ },
		"next behind":   func(p *offsets.Position) { p.Next-- },
		"next ahead":    func(p *offsets.Position) { p.Next++ },
		"no row":        func(p *offsets.Position) { p.Partition = 9 },
		"another topic": func(p *offsets.Position) { p.Topic = "shop.others" },
	}
	for name, change := range changes {
		t.Run(name, func(t *testing.T) {
			s := open(t, nil)
			from := position("shop.things", 0, 10)
			if _, err := s.Positions(t.Context(), []offsets.Position{from}); err != nil {
				t.Fatal(err)
			}
			change(&from)
			_, err := s.Apply(t.Context(), &store.Batch{Moves: []store.Move{{From: from, Next: 20, LeaderEpoch: 1}}})
			var fenced *store.FencedError
			if !errors.As(err, &fenced) || !errors.Is(err, store.ErrFenced) {
				t.Fatalf("got error %v, want a FencedError", err)
			}
			if diff := cmp.Diff([]offsets.Partition{from.Of()}, fenced.Partitions); diff != "" {
				t.Errorf("partitions (-want +got):\n%s", diff)
			}
		})
	}
	t.Run("the leader epoch does not fence", func(t *testing.T) {
		h := newHarness(t, open)
		h.at.LeaderEpoch = 77
		h.mustApply(&store.Batch{})
		got, err := h.AllPositions(t.Context())
		if err != nil || len(got) != 1 || got[0] != h.at {
			t.Errorf("got %v, %v, want %v", got, err, h.at)
		}
	})
}

// testFencedRollsBack: all partitions that do not match are named, and nothing
// of the batch is there.
func testFencedRollsBack(t *testing.T, open Opener) {
	table := things()
	s := open(t, []*store.Table{table})
	h := &harness{TB: t, Store: s}
	var start []offsets.Position
	for i := range int32(4) {
		start = append(start, position("shop.things", i, 10))
	}
	if _, err := s.Positions(t.Context(), start); err != nil {
		t.Fatal(err)
	}
	before := h.mustHash()
	b := rows(table, row("a", "new", stamp(1, "e1")))
	for _, p := range start {
		b.Moves = append(b.Moves, store.Move{From: p, Next: 11})
	}
	b.Moves[1].From.Next, b.Moves[3].From.Generation = 4, 2
	b.SetAside = []store.SetAside{{From: store.Source{Topic: "shop.things"}, Class: "undecodable", Time: moment}}
	_, err := s.Apply(t.Context(), b)
	var fenced *store.FencedError
	if !errors.As(err, &fenced) {
		t.Fatalf("got error %v, want a FencedError", err)
	}
	want := []offsets.Partition{{Topic: "shop.things", ID: 1}, {Topic: "shop.things", ID: 3}}
	if diff := cmp.Diff(want, fenced.Partitions); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	if !strings.Contains(err.Error(), "shop.things/1, shop.things/3") {
		t.Errorf("error %q does not name the partitions", err)
	}
	if got, err := s.AllPositions(t.Context()); err != nil || !slices.Equal(got, start) {
		t.Errorf("positions: got %v, %v, want %v", got, err, start)
	}
	if got := h.mustHash(); got != before {
		t.Error("the tables changed")
	}
	h.want(`SELECT count(*) FROM firehose_dead_letters`, one(0))
}

// testConcurrent: many appliers want to move one partition; each step succeeds
// for one of them, and the effect is exactly the steps.
func testConcurrent(t *testing.T, open Opener) {
	table := stock()
	h := newHarness(t, open, table)
	const appliers, steps = 6, 20
	var wg sync.WaitGroup
	won := make([]int, appliers)
	errs := make([]error, appliers)
	for i := range appliers {
		wg.Go(func() {
			for step := range int64(steps) {
				from := h.at
				from.Next = step
				_, err := h.Apply(t.Context(), &store.Batch{
					Moves:   []store.Move{{From: from, Next: step + 1}},
					Changes: []store.Changes{{Table: table, Sums: []store.Sum{{Key: []any{"sku"}, Deltas: []int64{1, -1}}}}},
				})
				switch {
				case err == nil:
					won[i]++
				case !errors.Is(err, store.ErrFenced):
					errs[i] = err
					return
				}
				if _, err := h.Lookup(t.Context(), &store.Lookup{Images: []store.EntityKey{{Topic: "t", Key: "k"}}}); err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	wg.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	total := 0
	for _, n := range won {
		total += n
	}
	// An applier that comes late to a step finds it taken; all of them together
	// have taken every step that the position shows, once.
	all, err := h.AllPositions(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if int(all[0].Next) != total {
		t.Errorf("position %d after %d successes", all[0].Next, total)
	}
	h.want(`SELECT on_hand, sold FROM stock`, one(total, -total))
}
