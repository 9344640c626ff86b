package main

import (
	"bytes"
	"context"
	"database/sql/driver"
	"errors"
	"slices"
	"strings"

	"modernc.org/sqlite"

	"firehose/internal/store"
)

// bareSQLite upserts with one prepared statement, sorted by key, through the
// driver itself: database/sql would cost a fifth more.
type bareSQLite struct {
	conn                 driver.Conn
	upsert, insert, move driver.Stmt
	args                 []driver.NamedValue
}

func openBareSQLite(s *side) func(context.Context) (bareWriter, error) {
	return func(ctx context.Context) (bareWriter, error) {
		connector, err := sqlite.NewConnector("file:" + strings.TrimPrefix(s.store, "sqlite:") + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)" +
			"&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(8000)&_pragma=temp_store(MEMORY)&_pragma=busy_timeout(10000)")
		if err != nil {
			return nil, err
		}
		conn, err := connector.Connect(ctx)
		if err != nil {
			return nil, err
		}
		w := &bareSQLite{conn: conn}
		for _, create := range []string{
			`CREATE TABLE bare_orders (order_id TEXT PRIMARY KEY, customer_id TEXT NOT NULL, status TEXT NOT NULL, version INTEGER NOT NULL,
			total_cents INTEGER NOT NULL, currency TEXT NOT NULL, updated_at TEXT NOT NULL, item_count INTEGER NOT NULL,
			channel TEXT NOT NULL, country TEXT NOT NULL, campaign TEXT NOT NULL) STRICT, WITHOUT ROWID`,
			`CREATE TABLE bare_positions (partition INTEGER PRIMARY KEY, next INTEGER NOT NULL) STRICT`,
			`CREATE TABLE bare_seen (key BLOB PRIMARY KEY, hash BLOB NOT NULL) STRICT, WITHOUT ROWID`,
		} {
			if _, err := conn.(driver.ExecerContext).ExecContext(ctx, create, nil); err != nil {
				return nil, err
			}
		}
		merge := strings.ReplaceAll(bareMerge("x"), "SELECT "+strings.Join(bareColumns, ", ")+" FROM x", "VALUES (?"+strings.Repeat(", ?", len(bareColumns)-1)+")")
		for _, p := range []struct {
			into *driver.Stmt
			text string
		}{
			{&w.upsert, merge},
			{&w.insert, `WITH RECURSIVE pair(i) AS (SELECT 0 UNION ALL SELECT i + 1 FROM pair WHERE i + 1 < ?2) INSERT INTO bare_seen
				SELECT substr(?1, i * 40 + 1, 24), substr(?1, i * 40 + 25, 16) FROM pair WHERE true ON CONFLICT DO NOTHING`}, // all in one statement
			{&w.move, `INSERT INTO bare_positions VALUES (?, ?) ON CONFLICT (partition) DO UPDATE SET next = excluded.next`},
		} {
			if *p.into, err = conn.Prepare(p.text); err != nil {
				return nil, err
			}
		}
		return w, nil
	}
}

func (w *bareSQLite) close() error {
	return errors.Join(w.upsert.Close(), w.insert.Close(), w.move.Close(), w.conn.Close())
}

func (w *bareSQLite) exec(ctx context.Context, s driver.Stmt, args ...any) error {
	w.args = w.args[:0]
	for i, v := range args {
		w.args = append(w.args, driver.NamedValue{Ordinal: i + 1, Value: v})
	}
	_, err := s.(driver.StmtExecContext).ExecContext(ctx, w.args)
	return err
}

func (w *bareSQLite) write(ctx context.Context, b *bareBatch) error {
	tx, err := w.conn.(driver.ConnBeginTx).BeginTx(ctx, driver.TxOptions{})
	if err != nil {
		return err
	}
	if err := w.fill(ctx, b); err != nil {
		return errors.Join(err, tx.Rollback())
	}
	return tx.Commit()
}

func (w *bareSQLite) fill(ctx context.Context, b *bareBatch) error {
	slices.SortFunc(b.rows, func(x, y order) int { return strings.Compare(x.OrderID, y.OrderID) })
	for i := range b.rows {
		o := &b.rows[i]
		if err := w.exec(ctx, w.upsert, o.OrderID, o.CustomerID, o.Status, o.Version, o.TotalCents, o.Currency,
			store.FormatTimestamp(o.UpdatedAt), int64(o.ItemCount), o.Channel, o.Country, o.Campaign); err != nil {
			return err
		}
	}
	if len(b.ids) > 0 {
		slices.SortFunc(b.ids, func(x, y [seenPair]byte) int { return bytes.Compare(x[:], y[:]) })
		pairs := make([]byte, 0, len(b.ids)*seenPair)
		for i := range b.ids {
			pairs = append(pairs, b.ids[i][:]...)
		}
		if err := w.exec(ctx, w.insert, pairs, int64(len(b.ids))); err != nil {
			return err
		}
	}
	for p, next := range b.next {
		if err := w.exec(ctx, w.move, int64(p), next); err != nil {
			return err
		}
	}
	return nil
}
