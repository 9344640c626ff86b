package sqlite

import (
	"bytes"
	"context"
	"crypto/sha256"
	"database/sql/driver"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"firehose/internal/store"
)

// Event IDs of facts are remembered in tables that each cover a slice of record
// time as long as their horizon. Two records within the horizon of one another
// lie in one slice or in neighbours, so an ID is looked for in three tables and
// forgotten by dropping a whole one.
//
// A table holds (key, hash): 24 bytes that stand for source and ID, and 16 of the
// body's SHA-256. A batch goes into it as one BLOB of such pairs, cut up by
// SQLite: binding a parameter costs about as much as inserting a row.
type seenTables struct {
	slices map[sliceID]*slice
	clock  int64 // microseconds: the latest record time seen, see advance
	now    func() time.Time
}

// sliceID names the slice [n*horizon, (n+1)*horizon) of record time.
type sliceID struct {
	horizon time.Duration
	n       int64
}

type slice struct {
	used int64 // the clock when an ID was last put in
}

const (
	seenKeySize  = 24
	seenPairSize = seenKeySize + 16
)

func (id sliceID) table() string { return fmt.Sprintf("firehose_seen_%s_%d", id.horizon, id.n) }

// neighbours are the slices in which an ID of this slice may have been seen.
func (id sliceID) neighbours() []sliceID {
	return []sliceID{{id.horizon, id.n - 1}, id, {id.horizon, id.n + 1}}
}

func sliceOf(s *store.Seen) sliceID {
	t, h := s.Time.UnixMicro(), s.Horizon.Microseconds()
	n := t / h
	if t%h < 0 {
		n--
	}
	return sliceID{s.Horizon, n}
}

// appendSeenKey appends the key of an event ID. A UUID in its usual spelling
// leads it as it is, so that those made in the order of time (UUIDv7) are
// inserted side by side, and its source follows as a hash; anything else is
// hashed with its source.
func appendSeenKey(b []byte, k store.EventKey) []byte {
	if len(k.ID) == 36 {
		if id, err := uuid.Parse(k.ID); err == nil && id.String() == k.ID {
			sum := sha256.Sum256([]byte(k.Source))
			return append(append(b, id[:]...), sum[:seenKeySize-len(id)]...)
		}
	}
	whole := make([]byte, 0, 8+len(k.Source)+len(k.ID))
	whole = binary.BigEndian.AppendUint64(whole, uint64(len(k.Source)))
	whole = append(append(whole, k.Source...), k.ID...)
	sum := sha256.Sum256(whole)
	return append(b, sum[:seenKeySize]...)
}

// bySlice groups IDs by the slice that they lie in. Horizons are checked here:
// slices of less than a second would be countless.
func bySlice(seen []store.Seen) (map[sliceID][]int, error) {
	groups := map[sliceID][]int{}
	for i := range seen {
		if seen[i].Horizon < time.Second {
			return nil, fmt.Errorf("%w: horizon %v of seen event IDs: want at least a second", store.ErrFatal, seen[i].Horizon)
		}
		id := sliceOf(&seen[i])
		groups[id] = append(groups[id], i)
	}
	return groups, nil
}

// load reads which slices there are.
func (t *seenTables) load(ctx context.Context, c *conn) error {
	t.slices, t.clock = map[sliceID]*slice{}, 0
	first := true
	return readSlices(ctx, c, func(id sliceID, used int64) {
		t.slices[id] = &slice{used: used}
		if first || used > t.clock {
			t.clock, first = used, false
		}
	})
}

func readSlices(ctx context.Context, c *conn, each func(id sliceID, used int64)) error {
	return c.query(ctx, `SELECT horizon, slice, used FROM firehose_seen_slices`, func(v []driver.Value) error {
		each(sliceID{time.Duration(v[0].(int64)), v[1].(int64)}, v[2].(int64))
		return nil
	})
}

// insert remembers IDs that must all be new, and forgets old slices.
func (t *seenTables) insert(w *writer, seen []store.Seen) error {
	if len(seen) == 0 || !rememberSeen {
		return nil
	}
	groups, err := bySlice(seen)
	if err != nil {
		return err
	}
	w.altered = true // until the commit
	t.advance(seen)
	ids := slices.SortedFunc(maps.Keys(groups), func(a, b sliceID) int {
		return int(max(-1, min(1, int64(a.horizon-b.horizon)))*2 + max(-1, min(1, a.n-b.n)))
	})
	for _, id := range ids {
		if err := t.use(w.conn, id); err != nil {
			return err
		}
		n, err := w.conn.once(t.insertSQL(id), pairs(seen, groups[id]), int64(len(groups[id])))
		if err != nil {
			return err
		}
		if n != int64(len(groups[id])) {
			return fmt.Errorf("%w: %d event IDs were seen meanwhile", store.ErrChanged, int64(len(groups[id]))-n)
		}
	}
	return t.forget(w.conn)
}

// aheadOfWall is how far the clock may be ahead of the time of day: as far as
// producers' clocks that are kept in order ever are.
const aheadOfWall = time.Hour

// advance moves the clock to the latest record time, by a horizon per record at
// most and never beyond the time of day: records from the far future must not
// make the store forget everything. The time of day is a bound only; it moves
// nothing.
func (t *seenTables) advance(seen []store.Seen) {
	limit := t.now().Add(aheadOfWall).UnixMicro()
	for i := range seen {
		at := min(seen[i].Time.UnixMicro(), limit)
		if len(t.slices) == 0 && t.clock == 0 {
			t.clock = at
		} else if at > t.clock {
			t.clock = min(at, t.clock+seen[i].Horizon.Microseconds())
		}
	}
}

// use makes sure that a slice has its table and notes that it is in use.
func (t *seenTables) use(c *conn, id sliceID) error {
	if s := t.slices[id]; s != nil {
		if s.used == t.clock {
			return nil
		}
		s.used = t.clock
		_, err := c.exec(`UPDATE firehose_seen_slices SET used = ? WHERE name = ?`, t.clock, id.table())
		return err
	}
	if err := c.ddl(`CREATE TABLE ` + quote(id.table()) + ` (key BLOB PRIMARY KEY, hash BLOB NOT NULL) STRICT, WITHOUT ROWID`); err != nil {
		return err
	}
	t.slices[id] = &slice{used: t.clock}
	starts := time.UnixMicro(id.n * id.horizon.Microseconds()).UTC()
	_, err := c.exec(`INSERT INTO firehose_seen_slices (name, horizon, slice, used, starts, ends) VALUES (?, ?, ?, ?, ?, ?)`,
		id.table(), int64(id.horizon), id.n, t.clock, starts.Format(store.TimestampLayout), starts.Add(id.horizon).Format(store.TimestampLayout))
	return err
}

// forget drops the slices that lie a horizon behind the clock, once neither they
// nor their later neighbour were used for a horizon of the clock: a partition
// that lags behind the others still needs them.
func (t *seenTables) forget(c *conn) error {
	for id, s := range t.slices {
		h := id.horizon.Microseconds()
		old := t.clock - h
		if (id.n+1)*h > old || s.used >= old {
			continue
		}
		if next := t.slices[sliceID{id.horizon, id.n + 1}]; next != nil && next.used >= old {
			continue
		}
		if err := c.ddl(`DROP TABLE ` + quote(id.table())); err != nil {
			return err
		}
		if _, err := c.exec(`DELETE FROM firehose_seen_slices WHERE name = ?`, id.table()); err != nil {
			return err
		}
		delete(t.slices, id)
	}
	return nil
}

const cutPairs = `WITH RECURSIVE pair(i) AS (SELECT 0 WHERE ?2 > 0 UNION ALL SELECT i + 1 FROM pair WHERE i + 1 < ?2) `

// insertSQL inserts the pairs of the BLOB ?1, of which there are ?2, that are in
// none of the slice's neighbours.
func (t *seenTables) insertSQL(id sliceID) string {
	query := cutPairs + `INSERT INTO ` + quote(id.table()) + ` (key, hash)
		SELECT substr(?1, i * 40 + 1, 24), substr(?1, i * 40 + 25, 16) FROM pair WHERE true`
	for _, n := range id.neighbours() {
		if n != id && t.slices[n] != nil {
			query += ` AND NOT EXISTS (SELECT 1 FROM ` + quote(n.table()) + ` WHERE key = substr(?1, i * 40 + 1, 24))`
		}
	}
	return query + ` ON CONFLICT (key) DO NOTHING`
}

// pairs writes (key, hash) of some IDs one behind the other, in the order of the
// keys: a B-tree likes them sorted.
func pairs(seen []store.Seen, which []int) []byte {
	all := make([][seenPairSize]byte, len(which))
	for i, at := range which {
		appendSeenKey(all[i][:0], seen[at].EventKey)
		copy(all[i][seenKeySize:], seen[at].Hash[:])
	}
	slices.SortFunc(all, func(a, b [seenPairSize]byte) int { return bytes.Compare(a[:seenKeySize], b[:seenKeySize]) })
	blob := make([]byte, 0, len(all)*seenPairSize)
	for i := range all {
		blob = append(blob, all[i][:]...)
	}
	return blob
}
