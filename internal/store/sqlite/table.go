package sqlite

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"firehose/internal/store"
)

// table is a declared table with its statements.
type table struct {
	decl            *store.Table
	physical        *store.Catalogued
	physicalColumns int // of physical when this was compiled

	write *stmt // inserts, or updates when it is newer (Rows), adds (Counters), inserts (Log)
	force *stmt // Rows: inserts or updates
	read  *stmt // Rows: the stored row of a key
	texts []string
}

// compile prepares the statements of a table that the file has.
func compile(c *conn, t *store.Table, p *store.Catalogued) (*table, error) {
	compiled := &table{decl: t, physical: p, physicalColumns: len(p.Columns)}
	prepare := func(to **stmt, query string) (err error) {
		*to, err = c.prepare(query)
		compiled.texts = append(compiled.texts, query)
		return err
	}
	key, columns := names(t.Key), names(t.Columns)
	name := quote(p.Relation())
	var err error
	switch t.Kind {
	case store.Rows:
		upsert := insertSQL(name, append(append(append([]string(nil), key...), columns...), stampColumns...)) +
			" ON CONFLICT (" + strings.Join(key, ", ") + ") DO UPDATE SET " + setRow(t, p)
		err = errors.Join(
			prepare(&compiled.write, upsert+" WHERE excluded.firehose_version > "+name+".firehose_version"),
			prepare(&compiled.force, upsert),
			prepare(&compiled.read, "SELECT "+strings.Join(append(append([]string(nil), stampColumns...), columns...), ", ")+
				" FROM "+name+" WHERE "+strings.Join(key, " = ? AND ")+" = ?"))
	case store.Counters:
		sums := make([]string, len(columns))
		for i, c := range columns {
			sums[i] = fmt.Sprintf("%s = %s.%s + excluded.%s", c, name, c, c)
		}
		err = prepare(&compiled.write, insertSQL(name, append(append([]string(nil), key...), columns...))+
			" ON CONFLICT ("+strings.Join(key, ", ")+") DO UPDATE SET "+strings.Join(sums, ", "))
	case store.Log:
		err = prepare(&compiled.write, insertSQL(name, append([]string{"firehose_source", "firehose_event_id", "firehose_line"}, columns...))+
			" ON CONFLICT (firehose_source, firehose_event_id, firehose_line) DO NOTHING")
	}
	return compiled, err
}

func (t *table) close(c *conn) error {
	var errs []error
	for _, text := range t.texts {
		errs = append(errs, c.forget(text))
	}
	return errors.Join(errs...)
}

var stampColumns = []string{"firehose_version", "firehose_time", "firehose_origin", "firehose_event_id", "firehose_deleted"}

// setRow replaces a whole row. A column that the file has and t does not (an
// older program runs after a newer one) gets its default, as an inserted row
// does: what is stored depends on the winning event alone.
func setRow(t *store.Table, p *store.Catalogued) string {
	var sets []string
	for _, c := range append(names(t.Columns), stampColumns...) {
		sets = append(sets, c+" = excluded."+c)
	}
	declared := map[string]bool{}
	for _, c := range t.Columns {
		declared[strings.ToLower(c.Name)] = true
	}
	for _, c := range p.Columns {
		if !c.Key && !declared[strings.ToLower(c.Name)] {
			sets = append(sets, quote(c.Name)+" = "+c.Default)
		}
	}
	return strings.Join(sets, ", ")
}

func insertSQL(table string, columns []string) string {
	return "INSERT INTO " + table + " (" + strings.Join(columns, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(columns)-1) + ")"
}

func names(columns []store.Column) []string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = quote(c.Name)
	}
	return quoted
}

var zero, one any = int64(0), int64(1)

func boolean(b bool) any {
	if b {
		return one
	}
	return zero
}

// appendValues appends values as SQLite holds them, and refuses what it would
// bend. No values at all are NULLs: a removed row.
func appendValues(args []any, columns []store.Column, values []any, checked bool) ([]any, error) {
	if len(values) != len(columns) {
		return args, fmt.Errorf("%w: %d values for %d columns", store.ErrRefused, len(values), len(columns))
	}
	for i, v := range values {
		if !checked {
			if err := store.CheckType(columns[i], v); err != nil {
				return args, err
			}
		}
		switch x := v.(type) {
		case bool:
			v = boolean(x)
		case time.Time:
			v = store.FormatTimestamp(x)
		case []byte:
			if x == nil {
				v = []byte{} // nil would become NULL
			}
		}
		args = append(args, v)
	}
	return args, nil
}

func appendNulls(args []any, n int) []any {
	for range n {
		args = append(args, nil)
	}
	return args
}
