package storetest

import (
	"fmt"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/store"
)

// testSameStamp: two bodies under one stamp, which only a broken producer
// writes, leave the same row and the same losers in every order and number of
// deliveries, each loser with its bytes.
func testSameStamp(t *testing.T, open Opener) {
	table := things()
	same := stamp(7, "e1")
	noted := row("a", "x", same)
	noted.Values, noted.Body = []any{"x", "noted"}, []byte("body of noted x")
	for name, c := range map[string]struct {
		events []store.Row
		row    [][]string
		losers [][]string
	}{
		"values": {
			[]store.Row{row("a", "x", same), noted, row("a", "y", same)},
			[][]string{one("a", "y")},
			[][]string{one("event", "body of noted x"), one("event", "body of x")},
		},
		"a delete": {
			[]store.Row{row("a", "x", same), removed("a", same), row("a", "y", same)},
			nil,
			[][]string{one("event", "body of x"), one("event", "body of y")},
		},
	} {
		t.Run(name, func(t *testing.T) {
			permutations(len(c.events), func(order []int) {
				h := newHarness(t, open, table)
				defer h.Close()
				conflicts := 0
				for _, i := range slices.Concat(order, order) {
					conflicts += h.mustApply(rows(table, c.events[i])).Conflicts
				}
				h.want(readThings, c.row...)
				h.want(`SELECT encoding, body FROM conflicts ORDER BY body`, c.losers...)
				if conflicts != len(c.losers) {
					t.Errorf("order %v: counted %d conflicts, want %d", order, conflicts, len(c.losers))
				}
			})
		})
	}
}

// testSameStampInBatch: a loser that the merge of a batch found is the one that
// the store finds when it meets the row.
func testSameStampInBatch(t *testing.T, open Opener) {
	table := things()
	h := newHarness(t, open, table)
	x, y := row("a", "x", stamp(7, "e1")), row("a", "y", stamp(7, "e1"))
	b := rows(table, y)
	b.Conflicts = []store.Conflict{{
		From: x.From, Key: "a", Policy: "newest", Outcome: "kept", Loser: x.Stamp, Winner: y.Stamp, Body: x.Body, Row: store.HashRow(&x),
	}}
	h.mustApply(b)
	if got := h.mustApply(rows(table, x)); got.Conflicts != 0 || got.Duplicate != 1 {
		t.Errorf("got %+v, want the conflict known", got)
	}
	h.want(`SELECT count(*) FROM conflicts`, one(1))
}

// testConflictKey: a conflict has its record's key, whatever the type of the key
// that the row has: what the merge of a batch found is what the store finds.
func testConflictKey(t *testing.T, open Opener) {
	for _, c := range []struct {
		typ  store.Type
		key  any
		text string
	}{{store.Text, "-7", "-7"}, {store.Int, int64(-7), "-7"}, {store.Int, int64(1<<63 - 1), "9223372036854775807"}} {
		table := things()
		table.Key[0].Type = c.typ
		h := newHarness(t, open, table)
		x, y := row("", "x", stamp(7, "e1")), row("", "y", stamp(7, "e1"))
		x.Key, y.Key = []any{c.key}, []any{c.key}
		b := rows(table, y)
		b.Conflicts = []store.Conflict{{
			From: x.From, Key: c.text, Policy: "newest", Outcome: "kept", Loser: x.Stamp, Winner: y.Stamp, Body: x.Body, Row: store.HashRow(&x),
		}}
		h.mustApply(b)
		h.mustApply(rows(table, x))
		h.want(`SELECT key FROM conflicts`, one(c.text))
	}
	table := things()
	table.Key = append(table.Key, store.Column{Name: "n", Type: store.Int})
	h := newHarness(t, open, table)
	for _, state := range []string{"x", "y"} {
		r := row("", state, stamp(7, "e1"))
		r.Key = []any{"a", int64(1)}
		h.mustApply(rows(table, r))
	}
	h.want(`SELECT key FROM conflicts`, one(`["a",1]`))
}

// testSettledRows: where an entity's image has decided, the row follows it
// whatever its values.
func testSettledRows(t *testing.T, open Opener) {
	table := things()
	h := newHarness(t, open, table)
	for i, c := range []struct {
		row  store.Row
		want [][]string
	}{
		{row("a", "y", stamp(7, "e1")), [][]string{one("a", "y")}},
		{removed("a", stamp(7, "e1")), nil},
		{row("a", "x", stamp(7, "e1")), [][]string{one("a", "x")}},
		{row("a", "older", stamp(6, "e0")), [][]string{one("a", "x")}},
		{row("a", "earlier", stamp(7, "e0")), [][]string{one("a", "x")}},
	} {
		r := c.row
		r.Body, r.Settled = nil, true
		h.mustApply(rows(table, r))
		if got := h.mustRead(readThings); fmt.Sprint(got) != fmt.Sprint(c.want) {
			t.Errorf("step %d: got %v, want %v", i, got, c.want)
		}
	}
	h.want(readLosers)
}

// testColumnOrder: replicas whose programs met the columns in another order hold
// the same rows and the same losers.
func testColumnOrder(t *testing.T, open Opener) {
	same := stamp(7, "e1")
	var hashes []string
	var losers [][][]string
	for _, turned := range []bool{false, true} {
		table := things()
		table.Columns = []store.Column{{Name: "state", Type: store.Text}, {Name: "note", Type: store.Text}}
		if turned {
			slices.Reverse(table.Columns)
		}
		h := newHarness(t, open, table)
		for _, values := range [][]any{{"x", "2"}, {"y", "1"}, {"z", "1"}} {
			r := row("a", "", same)
			r.Table, r.Values, r.Body = table, values, []byte(values[0].(string))
			if turned {
				r.Values = []any{values[1], values[0]}
			}
			h.mustApply(rows(table, r))
		}
		hashes = append(hashes, h.mustHash())
		losers = append(losers, h.mustRead(`SELECT id FROM conflicts ORDER BY id`))
	}
	if hashes[0] != hashes[1] {
		t.Error("another order of the columns leaves another row")
	}
	if diff := cmp.Diff(losers[0], losers[1]); diff != "" || len(losers[0]) != 2 {
		t.Errorf("IDs of losers (-one order +the other):\n%s", diff)
	}
}
