package postgres

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"firehose/internal/store"
)

// Event IDs of facts are remembered in a table per store.Slice, which holds
// (key, hash): what stands for source and ID, and the hash of the body.
//
// Several instances share the slices. Whoever puts IDs into one makes sure that
// its neighbours exist as well, so that a statement can always look into all
// three, and notes now and then that they are in use; a slice that is a horizon
// behind and was not used for as long, nor lately, is dropped.
type seenSlices struct {
	mu    sync.Mutex
	known map[store.Slice]noted // nil: not read yet
	clock int64                 // microseconds of record time, see store.AdvanceClock
}

// noted is what was last written of a slice's use.
type noted struct {
	used int64     // the clock
	at   time.Time // the time of day
}

const (
	// noteEvery is how long a note of a slice's use is good for: far below
	// store.ForgetGrace, so that a slice in use is never dropped.
	noteEvery = 15 * time.Second
	// noteParts is how many notes there are in a horizon of the clock.
	noteParts = 16

	// A table that is made or dropped costs several of the locks that the server
	// has for all transactions together. So one transaction notes noteAtOnce
	// slices, for which it makes three tables each at most, and drops
	// forgetAtOnce; what is left waits for the next one.
	noteAtOnce   = 32
	forgetAtOnce = 100
	// maxSlices is how many slices one batch may put IDs into: its transaction
	// locks each, its neighbours and their indexes. More are refused, which has
	// the batch come again in halves.
	maxSlices = 256
)

// prepare makes sure that the slices of IDs exist, and returns the IDs by slice.
func (t *seenSlices) prepare(ctx context.Context, s *session, seen []store.Seen, now time.Time) (map[store.Slice][]int, error) {
	if len(seen) == 0 || !rememberSeen {
		return nil, nil
	}
	groups, err := store.BySlice(seen)
	if err != nil {
		return nil, err
	}
	if len(groups) > maxSlices {
		return nil, fmt.Errorf("%w: its event IDs lie in %d slices of their horizons, want %d at most in one transaction", store.ErrRefused, len(groups), maxSlices)
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.known == nil {
		if err := s.ask(ctx, func(ctx context.Context) error { return t.read(ctx, s.conn) }); err != nil {
			return nil, err
		}
	}
	t.clock = store.AdvanceClock(t.clock, len(t.known) == 0 && t.clock == 0, seen, now)
	var stale []store.Slice
	for id := range groups {
		n, ok := t.known[id]
		if !ok || t.clock-n.used >= id.Horizon.Microseconds()/noteParts || time.Since(n.at) > noteEvery {
			stale = append(stale, id)
		}
	}
	slices.SortFunc(stale, store.Slice.Compare) // neighbours have tables in common
	// All of them are noted before any is dropped, for they may be old as well.
	// Old ones are dropped in as many transactions as it takes to note these: a
	// rebuild drops as fast as it makes.
	more := false
	for i := 0; i < len(stale); i += noteAtOnce {
		some, last := stale[i:min(i+noteAtOnce, len(stale))], i+noteAtOnce >= len(stale)
		err := t.turn(ctx, s, func(ctx context.Context, tx pgx.Tx) (err error) {
			if err = t.note(ctx, tx, some); err == nil && last {
				more, err = t.forget(ctx, tx)
			}
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	for i := noteAtOnce; i < len(stale) && more; i += noteAtOnce {
		err := t.turn(ctx, s, func(ctx context.Context, tx pgx.Tx) (err error) {
			more, err = t.forget(ctx, tx)
			return err
		})
		if err != nil {
			return nil, err
		}
	}
	return groups, nil
}

// turn runs fn in a transaction, in which no other instance makes or drops
// slices, after it has read which there are, and the clock of the others. The
// caller holds the mutex.
func (t *seenSlices) turn(ctx context.Context, s *session, fn func(context.Context, pgx.Tx) error) error {
	err := s.ask(ctx, func(ctx context.Context) error {
		return pgx.BeginFunc(ctx, s.conn, func(tx pgx.Tx) error {
			if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockForget); err != nil {
				return err
			}
			if err := t.read(ctx, tx); err != nil {
				return err
			}
			return fn(ctx, tx)
		})
	})
	if err != nil {
		t.known = nil
	}
	return err
}

// reset has the slices read again: one of them is gone.
func (t *seenSlices) reset() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.known = nil
}

// read reads which slices there are. The caller holds the mutex.
func (t *seenSlices) read(ctx context.Context, tx querier) error {
	before := t.known
	t.known = map[store.Slice]noted{}
	return readSlices(ctx, tx, func(id store.Slice, used int64) {
		t.known[id] = noted{used: used, at: before[id].at}
		t.clock = max(t.clock, used)
	})
}

func readSlices(ctx context.Context, tx querier, each func(id store.Slice, used int64)) error {
	rows, err := tx.Query(ctx, `SELECT horizon, slice, used FROM firehose_seen_slices`)
	if err != nil {
		return err
	}
	var horizon, n, used int64
	_, err = pgx.ForEachRow(rows, []any{&horizon, &n, &used}, func() error {
		each(store.Slice{Horizon: time.Duration(horizon), N: n}, used)
		return nil
	})
	return err
}

// note writes that slices are in use and makes those that are missing. The caller
// holds the mutex.
func (t *seenSlices) note(ctx context.Context, tx pgx.Tx, ids []store.Slice) error {
	wanted := map[store.Slice]bool{}
	for _, id := range ids {
		for _, n := range id.Neighbours() {
			wanted[n] = true
		}
	}
	at := time.Now()
	for _, id := range slices.SortedFunc(maps.Keys(wanted), store.Slice.Compare) {
		if _, ok := t.known[id]; !ok {
			if _, err := tx.Exec(ctx, `CREATE TABLE `+quote(id.Table())+` (key bytea PRIMARY KEY, hash bytea NOT NULL)`, pgx.QueryExecModeSimpleProtocol); err != nil {
				return err
			}
		}
		if _, err := tx.Exec(ctx, `INSERT INTO firehose_seen_slices (name, horizon, slice, used, used_at, starts, ends)
			VALUES ($1, $2, $3, $4, now(), $5, $6) ON CONFLICT (name) DO UPDATE SET used = excluded.used, used_at = excluded.used_at`,
			id.Table(), int64(id.Horizon), id.N, t.clock, id.Starts(), id.Next().Starts()); err != nil {
			return err
		}
		t.known[id] = noted{used: t.clock, at: at}
	}
	return nil
}

// forget drops slices that lie a horizon behind the clock, once they were not used
// for a horizon of the clock, nor lately: a partition that lags behind the others
// still needs them. It reports whether there may be more. The caller holds the
// mutex.
func (t *seenSlices) forget(ctx context.Context, tx pgx.Tx) (more bool, err error) {
	forgotten := 0
	for id, n := range t.known {
		h := id.Horizon.Microseconds()
		old := t.clock - h
		if (id.N+1)*h > old || n.used >= old-h/noteParts {
			continue
		}
		if forgotten == forgetAtOnce {
			return true, nil
		}
		var dropped bool
		err := tx.QueryRow(ctx, `DELETE FROM firehose_seen_slices WHERE name = $1 AND used_at <= now() - $2::interval RETURNING true`,
			id.Table(), store.ForgetGrace).Scan(&dropped)
		if errors.Is(err, pgx.ErrNoRows) {
			continue
		}
		if err != nil {
			return false, err
		}
		if _, err := tx.Exec(ctx, `DROP TABLE `+quote(id.Table()), pgx.QueryExecModeSimpleProtocol); err != nil {
			return false, err
		}
		delete(t.known, id)
		forgotten++
	}
	return false, nil
}

const seenColumns = `key bytea, hash bytea`

// insertSeen inserts what comes from a staging table, or from two arrays, as s
// into a slice, where none of its neighbours has it.
func insertSeen(id store.Slice, from string) string {
	query := `INSERT INTO ` + quote(id.Table()) + ` (key, hash) SELECT key, hash FROM ` + from + ` WHERE true`
	for _, n := range id.Neighbours() {
		if n != id {
			query += ` AND NOT EXISTS (SELECT 1 FROM ` + quote(n.Table()) + ` n WHERE n.key = s.key)`
		}
	}
	return query + ` ORDER BY key ON CONFLICT (key) DO NOTHING`
}

// seenArrays is where few IDs come from.
const seenArrays = `unnest($1::bytea[], $2::bytea[]) AS s(key, hash)`

// lookupSeen reads which of the IDs are known.
func lookupSeen(ctx context.Context, conn *pgx.Conn, seen []store.Seen, known map[store.EventKey]store.Hash) error {
	if len(seen) == 0 || !rememberSeen {
		return nil
	}
	groups, err := store.BySlice(seen)
	if err != nil {
		return err
	}
	stored := map[store.Slice]bool{}
	if err := readSlices(ctx, conn, func(id store.Slice, _ int64) { stored[id] = true }); err != nil {
		return err
	}
	batch := &pgx.Batch{}
	for id, which := range groups {
		var keys [][]byte
		for _, n := range id.Neighbours() {
			if !stored[n] {
				continue
			}
			if keys == nil {
				all := make([]byte, 0, store.SeenKeySize*len(which))
				for _, at := range which {
					all = append(all, seen[at].EventKey[:]...)
					keys = append(keys, all[len(all)-store.SeenKeySize:])
				}
			}
			batch.Queue(`SELECT k.i, t.hash FROM unnest($1::bytea[]) WITH ORDINALITY AS k(key, i) JOIN `+quote(n.Table())+` t USING (key)`, keys).
				Query(func(rows pgx.Rows) error {
					var i int64
					var hash []byte
					_, err := pgx.ForEachRow(rows, []any{&i, &hash}, func() error {
						var h store.Hash
						if copy(h[:], hash) != len(h) {
							return fmt.Errorf("%w: table %s: malformed hash", store.ErrFatal, n.Table())
						}
						known[seen[which[i-1]].EventKey] = h
						return nil
					})
					return err
				})
		}
	}
	if batch.Len() == 0 {
		return nil
	}
	return conn.SendBatch(ctx, batch).Close()
}
