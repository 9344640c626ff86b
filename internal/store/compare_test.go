package store_test

import (
	"cmp"
	"math"
	"testing"
	"time"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// TestCompareRow: a total order, the same for values as a projection gives them
// and as a store holds them, and one hash where it finds rows the same.
func TestCompareRow(t *testing.T) {
	at := time.Date(2026, 3, 1, 12, 0, 0, 1000, time.UTC)
	is := func(values ...any) []store.Row { return []store.Row{{Values: values}} }
	ascending := [][]store.Row{
		is(nil, nil),
		is(nil, int64(9)),
		append(is(false, int64(1)), is(int64(0), int64(1))...),
		is(int64(0), int64(2)),
		append(is(true, nil), is(int64(1), nil)...),
		is(int64(math.MaxInt64), nil),
		is(math.Inf(-1), nil),
		append(is(0.0, nil), is(math.Copysign(0, -1), nil)...),
		append(is(at, nil), is("2026-03-01T12:00:00.000001Z", nil)...),
		is(at.Add(time.Microsecond), nil),
		is("a", "b"),
		is("ab", "a"),
		is([]byte("A"), nil),
		{{Deleted: true}, {Deleted: true, Values: []any{"a"}}},
	}
	for i, as := range ascending {
		for j, bs := range ascending {
			for _, a := range as {
				for _, b := range bs {
					if got, want := store.CompareRow(&a, &b), cmp.Compare(i, j); got != want {
						t.Errorf("CompareRow(%v, %v): got %d, want %d", a, b, got, want)
					}
					if got, want := store.HashRow(&a) == store.HashRow(&b), i == j; got != want {
						t.Errorf("%v and %v hash alike: got %v, want %v", a, b, got, want)
					}
				}
			}
		}
	}
}

// TestCompareColumns: what order the columns of a table have does not matter,
// where the rows say what table they are of.
func TestCompareColumns(t *testing.T) {
	columns := []store.Column{{Name: "b"}, {Name: "a"}, {Name: "c"}}
	states := [][]any{ // by a, then b, then c
		{"2", "1", "9"}, {"2", "1", nil}, {"1", "2", "3"}, {"1", "3", "2"}, {"9", "3", "1"},
	}
	orders := [][]int{{0, 1, 2}, {1, 0, 2}, {2, 1, 0}, {1, 2, 0}}
	in := func(state []any, order []int) *store.Row {
		r := &store.Row{Table: &store.Table{}}
		for _, i := range order {
			r.Table.Columns = append(r.Table.Columns, columns[i])
			r.Values = append(r.Values, state[i])
		}
		return r
	}
	for i, x := range states {
		for j, y := range states {
			first := store.CompareRow(in(x, orders[0]), in(y, orders[0]))
			for _, order := range orders[1:] {
				if got := store.CompareRow(in(x, order), in(y, order)); got != first {
					t.Errorf("%v and %v in order %v: got %d, want %d", x, y, order, got, first)
				}
			}
			for _, order := range orders {
				if got, want := store.HashRow(in(x, orders[0])) == store.HashRow(in(y, order)), i == j; got != want {
					t.Errorf("%v and %v in order %v hash alike: got %v, want %v", x, y, order, got, want)
				}
			}
		}
	}
	// A row that was completed with columns that its own table does not have.
	narrow, wide := in(states[2], orders[0]), in(states[3], orders[0])
	narrow.Table = &store.Table{Columns: columns[:1]}
	if got, want := store.CompareRow(narrow, wide), -1; got != want {
		t.Errorf("narrow and wide: got %d, want %d", got, want)
	}
	if got, want := store.CompareRow(wide, narrow), 1; got != want {
		t.Errorf("wide and narrow: got %d, want %d", got, want)
	}
}

// TestMeet: an image settles what one stamp leaves open, and nothing else.
func TestMeet(t *testing.T) {
	at := func(version int64) conflict.Stamp { return conflict.Stamp{Version: version, EventID: "e"} }
	stored := store.Row{Values: []any{"b"}, Stamp: at(2)}
	for _, c := range []struct {
		value            string
		version          int64
		settled, unknown conflict.Outcome
	}{
		{"a", 1, conflict.Stale, conflict.Stale},
		{"a", 2, conflict.Wins, conflict.Loses},
		{"b", 2, conflict.Duplicate, conflict.Duplicate},
		{"c", 2, conflict.Wins, conflict.WinsOver},
		{"a", 3, conflict.Wins, conflict.Wins},
	} {
		row := store.Row{Values: []any{c.value}, Stamp: at(c.version)}
		if got := store.Meet(&stored, &row); got != c.unknown {
			t.Errorf("%s at %d: got %d, want %d", c.value, c.version, got, c.unknown)
		}
		row.Settled = true
		if got := store.Meet(&stored, &row); got != c.settled {
			t.Errorf("%s at %d, settled: got %d, want %d", c.value, c.version, got, c.settled)
		}
	}
}
