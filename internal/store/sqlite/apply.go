package sqlite

import (
	"cmp"
	"context"
	"fmt"
	"slices"

	"firehose/internal/failpoint"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

// Apply applies a batch in one transaction, or nothing of it.
func (s *Store) Apply(ctx context.Context, b *store.Batch) (store.Result, error) {
	c, err := acquire(ctx, s.writing)
	if err != nil {
		return store.Result{}, classify("apply", err)
	}
	defer func() { s.writing <- c }()
	now := s.w.now()
	a := &applier{w: &s.w, ctx: ctx, now: now.UTC().Format(store.TimestampLayout)}
	err = s.w.transaction(ctx, func() error {
		s.reached("begin")
		if err := a.moves(b.Moves); err != nil {
			return err
		}
		if err := a.betweenPositionsAndRows(); err != nil {
			return err
		}
		s.reached("positions")
		failpoint.Hit("between-position-and-rows")
		if err := a.rest(b); err != nil {
			return err
		}
		s.reached("rows")
		failpoint.Hit("in-transaction")
		return nil
	})
	if err != nil {
		return store.Result{}, classify("apply", err)
	}
	s.reached("commit")
	s.w.expire(ctx, now)
	return a.result, nil
}

// moves is the compare-and-set of every position. All that do not match are
// named, so that one retry can leave all of them out.
func (a *applier) moves(moves []store.Move) error {
	var fenced []offsets.Partition
	for _, m := range moves {
		n, err := a.w.conn.exec(`UPDATE positions SET next = ?, leader_epoch = ?, updated_at = ?
			WHERE topic = ? AND partition = ? AND topic_id = ? AND generation = ? AND next = ?`,
			m.Next, int64(m.LeaderEpoch), a.now,
			m.From.Topic, int64(m.From.Partition), m.From.TopicID.String(), m.From.Generation, m.From.Next)
		if err != nil {
			return err
		}
		if n != 1 {
			fenced = append(fenced, m.From.Of())
		}
	}
	if len(fenced) > 0 {
		return &store.FencedError{Partitions: fenced}
	}
	return nil
}

func (a *applier) rest(b *store.Batch) error {
	if err := a.w.seen.insert(a.w, b.Seen); err != nil {
		return err
	}
	if err := a.images(b.Images); err != nil {
		return err
	}
	changes := b.Changes
	byName := func(x, y store.Changes) int { return cmp.Compare(x.Table.Name, y.Table.Name) }
	if !slices.IsSortedFunc(changes, byName) {
		changes = slices.Clone(changes)
		slices.SortStableFunc(changes, byName)
	}
	for _, c := range changes {
		if err := a.changes(c); err != nil {
			return err
		}
	}
	for _, c := range b.Conflicts {
		if err := a.conflict(c, "event"); err != nil {
			return err
		}
	}
	for _, d := range b.SetAside {
		if err := a.setAside(d); err != nil {
			return err
		}
	}
	return nil
}

// images replaces images that still are what the batch was merged from.
func (a *applier) images(changes []store.ImageChange) error {
	for i := range changes {
		c := &changes[i]
		stamp := c.Stamp
		var body any
		if !c.Deleted {
			body = nonNil(c.Body)
		}
		var n int64
		var err error
		if c.Before.IsZero() {
			n, err = a.w.conn.exec(`INSERT INTO firehose_images (version, time, origin, event_id, deleted, body, topic, key)
				VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic, key) DO NOTHING`,
				stamp.Version, stamp.Time, stamp.Origin, stamp.EventID, boolean(c.Deleted), body, c.Topic, c.Key)
		} else {
			n, err = a.w.conn.exec(`UPDATE firehose_images SET version = ?, time = ?, origin = ?, event_id = ?, deleted = ?, body = ?
				WHERE topic = ? AND key = ? AND version = ? AND time = ? AND origin = ? AND event_id = ?`,
				stamp.Version, stamp.Time, stamp.Origin, stamp.EventID, boolean(c.Deleted), body, c.Topic, c.Key,
				c.Before.Version, c.Before.Time, c.Before.Origin, c.Before.EventID)
		}
		if err != nil {
			return err
		}
		if n != 1 {
			return fmt.Errorf("%w: image of an entity of %s", store.ErrChanged, c.Topic)
		}
		if i%askEvery == askEvery-1 && a.ctx.Err() != nil {
			return a.ctx.Err()
		}
	}
	return nil
}

func nonNil(b []byte) []byte {
	if b == nil {
		return []byte{}
	}
	return b
}

// conflict records a loser once: redelivered, it is the same one. Where its row
// was all there was to keep, its event replaces that when it comes again.
func (a *applier) conflict(c store.Conflict, encoding string) error {
	if encoding == "event" && c.Body == nil {
		encoding = "none"
	}
	var body any
	if c.Body != nil {
		body = c.Body
	}
	n, err := a.w.conn.exec(`INSERT INTO conflicts (id, topic, topic_id, partition, "offset", key, policy, outcome,
			loser_version, loser_time, loser_origin, loser_event_id,
			winner_version, winner_time, winner_origin, winner_event_id, encoding, body, recorded_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (id) DO NOTHING`,
		c.ID(), c.From.Topic, c.From.TopicID.String(), int64(c.From.Partition), c.From.Offset, c.Key, c.Policy, c.Outcome,
		c.Loser.Version, c.Loser.Time, c.Loser.Origin, c.Loser.EventID,
		c.Winner.Version, c.Winner.Time, c.Winner.Origin, c.Winner.EventID, encoding, body, a.now)
	if err != nil {
		return err
	}
	if n > 0 {
		a.result.Record(&c)
		return nil
	}
	a.result.Duplicate++
	if encoding != "event" {
		return nil
	}
	_, err = a.w.conn.exec(`UPDATE conflicts SET encoding = 'event', body = ? WHERE id = ? AND encoding = 'columns'`, body, c.ID())
	return err
}

// setAside marks a record as written to the dead-letter topic; again, when it
// was written twice.
func (a *applier) setAside(d store.SetAside) error {
	_, err := a.w.conn.exec(`INSERT INTO firehose_dead_letters (topic_id, partition, "offset", topic, class, error, time, recorded_at)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (topic_id, partition, "offset") DO NOTHING`,
		d.From.TopicID.String(), int64(d.From.Partition), d.From.Offset, d.From.Topic, d.Class, d.Error,
		d.Time.UTC().Format(store.TimestampLayout), a.now)
	return err
}
