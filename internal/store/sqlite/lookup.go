package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"slices"
	"strings"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// Lookup reads what a merge depends on, as of one moment. It takes no lock and
// waits for no writer.
func (s *Store) Lookup(ctx context.Context, l *store.Lookup) (store.Known, error) {
	known := store.Known{Seen: map[store.EventKey]store.Hash{}, Images: map[store.EntityKey]store.Image{}}
	if len(l.Seen) == 0 && len(l.Images) == 0 {
		return known, nil
	}
	c, err := acquire(ctx, s.reading)
	if err != nil {
		return store.Known{}, classify("lookup", err)
	}
	defer func() { s.reading <- c }()
	if err := lookup(ctx, c, l, &known); err != nil {
		return store.Known{}, classify("lookup", err)
	}
	return known, nil
}

func lookup(ctx context.Context, c *conn, l *store.Lookup, known *store.Known) (err error) {
	if _, err := c.exec("BEGIN"); err != nil {
		return err
	}
	defer func() {
		_, end := c.exec("COMMIT")
		err = errors.Join(err, end)
	}()
	if err := lookupSeen(ctx, c, l.Seen, known.Seen); err != nil {
		return err
	}
	return lookupImages(ctx, c, l.Images, known.Images)
}

func lookupSeen(ctx context.Context, c *conn, seen []store.Seen, known map[store.EventKey]store.Hash) error {
	if len(seen) == 0 || !rememberSeen {
		return nil
	}
	groups, err := store.BySlice(seen)
	if err != nil {
		return err
	}
	stored := map[store.Slice]bool{}
	if err := readSlices(ctx, c, func(id store.Slice, _ int64) { stored[id] = true }); err != nil {
		return err
	}
	for id, which := range groups {
		var keys []byte
		for _, n := range id.Neighbours() {
			if !stored[n] {
				continue
			}
			if keys == nil {
				keys = make([]byte, 0, store.SeenKeySize*len(which))
				for _, at := range which {
					keys = append(keys, seen[at].EventKey[:]...)
				}
			}
			err := c.queryOnce(ctx, cutPairs+`SELECT i, hash FROM pair JOIN `+quote(n.Table())+` ON key = substr(?1, i * 24 + 1, 24)`,
				func(v []driver.Value) error {
					var h store.Hash
					if copy(h[:], v[1].([]byte)) != len(h) {
						return fmt.Errorf("%w: table %s: malformed hash", store.ErrFatal, n.Table())
					}
					known[seen[which[v[0].(int64)]].EventKey] = h
					return nil
				}, keys, int64(len(which)))
			if err != nil {
				return err
			}
		}
	}
	return nil
}

// imagesAtOnce is how many images one statement reads.
const imagesAtOnce = 64

const readImages = `SELECT topic, key, version, time, origin, event_id, deleted, body FROM firehose_images WHERE (topic, key) IN (VALUES `

var imageQueries = [2]string{
	readImages + `(?, ?))`,
	readImages + `(?, ?)` + strings.Repeat(`, (?, ?)`, imagesAtOnce-1) + `)`,
}

func lookupImages(ctx context.Context, c *conn, keys []store.EntityKey, known map[store.EntityKey]store.Image) error {
	var args []any
	row := func(v []driver.Value) error {
		image := store.Image{
			EntityKey: store.EntityKey{Topic: v[0].(string), Key: v[1].(string)},
			Stamp:     conflict.Stamp{Version: v[2].(int64), Time: v[3].(int64), Origin: v[4].(string), EventID: v[5].(string)},
			Deleted:   v[6].(int64) != 0,
		}
		if !image.Deleted {
			image.Body, _ = v[7].([]byte)
		}
		known[image.EntityKey] = image
		return nil
	}
	for len(keys) > 0 {
		query, n := imageQueries[0], 1
		if len(keys) >= imagesAtOnce {
			query, n = imageQueries[1], imagesAtOnce
		}
		args = args[:0]
		for _, k := range keys[:n] {
			args = append(args, k.Topic, k.Key)
		}
		if err := c.query(ctx, query, row, args...); err != nil {
			return err
		}
		keys = slices.Clip(keys[n:])
	}
	return nil
}
