package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"
	"maps"
	"slices"
	"time"

	"firehose/internal/store"
)

// Event IDs of facts are remembered in a table per store.Slice. It holds
// (key, hash): 24 bytes that stand for source and ID, and 16 of the body's
// SHA-256. A batch goes into it as one BLOB of such pairs, cut up by
// SQLite: binding a parameter costs about as much as inserting a row.
type seenTables struct {
	slices map[store.Slice]*slice
	clock  int64 // microseconds: the latest record time seen, see store.AdvanceClock
}

type slice struct {
	used int64     // the clock when an ID was last put in
	at   time.Time // the time of day then, or when the file was opened
}

// load reads which slices there are. When they were used is known where they were
// loaded before.
func (t *seenTables) load(ctx context.Context, c *conn, now time.Time) error {
	before := t.slices
	t.slices, t.clock = map[store.Slice]*slice{}, 0
	first := true
	return readSlices(ctx, c, func(id store.Slice, used int64) {
		at := now
		if b := before[id]; b != nil {
			at = b.at
		}
		t.slices[id] = &slice{used, at}
		if first || used > t.clock {
			t.clock, first = used, false
		}
	})
}

func readSlices(ctx context.Context, c *conn, each func(id store.Slice, used int64)) error {
	return c.query(ctx, `SELECT horizon, slice, used FROM firehose_seen_slices`, func(v []driver.Value) error {
		each(store.Slice{Horizon: time.Duration(v[0].(int64)), N: v[1].(int64)}, v[2].(int64))
		return nil
	})
}

// insert remembers IDs that must all be new, and forgets old slices.
func (t *seenTables) insert(w *writer, seen []store.Seen) error {
	if len(seen) == 0 || !rememberSeen {
		return nil
	}
	groups, err := store.BySlice(seen)
	if err != nil {
		return err
	}
	w.altered = true // until the commit
	now := w.now()
	t.clock = store.AdvanceClock(t.clock, len(t.slices) == 0 && t.clock == 0, seen, now)
	for _, id := range slices.SortedFunc(maps.Keys(groups), store.Slice.Compare) {
		if err := t.use(w.conn, id, now); err != nil {
			return err
		}
		n, err := w.conn.once(t.insertSQL(id), store.SeenPairs(seen, groups[id]), int64(len(groups[id])))
		if err != nil {
			return err
		}
		if n != int64(len(groups[id])) {
			return fmt.Errorf("%w: %d event IDs were seen meanwhile", store.ErrChanged, int64(len(groups[id]))-n)
		}
	}
	return t.forget(w.conn, now)
}

// use makes sure that a slice has its table and notes that it is in use.
func (t *seenTables) use(c *conn, id store.Slice, now time.Time) error {
	if s := t.slices[id]; s != nil {
		s.at = now
		if s.used == t.clock {
			return nil
		}
		s.used = t.clock
		_, err := c.exec(`UPDATE firehose_seen_slices SET used = ? WHERE name = ?`, t.clock, id.Table())
		return err
	}
	if err := c.ddl(`CREATE TABLE ` + quote(id.Table()) + ` (key BLOB PRIMARY KEY, hash BLOB NOT NULL) STRICT, WITHOUT ROWID`); err != nil {
		return err
	}
	t.slices[id] = &slice{t.clock, now}
	starts := id.Starts()
	_, err := c.exec(`INSERT INTO firehose_seen_slices (name, horizon, slice, used, starts, ends) VALUES (?, ?, ?, ?, ?, ?)`,
		id.Table(), int64(id.Horizon), id.N, t.clock, starts.Format(store.TimestampLayout), starts.Add(id.Horizon).Format(store.TimestampLayout))
	return err
}

// forget drops the slices that lie a horizon behind the clock, once neither they
// nor a neighbour were used for a horizon of the clock, nor lately: a partition
// that lags behind the others still needs them.
func (t *seenTables) forget(c *conn, now time.Time) error {
	for id := range t.slices {
		h := id.Horizon.Microseconds()
		old := t.clock - h
		inUse := func(n store.Slice) bool {
			s := t.slices[n]
			return s != nil && (s.used >= old || now.Sub(s.at) < store.ForgetGrace)
		}
		if (id.N+1)*h > old || slices.ContainsFunc(id.Neighbours(), inUse) {
			continue
		}
		if err := c.ddl(`DROP TABLE ` + quote(id.Table())); err != nil {
			return err
		}
		if _, err := c.exec(`DELETE FROM firehose_seen_slices WHERE name = ?`, id.Table()); err != nil {
			return err
		}
		delete(t.slices, id)
	}
	return nil
}

const cutPairs = `WITH RECURSIVE pair(i) AS (SELECT 0 WHERE ?2 > 0 UNION ALL SELECT i + 1 FROM pair WHERE i + 1 < ?2) `

// insertSQL inserts the pairs of the BLOB ?1, of which there are ?2, that are in
// none of the slice's neighbours.
func (t *seenTables) insertSQL(id store.Slice) string {
	query := cutPairs + `INSERT INTO ` + quote(id.Table()) + ` (key, hash)
		SELECT substr(?1, i * 40 + 1, 24), substr(?1, i * 40 + 25, 16) FROM pair WHERE true`
	for _, n := range id.Neighbours() {
		if n != id && t.slices[n] != nil {
			query += ` AND NOT EXISTS (SELECT 1 FROM ` + quote(n.Table()) + ` WHERE key = substr(?1, i * 40 + 1, 24))`
		}
	}
	return query + ` ON CONFLICT (key) DO NOTHING`
}
