package postgres

import (
	"context"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firehose/internal/store"
)

// expire deletes what was kept for long enough, in a transaction of its own: what
// another instance deletes at the moment is left to it. An error is not told: the
// batch before it is committed, and the next time will do.
func (s *Store) expire(ctx context.Context, sess *session, now time.Time) {
	s.mu.Lock()
	before, due := s.expiry.Due(now)
	s.mu.Unlock()
	if !due {
		return
	}
	p := &pgx.Batch{}
	for _, statement := range []string{
		`DELETE FROM conflicts WHERE id IN (SELECT id FROM conflicts
			WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
		`DELETE FROM firehose_dead_letters WHERE (topic_id, partition, "offset") IN (SELECT topic_id, partition, "offset" FROM firehose_dead_letters
			WHERE recorded_at < $1 ORDER BY recorded_at LIMIT $2 FOR UPDATE SKIP LOCKED)`,
	} {
		p.Queue(statement, before, store.ExpireAtOnce).Exec(func(tag pgconn.CommandTag) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			s.expiry.Deleted(now, tag.RowsAffected())
			return nil
		})
	}
	if err := sess.ask(ctx, func(ctx context.Context) error { return sess.conn.SendBatch(ctx, p).Close() }); err != nil {
		_ = closeNow(sess.conn) // whatever is wrong with it, the next one gets a new one
	}
}
