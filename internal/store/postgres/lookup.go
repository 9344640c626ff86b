package postgres

import (
	"context"
	"fmt"

	"github.com/jackc/pgx/v5"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// Lookup reads what a merge depends on. It takes no lock: Apply checks what it
// was merged from.
func (s *Store) Lookup(ctx context.Context, l *store.Lookup) (store.Known, error) {
	known := store.Known{Seen: map[store.EventKey]store.Hash{}, Images: map[store.EntityKey]store.Image{}}
	if len(l.Seen) == 0 && len(l.Images) == 0 {
		return known, nil
	}
	err := s.with(ctx, func(ctx context.Context, conn *pgx.Conn) error {
		if err := lookupSeen(ctx, conn, l.Seen, known.Seen); err != nil {
			return err
		}
		return lookupImages(ctx, conn, l.Images, known.Images)
	})
	if hasCode(err, undefinedTable) {
		err = fmt.Errorf("%w: %w", store.ErrTransient, describe(err)) // a slice was just dropped
	}
	if err != nil {
		return store.Known{}, whileRunning("look up", err)
	}
	return known, nil
}

func lookupImages(ctx context.Context, conn *pgx.Conn, keys []store.EntityKey, known map[store.EntityKey]store.Image) error {
	if len(keys) == 0 {
		return nil
	}
	topics, texts := make([]string, len(keys)), make([]string, len(keys))
	for i, k := range keys {
		topics[i], texts[i] = k.Topic, k.Key
	}
	rows, err := conn.Query(ctx, `SELECT i.topic, i.key, version, time, origin, event_id, deleted, body
		FROM unnest($1::text[], $2::text[]) AS k(topic, key) JOIN firehose_images i ON i.topic = k.topic AND i.key = k.key`, topics, texts)
	if err != nil {
		return err
	}
	var image store.Image
	var stamp conflict.Stamp
	_, err = pgx.ForEachRow(rows, []any{
		&image.Topic, &image.Key, &stamp.Version, &stamp.Time, &stamp.Origin, &stamp.EventID, &image.Deleted, &image.Body,
	}, func() error {
		image.Stamp = stamp
		if image.Deleted {
			image.Body = nil
		}
		known[image.EntityKey] = image
		image.Body = nil // the next one gets memory of its own
		return nil
	})
	return err
}
