package storetest

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"firehose/internal/conflict"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

const (
	readThings = `SELECT id, state FROM things ORDER BY id`
	readStamps = `SELECT id, firehose_version, firehose_time, firehose_origin, firehose_event_id FROM firehose_things ORDER BY id`
	readLosers = `SELECT key, loser_version, loser_event_id FROM conflicts ORDER BY key, loser_version, loser_event_id`
)

// testVersions: every order of one entity's versions, each delivered twice,
// leaves the last.
func testVersions(t *testing.T, open Opener) {
	table := things()
	permutations(4, func(order []int) {
		h := newHarness(t, open, table)
		defer h.Close()
		var total store.Result
		for _, i := range append(slices.Clone(order), order...) {
			v := int64(i + 1)
			r := h.mustApply(rows(table, row("a", fmt.Sprint("state ", v), stamp(v, fmt.Sprint("e", v)))))
			if sum := r.Written + r.Stale + r.Duplicate; sum != 1 || r.Conflicts != 0 {
				t.Errorf("order %v: got %+v for one row", order, r)
			}
			total.Written, total.Stale, total.Duplicate = total.Written+r.Written, total.Stale+r.Stale, total.Duplicate+r.Duplicate
		}
		h.want(readThings, one("a", "state 4"))
		h.want(readStamps, one("a", 4, moment.UnixMicro(), "/shop", "e4"))
		h.want(readLosers)
		if total.Duplicate != 1 {
			t.Errorf("order %v: got %+v, want one duplicate", order, total)
		}
	})
}

// testTies: every order of concurrent events, each delivered twice, leaves one
// winner and the same losers with their bytes. They are ordered by time, then
// origin, then event ID, whatever their bodies.
func testTies(t *testing.T, open Opener) {
	table := things()
	early, ofOther := stamp(7, "z"), stamp(7, "y")
	early.Time--
	ofOther.Origin = "/another"
	events := []store.Row{
		row("a", "early", early), row("a", "other origin", ofOther), row("a", "first ID", stamp(7, "e1")), row("a", "last ID", stamp(7, "e2")),
	}
	permutations(len(events), func(order []int) {
		h := newHarness(t, open, table)
		defer h.Close()
		var conflicts int
		for _, i := range append(slices.Clone(order), order...) {
			conflicts += h.mustApply(rows(table, events[i])).Conflicts
		}
		h.want(readThings, one("a", "last ID"))
		h.want(readLosers, one("a", 7, "e1"), one("a", 7, "y"), one("a", 7, "z"))
		h.want(`SELECT DISTINCT policy, topic, topic_id FROM conflicts`, one("newest", "shop.things", topicA.String()))
		h.want(`SELECT count(*) FROM conflicts WHERE encoding = 'columns' AND outcome <> 'replaced'`, one(0))
		if conflicts != 3 {
			t.Errorf("order %v: counted %d conflicts, want 3", order, conflicts)
		}
		// Whoever lost on arrival, or came again after it lost, left its bytes.
		for _, encoding := range h.mustRead(`SELECT encoding FROM conflicts`) {
			if encoding[0] != "event" {
				t.Errorf("order %v: a loser that was delivered again is kept as %q", order, encoding[0])
			}
		}
	})
}

// testSameBody: one body under two events is no conflict, and the later stamp
// stays in every order.
func testSameBody(t *testing.T, open Opener) {
	table := things()
	events := []store.Row{row("a", "same", stamp(7, "e1")), row("a", "same", stamp(7, "e2")), row("a", "same", stamp(7, "e3"))}
	permutations(len(events), func(order []int) {
		h := newHarness(t, open, table)
		defer h.Close()
		for _, i := range order {
			h.mustApply(rows(table, events[i]))
		}
		h.want(readStamps, one("a", 7, moment.UnixMicro(), "/shop", "e3"))
		h.want(readLosers)
	})
}

// testDeletes: a delete keeps its version, so that a late update cannot bring
// the row back and a newer one can.
func testDeletes(t *testing.T, open Opener) {
	table := things()
	events := []store.Row{row("a", "one", stamp(1, "e1")), row("a", "two", stamp(2, "e2")), removed("a", stamp(3, "e3"))}
	permutations(len(events), func(order []int) {
		h := newHarness(t, open, table)
		defer h.Close()
		for _, i := range append(slices.Clone(order), order...) {
			h.mustApply(rows(table, events[i]))
		}
		h.want(readThings)
		h.want(`SELECT id, state, firehose_version FROM firehose_things`, one("a", "NULL", 3))
		h.mustApply(rows(table, row("a", "again", stamp(4, "e4"))))
		h.want(readThings, one("a", "again"))
		h.want(readLosers)
	})
	t.Run("concurrent", func(t *testing.T) {
		events := []store.Row{row("a", "update", stamp(2, "e1")), removed("a", stamp(2, "e2"))}
		for _, order := range [][]int{{0, 1}, {1, 0}} {
			h := newHarness(t, open, table)
			for _, i := range order {
				h.mustApply(rows(table, events[i]))
			}
			h.want(readThings)
			h.want(readLosers, one("a", 2, "e1"))
		}
	})
	t.Run("the delete loses", func(t *testing.T) {
		events := []store.Row{row("a", "update", stamp(2, "e2")), removed("a", stamp(2, "e1"))}
		for _, order := range [][]int{{0, 1}, {1, 0}} {
			h := newHarness(t, open, table)
			for _, i := range order {
				h.mustApply(rows(table, events[i]))
			}
			h.want(readThings, one("a", "update"))
			h.want(readLosers, one("a", 2, "e1"))
		}
	})
}

// testDerivedRows: a row without a body yields without a record of it.
func testDerivedRows(t *testing.T, open Opener) {
	table := things()
	for _, order := range [][]int{{0, 1}, {1, 0}} {
		h := newHarness(t, open, table)
		events := []store.Row{row("a", "loser", stamp(1, "e1")), row("a", "winner", stamp(1, "e2"))}
		for _, i := range order {
			r := events[i]
			r.Body = nil
			if got := h.mustApply(rows(table, r)); got.Conflicts != 0 {
				t.Errorf("got %+v, want no conflict", got)
			}
		}
		h.want(readThings, one("a", "winner"))
		h.want(readLosers)
	}
}

// testDisplacedRow: of a stored row that gives way its columns are kept, and the
// event itself once it comes again.
func testDisplacedRow(t *testing.T, open Opener) {
	table := things()
	h := newHarness(t, open, table)
	loser, winner := row("a", `it's "so"`, stamp(1, "e1")), row("a", "winner", stamp(1, "e2"))
	h.mustApply(rows(table, loser))
	h.mustApply(rows(table, winner))
	read := `SELECT encoding, outcome, winner_event_id, "offset" FROM conflicts`
	h.want(read, one("columns", "replaced", "e2", winner.From.Offset))
	body := h.mustRead(`SELECT body FROM conflicts`)[0][0]
	if !strings.Contains(body, `"state":"it's \"so\""`) || !strings.Contains(body, `"note":null`) {
		t.Errorf("got body %s, want its columns", body)
	}
	h.mustApply(rows(table, loser))
	h.want(read, one("event", "replaced", "e2", winner.From.Offset))
	h.want(`SELECT body FROM conflicts`, one(string(loser.Body)))
}

func (h *harness) sums(t *store.Table, sums ...store.Sum) (store.Result, error) {
	return h.apply(&store.Batch{Changes: []store.Changes{{Table: t, Sums: sums}}})
}

func testSums(t *testing.T, open Opener) {
	table := stock()
	h := newHarness(t, open, table)
	for _, deltas := range [][]int64{{5, 0}, {-7, 2}, {0, 0}} {
		if _, err := h.sums(table, store.Sum{Key: []any{"a"}, Deltas: deltas}, store.Sum{Key: []any{"b"}, Deltas: []int64{1, 1}}); err != nil {
			t.Fatal(err)
		}
	}
	h.want(`SELECT sku, on_hand, sold FROM stock ORDER BY sku`, one("a", -2, 2), one("b", 3, 3))
	_, err := h.sums(table, store.Sum{Key: []any{"a"}, Deltas: []int64{1}})
	h.wantError(err, store.ErrRefused)
	_, err = h.sums(table, store.Sum{Key: []any{int64(3)}, Deltas: []int64{1, 1}})
	h.wantError(err, store.ErrRefused)
}

// testSumsBackToZero: what was added and taken back leaves the hash of nothing
// added, since a rebuild of a compacted topic may see neither.
func testSumsBackToZero(t *testing.T, open Opener) {
	table := stock()
	h := newHarness(t, open, table)
	before := h.mustHash()
	for i, deltas := range [][]int64{{5, 0}, {-5, 0}} {
		if _, err := h.sums(table, store.Sum{Key: []any{"a"}, Deltas: deltas}); err != nil {
			t.Fatal(err)
		}
		if got, same := h.mustHash(), i == 1; (got == before) != same {
			t.Errorf("after adding %v: the hash is that of nothing added: %v, want %v", deltas, got == before, same)
		}
	}
}

// testSumsOverflow: a sum that does not fit is refused, never rounded.
func testSumsOverflow(t *testing.T, open Opener) {
	const largest, smallest = int64(1<<63 - 1), int64(-1 << 63)
	for _, c := range []struct{ have, add int64 }{
		{largest, 1}, {largest, largest}, {1, largest}, {smallest, -1}, {smallest, smallest}, {-1, smallest}, {1 << 62, 1 << 62},
	} {
		t.Run(fmt.Sprint(c.have, " and ", c.add), func(t *testing.T) {
			table := stock()
			h := newHarness(t, open, table)
			if _, err := h.sums(table, store.Sum{Key: []any{"a"}, Deltas: []int64{c.have, 1}}); err != nil {
				t.Fatal(err)
			}
			_, err := h.sums(table, store.Sum{Key: []any{"a"}, Deltas: []int64{c.add, 1}})
			h.wantError(err, store.ErrRefused)
			h.want(`SELECT on_hand, sold FROM stock`, one(c.have, 1))
		})
	}
	t.Run("to the edge", func(t *testing.T) {
		table := stock()
		h := newHarness(t, open, table)
		for _, deltas := range [][]int64{{largest - 1, smallest + 1}, {1, -1}, {smallest, largest}} {
			if _, err := h.sums(table, store.Sum{Key: []any{"a"}, Deltas: deltas}); err != nil {
				t.Fatal(err)
			}
		}
		h.want(`SELECT on_hand, sold FROM stock`, one(-1, -1))
	})
}

// testShardedSums: counters that are sharded show what others do, and hash alike.
func testShardedSums(t *testing.T, open Opener) {
	var hashes []string
	for _, sharded := range []bool{false, true} {
		table := stock()
		table.Sharded = sharded
		h := newHarness(t, open, table)
		at, err := h.Positions(t.Context(), []offsets.Position{position("shop.things", 1, 0)})
		if err != nil {
			t.Fatal(err)
		}
		// Of two partitions, in turns; and enough at once to be written otherwise.
		for i := range 3 {
			sums := []store.Sum{{Key: []any{"hot"}, Deltas: []int64{5, -1}}}
			for k := range 300 * (i % 2) {
				sums = append(sums, store.Sum{Key: []any{fmt.Sprintf("sku-%03d", k)}, Deltas: []int64{1, 0}})
			}
			batch := func() *store.Batch { return &store.Batch{Changes: []store.Changes{{Table: table, Sums: sums}}} }
			h.mustApply(batch())
			b := batch()
			b.Moves = []store.Move{{From: at[0], Next: at[0].Next + 1}}
			if _, err := h.Apply(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			at[0].Next++
		}
		h.want(`SELECT on_hand, sold FROM stock WHERE sku = 'hot'`, one(30, -6))
		h.want(`SELECT count(*), sum(on_hand) FROM stock`, one(301, 630))
		hashes = append(hashes, h.mustHash())
	}
	if hashes[0] != hashes[1] {
		t.Error("sharded and not sharded hash otherwise")
	}
}

func testEntries(t *testing.T, open Opener) {
	table := ledger()
	h := newHarness(t, open, table)
	entry := func(source, id string, line int, cents int64) store.Entry {
		return store.Entry{Source: source, EventID: id, Line: line, Values: []any{"cash", cents}}
	}
	batch := func(e ...store.Entry) *store.Batch {
		return &store.Batch{Changes: []store.Changes{{Table: table, Entries: e}}}
	}
	first := []store.Entry{entry("/shop", "e1", 0, 5), entry("/shop", "e1", 1, -5), entry("/shop", "e2", 0, 7), entry("/till", "e1", 0, 9)}
	if got := h.mustApply(batch(first...)); got.Written != 4 {
		t.Errorf("got %+v, want 4 written", got)
	}
	// The same event again adds nothing, whatever it says now.
	if got := h.mustApply(batch(entry("/shop", "e1", 0, 500), entry("/shop", "e3", 0, 1))); got.Written != 1 || got.Duplicate != 1 {
		t.Errorf("got %+v, want 1 written, 1 duplicate", got)
	}
	h.want(`SELECT firehose_source, firehose_event_id, firehose_line, account, cents FROM ledger ORDER BY 1, 2, 3`,
		one("/shop", "e1", 0, "cash", 5), one("/shop", "e1", 1, "cash", -5), one("/shop", "e2", 0, "cash", 7),
		one("/shop", "e3", 0, "cash", 1), one("/till", "e1", 0, "cash", 9))
}

func testConflicts(t *testing.T, open Opener) {
	h := newHarness(t, open)
	from := store.Source{Topic: "shop.things", TopicID: topicA, Partition: 2, Offset: 9}
	lost := store.Conflict{
		From: from, Key: "a", Policy: "newest", Loser: stamp(1, "e1"), Winner: stamp(1, "e2"), Body: []byte("loser"), Outcome: "kept",
	}
	// Under a seen ID the stamps are equal: the bodies are the losers.
	other := store.Conflict{
		From: from, Key: "a", Policy: "seen", Loser: conflict.Stamp{EventID: "e1"}, Winner: conflict.Stamp{EventID: "e1"}, Body: []byte("x"), Outcome: "kept",
	}
	another := other
	another.Body = []byte("y")
	tomb := lost
	tomb.Loser, tomb.Body = stamp(1, "e0"), nil
	for i := range 2 {
		got := h.mustApply(&store.Batch{Conflicts: []store.Conflict{lost, other, another, tomb}})
		if want := 4 * (1 - i); got.Conflicts != want {
			t.Errorf("got %+v, want %d conflicts", got, want)
		}
	}
	h.want(`SELECT policy, loser_event_id, winner_event_id, encoding, outcome, topic, partition, "offset", key FROM conflicts ORDER BY 1, 2, body`,
		one("newest", "e0", "e2", "none", "kept", "shop.things", 2, 9, "a"), one("newest", "e1", "e2", "event", "kept", "shop.things", 2, 9, "a"),
		one("seen", "e1", "e1", "event", "kept", "shop.things", 2, 9, "a"), one("seen", "e1", "e1", "event", "kept", "shop.things", 2, 9, "a"))
	// A row that meets a loser which is recorded already is no second conflict.
	table := things()
	known := row("a", "loser", stamp(1, "e1"))
	lost.Row = store.HashRow(&known)
	h.mustApply(&store.Batch{Conflicts: []store.Conflict{lost}})
	h.mustApply(rows(table, row("a", "winner", stamp(1, "e2"))))
	if got := h.mustApply(rows(table, known)); got.Conflicts != 0 {
		t.Errorf("got %+v, want no further conflict", got)
	}
}

func testSetAside(t *testing.T, open Opener) {
	h := newHarness(t, open)
	mark := func(offset int64, class string) store.SetAside {
		return store.SetAside{
			From:  store.Source{Topic: "shop.things", TopicID: topicA, Partition: 1, Offset: offset},
			Class: class, Error: "field note: too long", Time: moment,
		}
	}
	h.mustApply(&store.Batch{SetAside: []store.SetAside{mark(4, "undecodable"), mark(5, "refused")}})
	h.mustApply(&store.Batch{SetAside: []store.SetAside{mark(5, "refused")}})
	h.want(`SELECT topic, topic_id, partition, "offset", class, error FROM firehose_dead_letters ORDER BY "offset"`,
		one("shop.things", topicA, 1, 4, "undecodable", "field note: too long"),
		one("shop.things", topicA, 1, 5, "refused", "field note: too long"))
}
