package postgres

import (
	"fmt"
	"slices"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firehose/internal/store"
)

// prepare checks what the batch holds and stages it, all before the transaction.
// It returns the catalogue that the batch is written by, or nil when the tables
// are not as declared.
func (a *applier) prepare(b *store.Batch) (*catalog, error) {
	for i := range b.Changes {
		if err := store.CheckTable(b.Changes[i].Table); err != nil {
			return nil, fmt.Errorf("%w: %w", store.ErrFatal, err)
		}
	}
	cat, err := a.s.catalogFor(a.ctx, a.sess, b.Changes)
	if err != nil {
		return nil, err
	}
	for i := range b.Changes {
		if err := checkChanges(&b.Changes[i]); err != nil {
			return nil, fmt.Errorf("table %s: %w", b.Changes[i].Table.Name, err)
		}
	}
	groups, err := a.s.seen.prepare(a.ctx, a.sess, b.Seen, a.now)
	if err != nil {
		return nil, err
	}
	for slice, which := range groups {
		a.seen = append(a.seen, seenRows{slice: slice, pairs: store.SeenPairs(b.Seen, which), n: len(which)})
	}
	slices.SortFunc(a.seen, func(x, y seenRows) int { return x.slice.Compare(y.slice) })
	if cat != nil {
		if err := a.fill(cat, b); err != nil {
			return nil, err
		}
	}
	return cat, a.stage(b)
}

// fill makes the statements of the batch's tables.
func (a *applier) fill(cat *catalog, b *store.Batch) error {
	stages := map[string]string{} // of an attempt before, or none
	for _, t := range a.tables {
		stages[t.changes.Table.Name] = t.stage
	}
	a.tables = a.tables[:0]
	for _, c := range slices.SortedStableFunc(slices.Values(b.Changes), byName) {
		have := cat.tables[c.Table.Name]
		if have == nil {
			return fmt.Errorf("%w: table %s is not in the catalogue", store.ErrFatal, c.Table.Name)
		}
		a.tables = append(a.tables, &tableRows{table: a.s.compiled(c.Table, have, cat.version), changes: c, stage: stages[c.Table.Name]})
	}
	return nil
}

func checkChanges(c *store.Changes) error {
	if c.Checked {
		return nil
	}
	t := c.Table
	for i := range c.Rows {
		r := &c.Rows[i]
		if err := checkValues(t.Key, r.Key); err != nil {
			return err
		}
		if r.Deleted {
			continue
		}
		if err := checkValues(t.Columns, r.Values); err != nil {
			return err
		}
	}
	for i := range c.Sums {
		if err := checkValues(t.Key, c.Sums[i].Key); err != nil {
			return err
		}
		if n := len(c.Sums[i].Deltas); n != len(t.Columns) {
			return fmt.Errorf("%w: %d deltas for %d columns", store.ErrRefused, n, len(t.Columns))
		}
	}
	for i := range c.Entries {
		if err := checkValues(t.Columns, c.Entries[i].Values); err != nil {
			return err
		}
	}
	return nil
}

// stage copies a large batch into staging tables.
func (a *applier) stage(b *store.Batch) error {
	n := len(b.Seen) + len(b.Images)
	for i := range b.Changes {
		n += len(b.Changes[i].Rows) + len(b.Changes[i].Sums) + len(b.Changes[i].Entries)
	}
	if n < stageFrom {
		return nil
	}
	a.sess.batch++
	staged := a.seen
	if len(staged) > maxSeenStages {
		staged = nil
	}
	var err error
	for i := range staged {
		r := &staged[i]
		buffer := a.sess.copying()
		for k := range r.n {
			pair := r.pairs[k*store.SeenPairSize : (k+1)*store.SeenPairSize]
			buffer.row(2)
			buffer.bytes(pair[:store.SeenKeySize])
			buffer.bytes(pair[store.SeenKeySize:])
		}
		if r.stage, err = a.sess.load(a.ctx, fmt.Sprint("seen ", i), seenColumns, buffer); err != nil {
			return err
		}
	}
	if len(b.Images) > 0 {
		if a.images, err = a.sess.load(a.ctx, "images", imageStage, imageRows(a.sess.copying(), b.Images)); err != nil {
			return err
		}
	}
	for _, t := range a.tables {
		if err := t.load(a); err != nil {
			return err
		}
	}
	return nil
}

const imageStage = `topic text COLLATE "C", key text COLLATE "C", version bigint, time bigint, origin text, event_id text, deleted boolean, body bytea,
	new boolean, was_version bigint, was_time bigint, was_origin text, was_event_id text`

func imageRows(c *copyBuffer, changes []store.ImageChange) *copyBuffer {
	for i := range changes {
		ch := &changes[i]
		c.row(13)
		c.text(ch.Topic)
		c.text(ch.Key)
		c.int64(ch.Stamp.Version)
		c.int64(ch.Stamp.Time)
		c.text(ch.Stamp.Origin)
		c.text(ch.Stamp.EventID)
		c.bool(ch.Deleted)
		if ch.Deleted {
			c.null()
		} else {
			c.bytes(ch.Body)
		}
		c.bool(ch.Before.IsZero())
		c.int64(ch.Before.Version)
		c.int64(ch.Before.Time)
		c.text(ch.Before.Origin)
		c.text(ch.Before.EventID)
	}
	return c
}

// replaceImages replaces images that still are what the batch was merged from.
func (a *applier) replaceImages(p *pgx.Batch, changes []store.ImageChange) {
	if len(changes) == 0 {
		return
	}
	written := int64(0)
	count := func(last bool) func(pgconn.CommandTag) error {
		return func(tag pgconn.CommandTag) error {
			if written += tag.RowsAffected(); last && written != int64(len(changes)) {
				return fmt.Errorf("%w: images of %d entities", store.ErrChanged, int64(len(changes))-written)
			}
			return nil
		}
	}
	const columns = `topic, key, version, time, origin, event_id, deleted, body`
	if a.images != "" {
		p.Queue(`INSERT INTO firehose_images (` + columns + `) SELECT ` + columns + ` FROM ` + a.images + ` WHERE new
			ORDER BY topic, key ON CONFLICT (topic, key) DO NOTHING`).Exec(count(false))
		// Locked in the order of the keys before any is written.
		p.Queue(`WITH was AS MATERIALIZED (
				SELECT s.* FROM ` + a.images + ` s JOIN firehose_images i USING (topic, key) WHERE NOT s.new
				AND (i.version, i.time, i.origin, i.event_id) = (s.was_version, s.was_time, s.was_origin, s.was_event_id)
				ORDER BY topic, key FOR UPDATE OF i)
			UPDATE firehose_images i SET version = was.version, time = was.time, origin = was.origin, event_id = was.event_id,
				deleted = was.deleted, body = was.body
			FROM was WHERE i.topic = was.topic AND i.key = was.key
			AND (i.version, i.time, i.origin, i.event_id) = (was.was_version, was.was_time, was.was_origin, was.was_event_id)`).Exec(count(true))
		return
	}
	for i := range changes {
		c := &changes[i]
		var body any
		if !c.Deleted {
			body = append([]byte{}, c.Body...) // not nil
		}
		last := count(i == len(changes)-1)
		if c.Before.IsZero() {
			p.Queue(`INSERT INTO firehose_images (`+columns+`) VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (topic, key) DO NOTHING`,
				c.Topic, c.Key, c.Stamp.Version, c.Stamp.Time, c.Stamp.Origin, c.Stamp.EventID, c.Deleted, body).Exec(last)
			continue
		}
		p.Queue(`UPDATE firehose_images SET version = $3, time = $4, origin = $5, event_id = $6, deleted = $7, body = $8
			WHERE topic = $1 AND key = $2 AND version = $9 AND time = $10 AND origin = $11 AND event_id = $12`,
			c.Topic, c.Key, c.Stamp.Version, c.Stamp.Time, c.Stamp.Origin, c.Stamp.EventID, c.Deleted, body,
			c.Before.Version, c.Before.Time, c.Before.Origin, c.Before.EventID).Exec(last)
	}
}
