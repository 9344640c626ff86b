package sqlite

import (
	"cmp"
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"
	"time"

	"firehose/internal/store"
)

// Hash returns the canonical hash of the service's tables: rows that are live
// with their stamps, counters that are not zero and log entries, as of one moment. Positions, seen
// IDs and conflicts are no part of it: equal positions mean equal hashes, on
// every replica and after a rebuild. It reads everything, on a connection of its
// own, so that look-ups need not wait for it.
func (s *Store) Hash(ctx context.Context) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", classify("hash", err)
	}
	c, err := openReader(ctx, s.path)
	if err != nil {
		return "", classify("hash", err)
	}
	sum, err := hash(ctx, c)
	return sum, classify("hash", errors.Join(err, c.close()))
}

func hash(ctx context.Context, c *conn) (_ string, err error) {
	if _, err := c.exec("BEGIN"); err != nil {
		return "", err
	}
	defer func() {
		_, end := c.exec("COMMIT")
		err = errors.Join(err, end)
	}()
	// A writer of its own knows the file as of this moment.
	w := &writer{conn: c, now: time.Now}
	if err := w.load(ctx); err != nil {
		return "", err
	}
	d := store.NewDigest()
	tables := make([]*store.Catalogued, 0, len(w.tables))
	for _, p := range w.tables {
		tables = append(tables, p)
	}
	slices.SortFunc(tables, func(a, b *store.Catalogued) int { return cmp.Compare(a.Name, b.Name) })
	for _, p := range tables {
		if err := hashTable(ctx, c, d, p); err != nil {
			return "", err
		}
	}
	return d.Sum(), nil
}

func hashTable(ctx context.Context, c *conn, d *store.Digest, p *store.Catalogued) error {
	var key, columns []string
	for _, col := range p.Columns {
		if col.Key {
			key = append(key, col.Name)
		}
		columns = append(columns, col.Name)
	}
	slices.Sort(columns)
	where := ""
	switch p.Kind {
	case store.Rows.String():
		columns = append(columns, stampColumns[:4]...)
		where = " WHERE NOT firehose_deleted"
	case store.Counters.String():
		// A sum that went back to zero is no other state than one never begun:
		// a rebuild of a compacted topic may not see what was taken back.
		var zero []string
		for _, col := range p.Columns {
			if !col.Key {
				zero = append(zero, quote(col.Name)+" = 0")
			}
		}
		where = " WHERE NOT (" + strings.Join(zero, " AND ") + ")"
	case store.Log.String():
		key = []string{"firehose_source", "firehose_event_id", "firehose_line"}
		columns = append(columns, key...)
	}
	d.Table(p.Name, columns)
	return c.queryOnce(ctx, "SELECT "+quoteAll(columns)+" FROM "+quote(p.Relation())+where+" ORDER BY "+quoteAll(key),
		func(v []driver.Value) error {
			row := make([]any, len(v))
			for i := range v {
				row[i] = v[i]
			}
			d.Row(row)
			return nil
		})
}

func quoteAll(names []string) string {
	quoted := make([]string, len(names))
	for i, n := range names {
		quoted[i] = quote(n)
	}
	return strings.Join(quoted, ", ")
}
