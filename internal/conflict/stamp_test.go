package conflict_test

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand"
	"slices"
	"testing"

	gocmp "github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"firehose/internal/conflict"
)

// happening is an event as the policy sees it: a stamp and a body.
type happening struct {
	conflict.Stamp
	Body string
}

// compare is the total order of events: by stamp, then by body.
func compare(a, b happening) int {
	return cmp.Or(conflict.Compare(a.Stamp, b.Stamp), cmp.Compare(a.Body, b.Body))
}

// state is what a replica holds of one entity: what is stored, and the events
// that lost to a concurrent one.
type state struct {
	stored happening
	losers map[happening]bool
}

// meet is a replica's step.
func (s state) meet(e happening) state {
	next := state{stored: s.stored, losers: map[happening]bool{}}
	maps.Copy(next.losers, s.losers)
	switch conflict.Newest(s.stored.Stamp, e.Stamp, func() int { return cmp.Compare(e.Body, s.stored.Body) }) {
	case conflict.Wins:
		next.stored = e
	case conflict.WinsOver:
		next.losers[s.stored] = true
		next.stored = e
	case conflict.Loses:
		next.losers[e] = true
	case conflict.Stale, conflict.Duplicate:
	}
	return next
}

// final are the losers at the winner's version. Whether two events of an older
// version ever met depends on what came between: theirs are kept, not promised.
func (s state) final() map[happening]bool {
	kept := map[happening]bool{}
	for e := range s.losers {
		if e.Version == s.stored.Version {
			kept[e] = true
		}
	}
	return kept
}

func fold(events []happening) state {
	var s state
	for _, e := range events {
		s = s.meet(e)
	}
	return s
}

// set draws events of one entity. Some have one stamp and several bodies, as
// only a broken producer writes them.
func set(distinctBodies bool) *rapid.Generator[[]happening] {
	one := rapid.Custom(func(t *rapid.T) happening {
		return happening{
			Stamp: conflict.Stamp{
				Version: rapid.Int64Range(1, 3).Draw(t, "version"),
				Time:    rapid.Int64Range(1, 2).Draw(t, "time"),
				Origin:  rapid.SampledFrom([]string{"/a", "/b"}).Draw(t, "origin"),
				EventID: rapid.StringMatching(`[0-9a-f]`).Draw(t, "event ID"),
			},
			Body: rapid.SampledFrom([]string{"x", "y", "z"}).Draw(t, "body"),
		}
	})
	return rapid.Custom(func(t *rapid.T) []happening {
		events := rapid.SliceOfNDistinct(one, 1, 8, rapid.ID[happening]).Draw(t, "events")
		for range rapid.IntRange(0, 3).Draw(t, "ties") {
			e := rapid.SampledFrom(events).Draw(t, "tied")
			e.Body += "!"
			events = append(events, e)
		}
		if distinctBodies {
			for i := range events {
				events[i].Body = fmt.Sprint(i)
			}
		}
		return events
	})
}

// delivery draws an order of the events, some of them more than once.
func delivery(t *rapid.T, events []happening) []happening {
	all := slices.Clone(events)
	for range rapid.IntRange(0, 6).Draw(t, "repeats") {
		all = append(all, rapid.SampledFrom(events).Draw(t, "repeat"))
	}
	r := rand.New(rand.NewSource(rapid.Int64().Draw(t, "order")))
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func last(events []happening) happening {
	return slices.MaxFunc(events, compare)
}

// TestNewestIsAFunctionOfTheSet: any order and number of deliveries leaves the
// last event of the total order, and as losers all others of its version.
func TestNewestIsAFunctionOfTheSet(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := set(true).Draw(t, "set")
		winner := last(events)
		losers := map[happening]bool{}
		for _, e := range events {
			if e.Version == winner.Version && e != winner {
				losers[e] = true
			}
		}
		got := fold(delivery(t, events))
		if got.stored != winner {
			t.Fatalf("got winner %+v, want %+v", got.stored, winner)
		}
		if diff := gocmp.Diff(losers, got.final()); diff != "" {
			t.Fatalf("losers (-want +got):\n%s", diff)
		}
	})
}

// TestNewestWithEqualBodies: events that say the same do not conflict. The
// winner is the same in every order, and each other body of its version is kept
// with one of its events at least.
func TestNewestWithEqualBodies(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := set(false).Draw(t, "set")
		winner := last(events)
		got := fold(delivery(t, events))
		if got.stored != winner {
			t.Fatalf("got winner %+v, want %+v", got.stored, winner)
		}
		kept := map[string]bool{}
		for e := range got.final() {
			kept[e.Body] = true
			if !slices.Contains(events, e) {
				t.Fatalf("loser %+v was never delivered", e)
			}
		}
		for _, e := range events {
			if e.Version == winner.Version && e.Body != winner.Body && !kept[e.Body] {
				t.Fatalf("body %q lost and is not kept: %v", e.Body, got.losers)
			}
		}
	})
}

// TestNewestIsIdempotent: what was delivered once changes nothing a second time.
func TestNewestIsIdempotent(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := delivery(t, set(true).Draw(t, "set"))
		once := fold(events)
		again := once
		for _, e := range events {
			again = again.meet(e)
		}
		if once.stored != again.stored {
			t.Fatalf("got %+v, want %+v", again.stored, once.stored)
		}
		if diff := gocmp.Diff(once.final(), again.final()); diff != "" {
			t.Fatalf("losers (-once +again):\n%s", diff)
		}
	})
}

// TestNewestIsAssociative: merging within a batch first and applying what is
// left to the store is the same as applying one after the other.
func TestNewestIsAssociative(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		events := delivery(t, set(true).Draw(t, "set"))
		cut := rapid.IntRange(0, len(events)).Draw(t, "cut")
		first, batch := fold(events[:cut]), fold(events[cut:])
		merged := first
		if !batch.stored.IsZero() {
			merged = first.meet(batch.stored)
			maps.Copy(merged.losers, batch.losers)
		}
		all := fold(events)
		if merged.stored != all.stored {
			t.Fatalf("got %+v, want %+v", merged.stored, all.stored)
		}
		if diff := gocmp.Diff(all.final(), merged.final()); diff != "" {
			t.Fatalf("losers (-one by one +merged):\n%s", diff)
		}
	})
}

// TestCompare: a total order, field by field in their rank.
func TestCompare(t *testing.T) {
	ascending := []conflict.Stamp{
		{},
		{Version: 0, EventID: "a"},
		{Version: 1, Time: 1, Origin: "/a", EventID: "a"},
		{Version: 1, Time: 1, Origin: "/a", EventID: "b"},
		{Version: 1, Time: 1, Origin: "/b", EventID: "a"},
		{Version: 1, Time: 2, Origin: "/a", EventID: "a"},
		{Version: 2, Time: 1, Origin: "/a", EventID: "a"},
	}
	for i, a := range ascending {
		for j, b := range ascending {
			if got, want := cmp.Compare(conflict.Compare(a, b), 0), cmp.Compare(i, j); got != want {
				t.Errorf("Compare(%+v, %+v): got %d, want %d", a, b, got, want)
			}
		}
	}
}

// TestNewestOutcomes: one row per outcome; the bodies are compared only where
// the versions are equal.
func TestNewestOutcomes(t *testing.T) {
	at := func(version int64, id string) conflict.Stamp { return conflict.Stamp{Version: version, EventID: id} }
	never := func() int { t.Error("the bodies were compared"); return 0 }
	same, less, greater := func() int { return 0 }, func() int { return -1 }, func() int { return 1 }
	for _, c := range []struct {
		name             string
		stored, incoming conflict.Stamp
		compareBody      func() int
		want             conflict.Outcome
	}{
		{"nothing stored", conflict.Stamp{}, at(0, "a"), never, conflict.Wins},
		{"nothing stored, negative version", conflict.Stamp{}, at(-1, "a"), never, conflict.Wins},
		{"newer", at(1, "b"), at(2, "a"), never, conflict.Wins},
		{"older", at(2, "a"), at(1, "b"), never, conflict.Stale},
		{"the same event", at(1, "a"), at(1, "a"), same, conflict.Duplicate},
		{"the same stamp, greater body", at(1, "a"), at(1, "a"), greater, conflict.WinsOver},
		{"the same stamp, lesser body", at(1, "a"), at(1, "a"), less, conflict.Loses},
		{"same body, later", at(1, "a"), at(1, "b"), same, conflict.Wins},
		{"same body, earlier", at(1, "b"), at(1, "a"), same, conflict.Duplicate},
		{"concurrent, later", at(1, "a"), at(1, "b"), less, conflict.WinsOver},
		{"concurrent, earlier", at(1, "b"), at(1, "a"), greater, conflict.Loses},
	} {
		if got := conflict.Newest(c.stored, c.incoming, c.compareBody); got != c.want {
			t.Errorf("%s: got %d, want %d", c.name, got, c.want)
		}
	}
}
