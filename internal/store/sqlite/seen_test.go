package sqlite_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/internal/store/sqlite"
)

const horizon = time.Hour

// longAfter is a present in which the times of the tests are past.
var longAfter = time.Date(2100, 1, 1, 0, 0, 0, 0, time.UTC)

// passing is a clock that is a step further each time that it is asked, which is
// once for a batch.
func passing(from time.Time, step time.Duration) func() time.Time {
	return func() time.Time {
		from = from.Add(step)
		return from
	}
}

func remember(t *testing.T, s *sqlite.Store, at *offsets.Position, id string, when time.Time) {
	t.Helper()
	mustApply(t, s, at, &store.Batch{Seen: []store.Seen{seenAt(id, when)}})
}

func seenAt(id string, when time.Time) store.Seen {
	return store.Seen{EventKey: store.EventKeyOf("/s", id), Hash: store.Hash{1}, Time: when, Horizon: horizon}
}

func slicesOf(t *testing.T, path string) int {
	t.Helper()
	listed, err := read(t.Context(), path, `SELECT name FROM firehose_seen_slices ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	there, err := read(t.Context(), path, `SELECT name FROM sqlite_master WHERE name LIKE 'firehose_seen_1h%' AND type = 'table' ORDER BY name`)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(listed) != fmt.Sprint(there) {
		t.Errorf("listed %v, there %v", listed, there)
	}
	return len(there)
}

// TestSeenForgotten: the number of slices stays small however long it runs, and
// within the horizon nothing is forgotten.
func TestSeenForgotten(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path)
	s.SetClock(passing(longAfter, 10*time.Minute))
	at := start(t, s, "shop.facts")
	begin := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	for i := range 60 {
		now := begin.Add(time.Duration(i) * horizon / 6)
		remember(t, s, &at, fmt.Sprint(i), now)
		for back := range 7 {
			if back > i {
				break
			}
			asked := seenAt(fmt.Sprint(i-back), now)
			known, err := s.Lookup(t.Context(), &store.Lookup{Seen: []store.Seen{asked}})
			if err != nil || len(known.Seen) != 1 {
				t.Fatalf("step %d: %d steps back: got %v, %v", i, back, known.Seen, err)
			}
		}
		if n := slicesOf(t, path); n > 4 {
			t.Fatalf("step %d: %d slices", i, n)
		}
	}
	// A reopened store goes on with the same clock.
	s.Close()
	s = mustOpen(t, path)
	s.SetClock(passing(longAfter, 10*time.Minute))
	remember(t, s, &at, "after", begin.Add(20*horizon))
	remember(t, s, &at, "after that", begin.Add(30*horizon))
	if n := slicesOf(t, path); n > 4 {
		t.Errorf("%d slices after reopening", n)
	}
}

// TestSeenFarFuture: records from the far future, however many and even the
// first of all, do not make the store forget what is within the horizon of all
// others, nor after it was opened again.
func TestSeenFarFuture(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	for _, first := range []string{"now", "future"} {
		t.Run(first, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			s := mustOpen(t, path)
			s.SetClock(passing(now, 15*time.Second))
			at := start(t, s, "shop.facts")
			if first == "now" {
				remember(t, s, &at, "a", now)
			}
			for i := range 10 {
				remember(t, s, &at, fmt.Sprint("future ", i), now.AddDate(500, 0, 0))
			}
			if first == "future" {
				remember(t, s, &at, "a", now)
			}
			s.Close()
			s = mustOpen(t, path)
			s.SetClock(passing(now, 15*time.Second))
			for i := range 10 {
				remember(t, s, &at, fmt.Sprint("future again ", i), now.AddDate(500, 0, 0))
			}
			remember(t, s, &at, "b", now.Add(time.Minute))
			known, err := s.Lookup(t.Context(), &store.Lookup{Seen: []store.Seen{seenAt("a", now.Add(horizon)), seenAt("b", now.Add(horizon))}})
			if err != nil || len(known.Seen) != 2 {
				t.Errorf("got %v, %v, want both", known.Seen, err)
			}
		})
	}
}

// TestSeenWallClock: the time of day is a bound only. It drives nothing: an old
// log is forgotten by its own time, and a clock that was set back stops nothing
// but the forgetting.
func TestSeenWallClock(t *testing.T) {
	begin := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	for _, c := range []struct {
		name    string
		wall    time.Time
		forgets bool
	}{
		{"years ahead", begin.AddDate(10, 0, 0), true},
		{"years behind", begin.AddDate(-10, 0, 0), false},
	} {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "test.db")
			s := mustOpen(t, path)
			s.SetClock(passing(c.wall, 10*time.Minute))
			at := start(t, s, "shop.facts")
			for i := range 20 {
				remember(t, s, &at, fmt.Sprint(i), begin.Add(time.Duration(i)*horizon))
				if c.forgets && i > 0 {
					continue
				}
				known, err := s.Lookup(t.Context(), &store.Lookup{Seen: []store.Seen{seenAt("0", begin.Add(horizon))}})
				if err != nil || len(known.Seen) != 1 {
					t.Errorf("step %d: got %v, %v, want the first known", i, known.Seen, err)
				}
			}
			if n := slicesOf(t, path); c.forgets && n > 4 || !c.forgets && n != 20 {
				t.Errorf("got %d slices", n)
			}
		})
	}
}

// TestSeenLaggard: a partition that is read long after the others keeps its IDs
// for as long as it is at them.
func TestSeenLaggard(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path)
	s.SetClock(passing(longAfter, 10*time.Minute))
	at := start(t, s, "shop.facts")
	late := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	for i := range 10 {
		remember(t, s, &at, fmt.Sprint("early ", i), late.Add(time.Duration(i)*horizon))
	}
	for i := range 12 {
		when := late.Add(time.Duration(i) * horizon / 4)
		remember(t, s, &at, fmt.Sprint("late ", i), when)
		asked := seenAt(fmt.Sprint("late ", max(0, i-4)), when)
		known, err := s.Lookup(t.Context(), &store.Lookup{Seen: []store.Seen{asked}})
		if err != nil || len(known.Seen) != 1 {
			t.Errorf("step %d: got %v, %v, want it known", i, known.Seen, err)
		}
	}
}

// TestSeenUsedLately: what was used a moment ago stays, however far others have
// gone through the log in that moment, and also when a batch has failed or the
// file was opened again since.
func TestSeenUsedLately(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path)
	now := longAfter
	clock := func() time.Time { return now }
	s.SetClock(clock)
	at := start(t, s, "shop.facts")
	begin := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	late, others := begin, 0
	passBy := func() {
		for range 10 {
			others++
			remember(t, s, &at, fmt.Sprint("other ", others), begin.Add(time.Duration(others)*horizon))
		}
	}
	wantKnown := func(when string, want int) {
		t.Helper()
		known, err := s.Lookup(t.Context(), &store.Lookup{Seen: []store.Seen{seenAt("late", late), seenAt("late and before", late)}})
		if err != nil || len(known.Seen) != want {
			t.Errorf("%s: got %v, %v, want %d known", when, known.Seen, err, want)
		}
	}
	remember(t, s, &at, "late", late)
	remember(t, s, &at, "late and before", late.Add(-horizon))
	passBy()
	wantKnown("at once", 2)
	now = now.Add(time.Minute)
	twice := seenAt("twice", late.Add(100*horizon))
	if _, err := s.Apply(t.Context(), &store.Batch{Moves: []store.Move{{From: at, Next: at.Next + 1}}, Seen: []store.Seen{twice, twice}}); err == nil {
		t.Fatal("one ID twice in a batch: applied")
	}
	passBy()
	wantKnown("after a minute", 2)
	now = now.Add(2 * time.Minute)
	passBy()
	wantKnown("after three minutes", 0)

	late = begin.Add(time.Duration(others) * horizon)
	remember(t, s, &at, "late", late)
	remember(t, s, &at, "late and before", late.Add(-horizon))
	s.Close()
	s = mustOpen(t, path)
	passBy()
	wantKnown("opened again", 2)
}

// TestSeenRolledBack: a slice that was made in a batch that failed is made again.
func TestSeenRolledBack(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "test.db"))
	at := start(t, s, "shop.facts")
	now := time.Date(2026, 1, 1, 0, 10, 0, 0, time.UTC)
	twice := seenAt("a", now)
	_, err := s.Apply(t.Context(), &store.Batch{
		Moves: []store.Move{{From: at, Next: 1}}, Seen: []store.Seen{twice, twice},
	})
	if err == nil {
		t.Fatal("one ID twice in a batch: applied")
	}
	remember(t, s, &at, "a", now)
	remember(t, s, &at, "b", now)
}
