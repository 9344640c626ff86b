package sqlite

import (
	"context"
	"time"

	"firehose/internal/store"
)

// expire deletes what was kept for long enough, in a transaction of its own. An
// error is not told: the batch before it is committed, and the next time will do.
func (w *writer) expire(ctx context.Context, now time.Time) {
	before, due := w.expiry.Due(now)
	if !due {
		return
	}
	_ = w.transaction(ctx, func() error {
		for _, statement := range []string{
			`DELETE FROM conflicts WHERE id IN
				(SELECT id FROM conflicts WHERE recorded_at < ? ORDER BY recorded_at LIMIT ?)`,
			`DELETE FROM firehose_dead_letters WHERE (topic_id, partition, "offset") IN
				(SELECT topic_id, partition, "offset" FROM firehose_dead_letters WHERE recorded_at < ? ORDER BY recorded_at LIMIT ?)`,
		} {
			n, err := w.conn.exec(statement, before.UTC().Format(store.TimestampLayout), int64(store.ExpireAtOnce))
			if err != nil {
				return err
			}
			w.expiry.Deleted(now, n)
		}
		return nil
	})
}
