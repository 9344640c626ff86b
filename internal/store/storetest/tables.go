package storetest

import (
	"strings"
	"testing"

	"firehose/internal/store"
)

// widened is things with the columns of a later version.
func widened() *store.Table {
	t := things()
	t.Columns = append(t.Columns,
		store.Column{Name: "colour", Type: store.Text, Default: "it's red"},
		store.Column{Name: "size", Type: store.Int, Nullable: true},
		store.Column{Name: "sold", Type: store.Bool, Default: true},
		store.Column{Name: "since", Type: store.Timestamp, Default: moment},
		store.Column{Name: "weight", Type: store.Float, Default: 0.5},
	)
	return t
}

func wide(id, state string, version int64, colour string) store.Row {
	r := row(id, state, stamp(version, "w"+state))
	r.Values = append(r.Values, colour, int64(5), false, moment, 1.5)
	return r
}

const readWide = `SELECT id, state, colour, size, sold, since FROM things ORDER BY id`

// testAddedColumns: a batch of a table with more columns adds them, in its own
// transaction, and the rows already there hold the defaults.
func testAddedColumns(t *testing.T, open Opener) {
	h := newHarness(t, open, things())
	h.mustApply(rows(things(), row("a", "old", stamp(1, "e1")), row("b", "old", stamp(1, "e2")), removed("c", stamp(1, "e3"))))
	// A batch that is rolled back adds nothing.
	before := h.mustHash()
	bad := wide("d", "bad", 1, "\x00")
	_, err := h.apply(rows(widened(), wide("a", "never", 2, "blue"), bad))
	h.wantError(err, store.ErrRefused)
	if _, err := h.Read(t.Context(), readWide); err == nil {
		t.Error("a batch that was refused left its columns")
	}
	if h.mustHash() != before {
		t.Error("a batch that was refused changed the tables")
	}
	h.mustApply(rows(things(), row("b", "newer", stamp(2, "e4"))))

	h.mustApply(rows(widened(), wide("b", "new", 3, "blue"), wide("c", "back", 2, "green")))
	since := moment.Format(store.TimestampLayout)
	h.want(readWide, one("a", "old", "it's red", "NULL", 1, since), one("b", "new", "blue", 5, 0, since), one("c", "back", "green", 5, 0, since))
	h.want(`SELECT weight FROM things WHERE id = 'a'`, one(0.5))

	counters := stock()
	h.mustApply(&store.Batch{Changes: []store.Changes{{Table: counters, Sums: []store.Sum{{Key: []any{"a"}, Deltas: []int64{1, 2}}}}}})
	counters = stock()
	counters.Columns = append(counters.Columns, store.Column{Name: "lost", Type: store.Int})
	h.mustApply(&store.Batch{Changes: []store.Changes{{Table: counters, Sums: []store.Sum{{Key: []any{"a"}, Deltas: []int64{1, 2, 3}}}}}})
	h.want(`SELECT on_hand, sold, lost FROM stock`, one(2, 4, 3))

	log := ledger()
	h.mustApply(&store.Batch{Changes: []store.Changes{{Table: log, Entries: []store.Entry{{Source: "s", EventID: "1", Values: []any{"cash", int64(1)}}}}}})
	log = ledger()
	log.Columns = append(log.Columns, store.Column{Name: "memo", Type: store.Text, Default: ""})
	h.mustApply(&store.Batch{Changes: []store.Changes{{Table: log, Entries: []store.Entry{{Source: "s", EventID: "2", Values: []any{"cash", int64(1), "memo"}}}}}})
	h.want(`SELECT firehose_event_id, memo FROM ledger ORDER BY 1`, one("1", ""), one("2", "memo"))
}

// testOlderProgram: a program that does not know the newest columns writes
// their defaults, whether the row is new or not.
func testOlderProgram(t *testing.T, open Opener) {
	h := newHarness(t, open, widened())
	h.mustApply(rows(widened(), wide("a", "new", 1, "blue")))
	h.mustApply(rows(things(), row("a", "newer", stamp(2, "e2")), row("b", "first", stamp(1, "e3"))))
	since := moment.Format(store.TimestampLayout)
	h.want(readWide, one("a", "newer", "it's red", "NULL", 1, since), one("b", "first", "it's red", "NULL", 1, since))
	h.mustApply(rows(widened(), wide("a", "newest", 3, "blue")))
	h.want(`SELECT id, colour FROM things ORDER BY id`, one("a", "blue"), one("b", "it's red"))
}

func testChangedColumns(t *testing.T, open Opener) {
	cases := map[string]func(*store.Table){
		"type":           func(t *store.Table) { t.Columns[0].Type = store.Int },
		"type in a type": func(t *store.Table) { t.Columns[0].Type = store.Timestamp },
		"nullability":    func(t *store.Table) { t.Columns[0].Nullable = true },
		"key":            func(t *store.Table) { t.Key, t.Columns = append(t.Key, t.Columns[0]), t.Columns[1:] },
		"dropped":        func(t *store.Table) { t.Columns = t.Columns[1:] },
		"added, nothing for rows already there": func(t *store.Table) {
			t.Columns = append(t.Columns, store.Column{Name: "state2", Type: store.Text})
		},
	}
	for name, change := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, open, things())
			h.mustApply(rows(things(), row("a", "old", stamp(1, "e1"))))
			changed := things()
			change(changed)
			_, err := h.apply(rows(changed, store.Row{Key: []any{"b"}, Stamp: stamp(1, "e2"), Deleted: true}))
			h.wantError(err, store.ErrFatal)
			if err == nil || !strings.Contains(err.Error(), "things") || !strings.Contains(err.Error(), "state") {
				t.Errorf("error %v does not name table and column", err)
			}
			// The old declaration still works.
			h.mustApply(rows(things(), row("a", "new", stamp(2, "e3"))))
			h.want(readThings, one("a", "new"))
		})
	}
	t.Run("kind", func(t *testing.T) {
		h := newHarness(t, open, stock())
		changed := stock()
		changed.Kind = store.Rows
		_, err := h.apply(rows(changed, store.Row{Key: []any{"b"}, Stamp: stamp(1, "e2"), Deleted: true}))
		h.wantError(err, store.ErrFatal)
	})
}

// testNewTable: a table that was not declared at first is made by its first
// batch, and is gone with it.
func testNewTable(t *testing.T, open Opener) {
	h := newHarness(t, open)
	bad := row("a", "bad\x00", stamp(1, "e1"))
	_, err := h.apply(rows(things(), bad))
	h.wantError(err, store.ErrRefused)
	if _, err := h.Read(t.Context(), readThings); err == nil {
		t.Error("a batch that was refused left its table")
	}
	h.mustApply(rows(things(), row("a", "good", stamp(1, "e1"))))
	h.want(readThings, one("a", "good"))
}

func testDeclarations(t *testing.T, open Opener) {
	column := store.Column{Name: "c", Type: store.Text}
	cases := map[string]store.Table{
		"no name":            {Kind: store.Rows, Key: []store.Column{column}},
		"not an identifier":  {Name: `x"; DROP TABLE positions; --`, Key: []store.Column{column}},
		"reserved":           {Name: "positions", Key: []store.Column{column}},
		"reserved prefix":    {Name: "Firehose_x", Key: []store.Column{column}},
		"the engine's":       {Name: "images", Key: []store.Column{column}},
		"no key":             {Name: "x", Kind: store.Rows},
		"log with a key":     {Name: "x", Kind: store.Log, Key: []store.Column{column}},
		"float key":          {Name: "x", Key: []store.Column{{Name: "k", Type: store.Float}}},
		"JSON key":           {Name: "x", Key: []store.Column{{Name: "k", Type: store.JSON}}},
		"decimal key":        {Name: "x", Key: []store.Column{column, {Name: "k", Type: store.Decimal}}},
		"counters by amount": {Name: "x", Kind: store.Counters, Key: []store.Column{{Name: "k", Type: store.Decimal}}, Columns: []store.Column{{Name: "n", Type: store.Int}}},
		"nullable key":       {Name: "x", Key: []store.Column{{Name: "k", Nullable: true}}},
		"twice":              {Name: "x", Key: []store.Column{column}, Columns: []store.Column{{Name: "C"}}},
		"reserved column":    {Name: "x", Key: []store.Column{column}, Columns: []store.Column{{Name: "firehose_version"}}},
		"counter of text":    {Name: "x", Kind: store.Counters, Key: []store.Column{column}, Columns: []store.Column{{Name: "n", Type: store.Text}}},
		"no counter":         {Name: "x", Kind: store.Counters, Key: []store.Column{column}},
		"default of a type":  {Name: "x", Key: []store.Column{column}, Columns: []store.Column{{Name: "n", Type: store.Int, Default: "1"}}},
		"default with a NUL": {Name: "x", Key: []store.Column{column}, Columns: []store.Column{{Name: "n", Default: "\x00"}}},
	}
	for name, table := range cases {
		t.Run(name, func(t *testing.T) {
			h := newHarness(t, open)
			_, err := h.apply(&store.Batch{Changes: []store.Changes{{Table: &table}}})
			h.wantError(err, store.ErrFatal)
			if err == nil {
				return
			}
			if table.Name == "x" && !strings.Contains(err.Error(), "table x: ") {
				t.Errorf("error %v does not name the table", err)
			}
			if len(table.Key) > 0 && table.Key[0].Name == "k" && !strings.Contains(err.Error(), `column "k"`) {
				t.Errorf("error %v does not name the column", err)
			}
		})
	}
	t.Run("keywords are fine", func(t *testing.T) {
		table := &store.Table{
			Name: "order", Key: []store.Column{{Name: "group", Type: store.Text}}, Columns: []store.Column{{Name: "select", Type: store.Text}},
		}
		h := newHarness(t, open, table)
		h.mustApply(rows(table, store.Row{Key: []any{"a"}, Values: []any{"b"}, Stamp: stamp(1, "e")}))
		h.mustApply(rows(table, store.Row{Key: []any{"a"}, Values: []any{"c"}, Stamp: stamp(2, "e")}))
		h.want(`SELECT "group", "select" FROM "order"`, one("a", "c"))
	})
}
