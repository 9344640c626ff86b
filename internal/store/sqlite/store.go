// Package sqlite is the store in one SQLite file: the embedded default, for a
// service of one instance. Any SQLite tool may read the file while the service
// runs.
//
//	s, err := sqlite.Open(ctx, sqlite.Config{Path: "inventory.db"}, []*store.Table{stock})
//	defer s.Close()
//	at, err := s.Positions(ctx, start)     // where to read on
//	known, err := s.Lookup(ctx, lookup)    // what a merge depends on
//	result, err := s.Apply(ctx, batch)     // one transaction
//
// # The file
//
//	positions             where the service is, one row per partition
//	conflicts             concurrent events that lost, with their bytes
//	NAME                  a table of the service, or the view of its live rows
//	firehose_NAME         the rows behind that view, with stamps and the deleted
//	firehose_images       the last state of entities, for (before, after)
//	firehose_seen_*       event IDs of facts, one table per slice of time
//	firehose_seen_slices  which of them there are
//	firehose_dead_letters records that were set aside
//	firehose_columns      what the tables were declared as
//	firehose_owner        the group whose positions these are
//
// The tables are STRICT, so a value of another type is refused and not bent.
// The journal is a write-ahead log: readers never wait for the writer, nor it
// for them. Why synchronous is NORMAL: docs/adr/0001-sqlite-durability.md.
package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"firehose/internal/offsets"
	"firehose/internal/store"
)

// Store is a service's database in one file. Its methods may be called at the
// same time; one of them writes at a time.
type Store struct {
	path string
	lock *os.File

	// Holding the one element of a channel is owning the connection; unlike a
	// mutex it can be waited for with a context. Close keeps both.
	writing chan *conn
	reading chan *conn

	w writer // owned by whoever holds the write connection

	trace func(stage string)
}

var errClosed = fmt.Errorf("%w: the store is closed", store.ErrFatal)

// Config says where a store is and whose.
type Config struct {
	Path  string // of the file
	Owner string // the group whose positions it holds; "" asks nobody
}

// Open opens or creates the database and brings its tables to what is declared:
// missing tables and columns are added. A file that another process has open
// through this package, that belongs to another owner, that a newer version
// wrote, or in which a column has another type, is refused with an ErrFatal.
func Open(ctx context.Context, cfg Config, tables []*store.Table) (*Store, error) {
	s, err := open(ctx, cfg, tables)
	if err != nil {
		return nil, classify("open "+filepath.Base(cfg.Path), err)
	}
	return s, nil
}

func open(ctx context.Context, cfg Config, tables []*store.Table) (_ *Store, err error) {
	path, err := realPath(cfg.Path)
	if err != nil {
		return nil, err
	}
	lock, err := takeLock(path)
	if err != nil {
		return nil, err
	}
	closers := []func() error{lock.Close}
	defer func() {
		if err != nil {
			for _, c := range closers {
				err = errors.Join(err, c())
			}
		}
	}()
	write, err := openConn(ctx, path, "journal_mode(WAL)", "synchronous(NORMAL)", "wal_autocheckpoint(8000)",
		"cache_size(-32768)", "temp_store(MEMORY)", "foreign_keys(0)", "journal_size_limit(67108864)")
	if err != nil {
		return nil, err
	}
	closers = append([]func() error{write.close}, closers...)
	s := &Store{path: path, lock: lock, writing: make(chan *conn, 1), reading: make(chan *conn, 1)}
	s.w.conn, s.w.now = write, time.Now
	if err := s.w.migrate(ctx, cfg.Owner, tables); err != nil {
		return nil, err
	}
	read, err := openReader(ctx, path)
	if err != nil {
		return nil, err
	}
	s.writing <- write
	s.reading <- read
	return s, nil
}

func openReader(ctx context.Context, path string) (*conn, error) {
	return openConn(ctx, path, "query_only(1)", "cache_size(-8192)", "temp_store(MEMORY)")
}

// realPath follows links, so that one file has one lock.
func realPath(path string) (string, error) {
	if path == "" || path == ":memory:" {
		return "", fmt.Errorf("%w: want the path of a file", store.ErrFatal)
	}
	path, err := filepath.Abs(path)
	if err != nil {
		return "", err
	}
	if real, err := filepath.EvalSymlinks(path); err == nil {
		return real, nil
	}
	dir, err := filepath.EvalSymlinks(filepath.Dir(path))
	if err != nil {
		return "", fmt.Errorf("%w: %w", store.ErrTransient, err)
	}
	return filepath.Join(dir, filepath.Base(path)), nil
}

// Close waits for the transaction in flight and closes the file. The store
// answers ErrFatal afterwards.
func (s *Store) Close() error {
	w, ok := <-s.writing
	if !ok {
		return nil
	}
	close(s.writing)
	r := <-s.reading
	close(s.reading)
	return errors.Join(r.close(), w.close(), s.lock.Close())
}

// Trace has fn called within Apply when it has reached a stage: "begin" (the
// transaction has begun), "positions" (moved, nothing else), "rows" (all is
// written), "commit" (committed). Tests kill the process there. Call it before
// the first Apply.
func (s *Store) Trace(fn func(stage string)) { s.trace = fn }

func (s *Store) reached(stage string) {
	if s.trace != nil {
		s.trace(stage)
	}
}

// acquire waits for a connection.
func acquire(ctx context.Context, from chan *conn) (*conn, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	select {
	case c, ok := <-from:
		if !ok {
			return nil, errClosed
		}
		return c, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Positions returns where the service is in each of the given partitions, in
// their order. A partition that has no row yet gets the given one: the start of
// the log.
func (s *Store) Positions(ctx context.Context, start []offsets.Position) ([]offsets.Position, error) {
	c, err := acquire(ctx, s.writing)
	if err != nil {
		return nil, classify("positions", err)
	}
	defer func() { s.writing <- c }()
	stored := make([]offsets.Position, 0, len(start))
	err = s.w.transaction(ctx, func() error {
		now := s.w.now().UTC().Format(store.TimestampLayout)
		for _, p := range start {
			if _, err := c.exec(`INSERT INTO positions (topic, partition, topic_id, next, leader_epoch, generation, updated_at)
				VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic, partition) DO NOTHING`,
				p.Topic, int64(p.Partition), p.TopicID.String(), p.Next, int64(p.LeaderEpoch), p.Generation, now); err != nil {
				return err
			}
			if err := c.query(ctx, positionColumns+` WHERE topic = ? AND partition = ?`,
				collectPosition(&stored), p.Topic, int64(p.Partition)); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, classify("positions", err)
	}
	return stored, nil
}

const positionColumns = `SELECT topic, partition, topic_id, next, leader_epoch, generation FROM positions`

// AllPositions returns every position that the store holds, by topic and
// partition.
func (s *Store) AllPositions(ctx context.Context) ([]offsets.Position, error) {
	c, err := acquire(ctx, s.reading)
	if err != nil {
		return nil, classify("positions", err)
	}
	defer func() { s.reading <- c }()
	var all []offsets.Position
	if err := c.query(ctx, positionColumns+` ORDER BY topic, partition`, collectPosition(&all)); err != nil {
		return nil, classify("positions", err)
	}
	return all, nil
}

func collectPosition(to *[]offsets.Position) func([]driver.Value) error {
	return func(v []driver.Value) error {
		id, err := offsets.ParseTopicID(v[2].(string))
		if err != nil {
			return fmt.Errorf("%w: table positions: %w", store.ErrFatal, err)
		}
		*to = append(*to, offsets.Position{
			Topic: v[0].(string), Partition: int32(v[1].(int64)), TopicID: id,
			Next: v[3].(int64), LeaderEpoch: int32(v[4].(int64)), Generation: v[5].(int64),
		})
		return nil
	}
}
