// Package postgres is the store in PostgreSQL: one database, or one schema, per
// service, shared by all of its instances.
//
//	s, err := postgres.Open(ctx, postgres.Config{Address: "postgres://shop@db/shop?search_path=billing"}, tables)
//	defer s.Close()
//	at, err := s.Positions(ctx, start)     // where to read on
//	known, err := s.Lookup(ctx, lookup)    // what a merge depends on
//	result, err := s.Apply(ctx, batch)     // one transaction
//
// The tables are those of package store/sqlite, in the types of PostgreSQL.
//
// # One transaction
//
// A batch comes in two steps. First its rows are copied into temporary tables of
// the session, outside of any transaction: a process that is frozen meanwhile
// holds no lock. Then one pipeline does everything else:
//
//	BEGIN
//	UPDATE positions … WHERE next = …           the compare-and-set; its lock fences
//	INSERT INTO firehose_seen_… SELECT …        must insert all of them
//	INSERT/UPDATE firehose_images …             must meet all of them
//	INSERT INTO table SELECT … ORDER BY key     table by table, in the order of their names
//	  ON CONFLICT … DO UPDATE … WHERE newer
//	INSERT INTO conflicts …, firehose_dead_letters …
//	SELECT version FROM firehose_catalog        nobody has altered a table meanwhile
//	COMMIT                                      after the answers were looked at
//
// An INSERT … ON CONFLICT locks the rows that it leaves alone, too. So what was
// not newer than the stored row can be read and decided afterwards, one by one.
package postgres

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"firehose/internal/offsets"
	"firehose/internal/store"
)

// Config says where a store is. The zero value of a field means its default.
type Config struct {
	Address      string // postgres://USER@HOST:PORT/DATABASE?search_path=SCHEMA
	PasswordFile string // holds the password; read anew for each connection
	Owner        string // the group whose positions it holds; "" asks nobody
	Appliers     int    // transactions in flight; default 2
}

// Store is a service's database. Its methods may be called at the same time.
type Store struct {
	src  source
	pool *pool
	seen seenSlices
	now  func() time.Time

	mu      sync.Mutex
	catalog *catalog // nil: to be read
	tables  map[*store.Table]*table
	expiry  store.Expiry

	trace func(stage string)
}

var errClosed = fmt.Errorf("%w: the store is closed", store.ErrFatal)

// Open connects, creates what is missing and brings the tables to what is
// declared: missing tables and columns are added. A database that belongs to another
// owner, that a newer version wrote, or in which a column has another type, is
// refused with an ErrFatal.
func Open(ctx context.Context, cfg Config, tables []*store.Table) (*Store, error) {
	if cfg.Appliers == 0 {
		cfg.Appliers = 2
	}
	s := &Store{
		src: source{cfg.Address, cfg.PasswordFile}, tables: map[*store.Table]*table{},
		now: time.Now,
	}
	if err := s.open(ctx, cfg, tables); err != nil {
		return nil, classify("open the database", err)
	}
	return s, nil
}

func (s *Store) open(ctx context.Context, cfg Config, tables []*store.Table) error {
	names := map[string]bool{}
	for _, t := range tables {
		if err := store.CheckTable(t); err != nil {
			return fmt.Errorf("%w: %w", store.ErrFatal, err)
		}
		if names[t.Name] {
			return fmt.Errorf("%w: table %s: declared twice", store.ErrFatal, t.Name)
		}
		names[t.Name] = true
	}
	if err := migrate(ctx, s.src, cfg.Owner); err != nil {
		return err
	}
	conn, err := s.src.connect(ctx)
	if err != nil {
		return err
	}
	err = pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
		s.catalog, err = alter(ctx, tx, tables)
		return err
	})
	if end := closeNow(conn); err == nil {
		err = end
	}
	// One more than transactions: look-ups and positions need not wait for them.
	s.pool = newPool(s.src, cfg.Appliers+1)
	return err
}

// Close waits for the transactions in flight and closes the connections. The
// store answers ErrFatal afterwards.
func (s *Store) Close() error { return s.pool.close() }

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

// catalogFor returns the catalogue by which changes can be written, or nil when
// their tables are not as declared. A declaration that never can be is an error.
func (s *Store) catalogFor(ctx context.Context, sess *session, changes []store.Changes) (*catalog, error) {
	s.mu.Lock()
	cat := s.catalog
	s.mu.Unlock()
	if cat == nil {
		err := sess.ask(ctx, func(ctx context.Context) (err error) {
			cat, err = loadCatalog(ctx, sess.conn)
			return err
		})
		if err != nil {
			return nil, err
		}
		s.setCatalog(cat)
	}
	for _, c := range changes {
		switch ok, err := cat.has(c.Table); {
		case err != nil:
			return nil, err
		case !ok:
			return nil, nil
		}
	}
	return cat, nil
}

func (s *Store) setCatalog(c *catalog) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.catalog == nil || s.catalog.version < c.version {
		s.catalog = c
	}
}

// forgetCatalog has the catalogue read again.
func (s *Store) forgetCatalog() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.catalog = nil
}

// maxCompiled bounds the tables that are kept compiled: a caller that makes a
// new store.Table each time must not fill the memory.
const maxCompiled = 64

// compiled returns the statements of a table for a version of the catalogue.
func (s *Store) compiled(t *store.Table, have *store.Catalogued, version int64) *table {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := s.tables[t]
	if c == nil || c.version != version {
		if len(s.tables) >= maxCompiled {
			clear(s.tables)
		}
		c = compile(t, have, version)
		s.tables[t] = c
	}
	return c
}

// Positions returns where the service is in each of the given partitions, in
// their order. A partition that has no row yet gets the given one: the start of
// the log.
func (s *Store) Positions(ctx context.Context, start []offsets.Position) ([]offsets.Position, error) {
	stored := make([]offsets.Position, 0, len(start))
	err := s.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		batch := &pgx.Batch{}
		for _, p := range start {
			batch.Queue(`INSERT INTO positions (topic, partition, topic_id, next, leader_epoch, generation, updated_at)
				VALUES ($1, $2, $3, $4, $5, $6, now()) ON CONFLICT (topic, partition) DO NOTHING`,
				p.Topic, p.Partition, p.TopicID.String(), p.Next, p.LeaderEpoch, p.Generation)
			batch.Queue(positionColumns+` WHERE topic = $1 AND partition = $2`, p.Topic, p.Partition).Query(collectPositions(&stored))
		}
		return conn.SendBatch(ctx, batch).Close()
	})
	if err != nil {
		return nil, whileRunning("positions", err)
	}
	return stored, nil
}

const positionColumns = `SELECT topic, partition, topic_id, next, leader_epoch, generation FROM positions`

// AllPositions returns every position that the store holds, by topic and
// partition.
func (s *Store) AllPositions(ctx context.Context) ([]offsets.Position, error) {
	var all []offsets.Position
	err := s.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		rows, err := conn.Query(ctx, positionColumns+` ORDER BY topic, partition`)
		if err != nil {
			return err
		}
		return collectPositions(&all)(rows)
	})
	if err != nil {
		return nil, whileRunning("positions", err)
	}
	return all, nil
}

func collectPositions(to *[]offsets.Position) func(pgx.Rows) error {
	return func(rows pgx.Rows) error {
		var p offsets.Position
		var id string
		_, err := pgx.ForEachRow(rows, []any{&p.Topic, &p.Partition, &id, &p.Next, &p.LeaderEpoch, &p.Generation}, func() (err error) {
			if p.TopicID, err = offsets.ParseTopicID(id); err != nil {
				return fmt.Errorf("%w: table positions: %w", store.ErrFatal, err)
			}
			*to = append(*to, p)
			return nil
		})
		return err
	}
}

// with runs fn with a session's connection, for as long as an answer may take.
func (s *Store) with(ctx context.Context, fn func(context.Context, *pgx.Conn) error) error {
	sess, err := s.pool.acquire(ctx)
	if err != nil {
		return err
	}
	err = sess.ask(ctx, func(ctx context.Context) error { return fn(ctx, sess.conn) })
	if end := s.pool.release(sess); err == nil {
		err = end
	}
	return err
}
