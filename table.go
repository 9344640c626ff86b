package firehose

import (
	"fmt"

	"firehose/internal/store"
)

// Column is one column of a service's table.
type Column struct {
	name     string
	kind     store.Type
	nullable bool
}

// Text is a column of UTF-8 text; values are strings (or types made of them)
// without U+0000.
func Text(name string) Column { return Column{name: name, kind: store.Text} }

// Int is a column of 64-bit integers; values are of any Go integer type.
func Int(name string) Column { return Column{name: name, kind: store.Int} }

// Float is a column of 64-bit floating point numbers, never NaN.
func Float(name string) Column { return Column{name: name, kind: store.Float} }

// Bool is a column of true and false.
func Bool(name string) Column { return Column{name: name, kind: store.Bool} }

// Bytes is a column of []byte.
func Bytes(name string) Column { return Column{name: name, kind: store.Bytes} }

// Timestamp is a column of time.Time, kept in UTC to the microsecond, of the
// years 1 to 9999.
func Timestamp(name string) Column { return Column{name: name, kind: store.Timestamp} }

// Decimal is a column of exact decimal numbers, given as strings: "-12.50".
func Decimal(name string) Column { return Column{name: name, kind: store.Decimal} }

// JSON is a column of JSON text; values are strings.
func JSON(name string) Column { return Column{name: name, kind: store.JSON} }

// Null returns the column, allowed to be NULL: values may be nil, or nil
// pointers.
func (c Column) Null() Column {
	c.nullable = true
	return c
}

func (c Column) column() store.Column {
	return store.Column{Name: c.name, Type: c.kind, Nullable: c.nullable}
}

// Key is the columns that identify a row. None can be a Float, JSON or Decimal.
type Key []Column

// Table is one table of a service's store. Make one with Rows, Counters or Log.
type Table struct{ table *store.Table }

// Name returns the table's name.
func (t *Table) Name() string { return t.table.Name }

// Rows is a table whose rows are put and removed. Of two events that put the
// same row the later one stays, by (version, time, origin, event ID). SQL sees
// the live rows as the view NAME.
func Rows(name string, key Key, columns ...Column) *Table {
	return &Table{&store.Table{Name: name, Kind: store.Rows, Key: plain(key), Columns: plain(columns)}}
}

// Counters is a table of sums: 64-bit integers that events add to.
func Counters(name string, key Key, columns ...string) *Table {
	t := &store.Table{Name: name, Kind: store.Counters, Key: plain(key)}
	for _, c := range columns {
		t.Columns = append(t.Columns, Int(c).column())
	}
	return &Table{t}
}

// Sharded says that events of many partitions add to the same few rows of a
// Counters table, as to the total of everything. In PostgreSQL such a row is kept
// in parts, one per partition, behind a view of the table's name: instances do
// not queue for it. What is read is the same. It cannot be changed later.
func (t *Table) Sharded() *Table {
	sharded := *t.table
	sharded.Sharded = true
	return &Table{&sharded}
}

// Log is a table that only grows. A row is keyed by the event that appends it,
// in the columns firehose_source, firehose_event_id and firehose_line, so that
// a repetition of the event adds nothing.
func Log(name string, columns ...Column) *Table {
	return &Table{&store.Table{Name: name, Kind: store.Log, Columns: plain(columns)}}
}

func plain(columns []Column) []store.Column {
	out := make([]store.Column, len(columns))
	for i, c := range columns {
		out[i] = c.column()
	}
	return out
}

// validate checks the declarations that a compiler cannot.
func validateTables(tables []*Table) error {
	names := map[string]bool{}
	for _, t := range tables {
		switch {
		case names[t.Name()]:
			return fmt.Errorf("table %s: declared twice", t.Name())
		case t.table.Kind != store.Log && len(t.table.Key) == 0:
			return fmt.Errorf("table %s: has no key", t.Name())
		case t.table.Kind == store.Counters && len(t.table.Columns) == 0:
			return fmt.Errorf("table %s: counts nothing", t.Name())
		}
		names[t.Name()] = true
		columns := map[string]bool{}
		for _, c := range append(t.table.Key[:len(t.table.Key):len(t.table.Key)], t.table.Columns...) {
			if c.Name == "" || columns[c.Name] {
				return fmt.Errorf("table %s: column %q: empty or declared twice", t.Name(), c.Name)
			}
			columns[c.Name] = true
		}
	}
	return nil
}
