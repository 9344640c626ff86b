package postgres

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firehose/internal/failpoint"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

// stageFrom is how many rows a batch has from which on they are copied into
// staging tables. Below it, each is a statement of its own in one pipeline, which
// takes less time than the copying does.
const stageFrom = 200

// Apply applies a batch in one transaction, or nothing of it.
func (s *Store) Apply(ctx context.Context, b *store.Batch) (store.Result, error) {
	sess, err := s.pool.acquire(ctx)
	if err != nil {
		return store.Result{}, whileRunning("apply", err)
	}
	a := &applier{s: s, sess: sess, ctx: ctx, now: s.now().UTC()}
	err = a.apply(b)
	if hasCode(err, undefinedTable) && !ofAnotherSession(err) {
		// Another instance dropped a slice of seen IDs that was not used for
		// long, or this one has missed that a table was dropped.
		s.seen.reset()
		s.forgetCatalog()
		err = fmt.Errorf("%w: %w", store.ErrChanged, describe(err))
	}
	if err == nil {
		s.expire(ctx, sess, a.now)
	}
	if end := s.pool.release(sess); err == nil {
		err = end
	}
	if err != nil {
		return store.Result{}, whileRunning("apply", err)
	}
	s.reached("commit")
	failpoint.Hit("after-store-commit")
	return a.result, nil
}

// applier is one Apply under way.
type applier struct {
	s      *Store
	sess   *session
	ctx    context.Context //nolint:containedctx // lives as long as the call that it belongs to
	now    time.Time
	result store.Result

	fenced  []offsets.Partition
	tables  []*tableRows
	seen    []seenRows
	images  string   // the staging table, "" where there is none
	altered *catalog // within this transaction; nil: it was not
	shard   int32    // of sharded counters: a partition that is this transaction's alone
}

// seenRows are IDs of one slice.
type seenRows struct {
	slice store.Slice
	pairs []byte
	n     int
	stage string
}

func (a *applier) apply(b *store.Batch) error {
	cat, err := a.prepare(b)
	if err != nil {
		return err
	}
	p := &pgx.Batch{}
	p.Queue("BEGIN")
	a.moves(p, b.Moves)
	apart := cat == nil || positionsApart || failpoint.Enabled || a.s.trace != nil
	if apart {
		if p, err = a.between(p, cat, b); err != nil {
			return err
		}
	}
	a.rest(p, b)
	if err := a.send(p); err != nil {
		return err
	}
	if err := a.contested(); err != nil {
		return err
	}
	a.s.reached("rows")
	failpoint.Hit("in-transaction")
	return a.commit()
}

// between sends the positions alone, and changes the tables where they are not as
// declared: that needs the transaction.
func (a *applier) between(p *pgx.Batch, cat *catalog, b *store.Batch) (*pgx.Batch, error) {
	if err := a.send(p); err != nil {
		return nil, err
	}
	a.s.reached("begin")
	if positionsApart {
		if err := a.sess.run(a.ctx, "COMMIT; BEGIN"); err != nil {
			return nil, err
		}
	}
	if cat == nil {
		declared := make([]*store.Table, len(b.Changes))
		for i, c := range b.Changes {
			declared[i] = c.Table
		}
		err := a.sess.ask(a.ctx, func(ctx context.Context) (err error) {
			a.altered, err = alter(ctx, a.sess.conn, declared)
			return err
		})
		if err != nil {
			return nil, err
		}
		if err := a.fill(a.altered, b); err != nil {
			return nil, err
		}
	}
	a.s.reached("positions")
	failpoint.Hit("between-position-and-rows")
	return &pgx.Batch{}, nil
}

// send runs a pipeline. That somebody else has moved a position explains
// whatever else went wrong.
func (a *applier) send(p *pgx.Batch) error {
	if p.Len() == 0 {
		return nil
	}
	err := a.sess.ask(a.ctx, func(ctx context.Context) error { return a.sess.conn.SendBatch(ctx, p).Close() })
	if len(a.fenced) > 0 {
		return &store.FencedError{Partitions: a.fenced}
	}
	return err
}

// commit ends the transaction. An error does not mean that nothing is written.
func (a *applier) commit() error {
	var tag pgconn.CommandTag
	err := a.sess.ask(a.ctx, func(ctx context.Context) (err error) {
		tag, err = a.sess.conn.Exec(ctx, "COMMIT")
		return err
	})
	if err != nil {
		if errors.Is(classOf(err), store.ErrRefused) {
			return err
		}
		return fmt.Errorf("%w: commit: %w", store.ErrTransient, describe(err))
	}
	if tag.String() != "COMMIT" {
		return fmt.Errorf("%w: commit: the server has rolled back", store.ErrTransient)
	}
	if a.altered != nil {
		a.s.setCatalog(a.altered)
	}
	return nil
}

// moves is the compare-and-set of every position. All that do not match are
// named, so that one retry can leave all of them out.
func (a *applier) moves(p *pgx.Batch, moves []store.Move) {
	// In one order, so that two batches cannot wait for one another.
	sorted := slices.SortedFunc(slices.Values(moves), func(x, y store.Move) int { return offsets.Compare(x.From.Of(), y.From.Of()) })
	for _, m := range sorted {
		p.Queue(`UPDATE positions SET next = $1, leader_epoch = $2, updated_at = $3
			WHERE topic = $4 AND partition = $5 AND topic_id = $6 AND generation = $7 AND next = $8`,
			m.Next, m.LeaderEpoch, a.now,
			m.From.Topic, m.From.Partition, m.From.TopicID.String(), m.From.Generation, m.From.Next).
			Exec(func(tag pgconn.CommandTag) error {
				if tag.RowsAffected() != 1 {
					a.fenced = append(a.fenced, m.From.Of())
				}
				return nil
			})
	}
	if len(sorted) > 0 {
		a.shard = sorted[0].From.Partition
	}
}

// rest queues what a batch writes, in one order of tables.
func (a *applier) rest(p *pgx.Batch, b *store.Batch) {
	for i := range a.seen {
		a.insertSeen(p, &a.seen[i])
	}
	a.replaceImages(p, b.Images)
	for _, t := range a.tables {
		t.queue(a, p)
	}
	for i := range b.Conflicts {
		a.conflict(p, &b.Conflicts[i], "event")
	}
	for i := range b.SetAside {
		a.setAside(p, &b.SetAside[i])
	}
	if len(a.tables) > 0 {
		// The locks that the writing took keep the tables as they are now. If
		// one has got a column since they were looked at, it was not written.
		p.Queue(readCatalogVersion).QueryRow(func(row pgx.Row) error {
			var version int64
			if err := row.Scan(&version); err != nil {
				return err
			}
			if version != a.tables[0].table.version {
				a.s.forgetCatalog()
				return fmt.Errorf("%w: another instance has altered a table", store.ErrChanged)
			}
			return nil
		})
	}
}

func (a *applier) insertSeen(p *pgx.Batch, r *seenRows) {
	counted := func(tag pgconn.CommandTag) error {
		if n := int64(r.n) - tag.RowsAffected(); n != 0 {
			return fmt.Errorf("%w: %d event IDs were seen meanwhile", store.ErrChanged, n)
		}
		return nil
	}
	if r.stage != "" {
		p.Queue(insertSeen(r.slice, r.stage+" AS s")).Exec(counted)
		return
	}
	keys, hashes := make([][]byte, r.n), make([][]byte, r.n)
	for i := range r.n {
		pair := r.pairs[i*store.SeenPairSize : (i+1)*store.SeenPairSize]
		keys[i], hashes[i] = pair[:store.SeenKeySize], pair[store.SeenKeySize:]
	}
	p.Queue(insertSeen(r.slice, seenArrays), keys, hashes).Exec(counted)
}

// conflict records a loser once: redelivered, it is the same one. Where its row
// was all there was to keep, its event replaces that when it comes again.
func (a *applier) conflict(p *pgx.Batch, c *store.Conflict, encoding string) {
	if encoding == "event" && c.Body == nil {
		encoding = "none"
	}
	var body any
	if c.Body != nil {
		body = c.Body
	}
	id := c.ID()
	p.Queue(`INSERT INTO conflicts (id, topic, topic_id, partition, "offset", key, policy, outcome,
			loser_version, loser_time, loser_origin, loser_event_id,
			winner_version, winner_time, winner_origin, winner_event_id, encoding, body, recorded_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19) ON CONFLICT (id) DO NOTHING`,
		id, c.From.Topic, c.From.TopicID.String(), c.From.Partition, c.From.Offset, c.Key, c.Policy, c.Outcome,
		c.Loser.Version, c.Loser.Time, c.Loser.Origin, c.Loser.EventID,
		c.Winner.Version, c.Winner.Time, c.Winner.Origin, c.Winner.EventID, encoding, body, a.now).
		Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() > 0 {
				a.result.Record(c)
			} else {
				a.result.Duplicate++
			}
			return nil
		})
	if encoding == "event" {
		p.Queue(`UPDATE conflicts SET encoding = 'event', body = $1 WHERE id = $2 AND encoding = 'columns'`, body, id)
	}
}

// setAside marks a record as written to the dead-letter topic; again, when it
// was written twice.
func (a *applier) setAside(p *pgx.Batch, d *store.SetAside) {
	p.Queue(`INSERT INTO firehose_dead_letters (topic_id, partition, "offset", topic, class, error, time, recorded_at)
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (topic_id, partition, "offset") DO NOTHING`,
		d.From.TopicID.String(), d.From.Partition, d.From.Offset, d.From.Topic, d.Class, d.Error, d.Time.UTC(), a.now)
}

// byName is the order in which tables are written.
func byName(x, y store.Changes) int { return cmp.Compare(x.Table.Name, y.Table.Name) }
