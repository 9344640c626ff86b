package storetest

import (
	"fmt"
	"testing"
	"time"

	"firehose/internal/store"
)

// testExpiry: losers and marks of records that were set aside go once they were
// kept for long enough, some hundreds at a time.
func testExpiry(t *testing.T, open Opener) {
	h := newHarness(t, open)
	now := moment
	h.SetClock(func() time.Time { return now })
	record := func(from, n int) {
		t.Helper()
		b := &store.Batch{}
		for i := from; i < from+n; i++ {
			of := store.Source{Topic: "shop.things", TopicID: topicA, Offset: int64(i)}
			id := fmt.Sprint("e", i)
			b.Conflicts = append(b.Conflicts, store.Conflict{
				From: of, Key: "a", Policy: "newest", Loser: stamp(1, id), Winner: stamp(1, "w"), Body: []byte("b"), Outcome: "kept",
			})
			// The record itself is older than anything that is kept.
			b.SetAside = append(b.SetAside, store.SetAside{From: of, Class: "undecodable", Time: moment.AddDate(-20, 0, 0)})
		}
		h.mustApply(b)
	}
	const many = store.ExpireAtOnce + 100
	record(0, many)
	now = moment.Add(store.KeptFor / 3)
	record(many, 1)
	for _, step := range []struct {
		name  string
		since time.Duration
		left  int
	}{
		{"a moment too early", store.KeptFor, many + 1},
		{"in time, the first", store.KeptFor + time.Minute, many + 1 - store.ExpireAtOnce},
		{"the others, soon", store.KeptFor + time.Minute + time.Second, 1},
		{"but for what came later", 4 * store.KeptFor / 3, 1},
		{"which goes, too", 4*store.KeptFor/3 + time.Minute, 0},
	} {
		now = moment.Add(step.since)
		h.mustApply(&store.Batch{})
		for _, table := range []string{"conflicts", "firehose_dead_letters"} {
			if got := h.mustRead(`SELECT count(*) FROM ` + table)[0][0]; got != fmt.Sprint(step.left) {
				t.Errorf("%s: %s rows of %s, want %d", step.name, got, table, step.left)
			}
		}
	}
	// What is gone and comes once more is recorded once more.
	record(0, 1)
	h.want(`SELECT count(*) FROM conflicts`, one(1))
}
