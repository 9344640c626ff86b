package postgres

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"firehose/internal/store"
)

// Hash returns the canonical hash of the service's tables: rows that are live
// with their stamps, counters that are not zero and log entries, as of one moment.
// Positions, seen IDs and conflicts are no part of it: equal positions mean equal
// hashes, on every replica, in every kind of store and after a rebuild. It reads
// everything, on a connection of its own.
func (s *Store) Hash(ctx context.Context) (string, error) {
	sum, err := s.hash(ctx)
	return sum, whileRunning("hash", err)
}

func (s *Store) hash(ctx context.Context) (sum string, err error) {
	conn, err := s.src.connect(ctx)
	if err != nil {
		return "", err
	}
	d := store.NewDigest()
	err = pgx.BeginTxFunc(ctx, conn, pgx.TxOptions{IsoLevel: pgx.RepeatableRead, AccessMode: pgx.ReadOnly}, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "SET LOCAL statement_timeout = 0"); err != nil {
			return err
		}
		cat, err := loadCatalog(ctx, tx)
		if err != nil {
			return err
		}
		for _, name := range slices.Sorted(maps.Keys(cat.tables)) {
			if err := hashTable(ctx, tx, d, cat.tables[name]); err != nil {
				return err
			}
		}
		return nil
	})
	if end := closeNow(conn); err == nil {
		err = end
	}
	return d.Sum(), err
}

func hashTable(ctx context.Context, tx pgx.Tx, d *store.Digest, t *store.Catalogued) error {
	types := map[string]string{}
	var order, columns []string
	for _, c := range t.Columns {
		columns = append(columns, c.Name)
		types[c.Name] = c.Type
		if c.Key {
			order = append(order, quote(c.Name))
		}
	}
	slices.Sort(columns)
	relation, where := t.Relation(), ""
	switch t.Kind {
	case store.Rows.String():
		columns = append(columns, stampColumns[:4]...)
		where = " WHERE NOT firehose_deleted"
	case store.Counters.String(), sharded:
		// A sum that went back to zero is no other state than one never begun:
		// a rebuild of a compacted topic may not see what was taken back.
		var zero []string
		for _, c := range t.Columns {
			if !c.Key {
				zero = append(zero, quote(c.Name)+" = 0")
			}
		}
		where = " WHERE NOT (" + strings.Join(zero, " AND ") + ")"
	case store.Log.String():
		key := []string{"firehose_source", "firehose_event_id", "firehose_line"}
		columns = append(columns, key...)
		order = key
	}
	shownColumns := make([]string, len(columns))
	for i, name := range columns {
		shownColumns[i] = quote(name)
		if typ := types[name]; typ == store.Decimal.String() || typ == store.JSON.String() {
			shownColumns[i] += "::text"
		}
	}
	d.Table(t.Name, columns)
	rows, err := tx.Query(ctx, fmt.Sprintf("SELECT %s FROM %s%s ORDER BY %s",
		strings.Join(shownColumns, ", "), quote(relation), where, strings.Join(order, ", ")))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		values, err := rows.Values()
		if err != nil {
			return err
		}
		for i, v := range values {
			switch v := v.(type) {
			case bool:
				values[i] = int64(0)
				if v {
					values[i] = int64(1)
				}
			case time.Time:
				values[i] = store.FormatTimestamp(v)
			}
		}
		d.Row(values)
	}
	return rows.Err()
}
