package sqlite

import (
	"context"
	"database/sql/driver"
	"fmt"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// askEvery is how many rows are written between two looks at the context.
const askEvery = 256

// applier is one Apply under way.
type applier struct {
	w      *writer
	ctx    context.Context //nolint:containedctx // lives as long as the call that it belongs to
	now    string
	result store.Result
	args   []any // reused

	checked bool // the values at hand, see store.Changes
}

func (a *applier) changes(c store.Changes) error {
	t, err := a.w.table(c.Table)
	if err != nil {
		return err
	}
	a.checked = c.Checked
	n := 0
	each := func(err error) error {
		if n++; err == nil && n%askEvery == 0 {
			err = a.ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("table %s: %w", c.Table.Name, err)
		}
		return nil
	}
	for i := range c.Rows {
		if err := each(a.row(t, &c.Rows[i])); err != nil {
			return err
		}
	}
	for i := range c.Sums {
		if err := each(a.sum(t, &c.Sums[i])); err != nil {
			return err
		}
	}
	for i := range c.Entries {
		if err := each(a.entry(t, &c.Entries[i])); err != nil {
			return err
		}
	}
	return nil
}

// row writes a row that is newer than the stored one, which is the common case,
// with one statement; what it leaves is decided one by one.
func (a *applier) row(t *table, r *store.Row) error {
	var err error
	a.args, err = appendValues(a.args[:0], t.decl.Key, r.Key, a.checked)
	if err != nil {
		return err
	}
	if r.Deleted {
		a.args = appendNulls(a.args, len(t.decl.Columns))
	} else if a.args, err = appendValues(a.args, t.decl.Columns, r.Values, a.checked); err != nil {
		return err
	}
	a.args = append(a.args, r.Stamp.Version, r.Stamp.Time, r.Stamp.Origin, r.Stamp.EventID, boolean(r.Deleted))
	n, err := t.write.exec(a.args...)
	if err != nil {
		return err
	}
	if n > 0 {
		a.result.Written++
		return nil
	}
	return a.contested(t, r)
}

// contested decides a row that is not newer than what is stored. a.args are
// still those of the row.
func (a *applier) contested(t *table, r *store.Row) error {
	var stored []driver.Value
	if err := t.read.query(a.ctx, func(v []driver.Value) error {
		stored = append(stored, v...)
		return nil
	}, a.args[:len(t.decl.Key)]...); err != nil {
		return err
	}
	if stored == nil {
		return fmt.Errorf("%w: row neither written nor there", store.ErrTransient)
	}
	old := store.Row{Key: r.Key, Table: r.Table, Deleted: stored[4].(int64) != 0, Stamp: conflict.Stamp{
		Version: stored[0].(int64), Time: stored[1].(int64), Origin: stored[2].(string), EventID: stored[3].(string),
	}}
	for _, v := range stored[5:] {
		old.Values = append(old.Values, v)
	}
	switch store.Meet(&old, r) {
	case conflict.Stale:
		a.result.Stale++
		return nil
	case conflict.Duplicate:
		a.result.Duplicate++
		return nil
	case conflict.Loses:
		if r.Body == nil {
			a.result.Stale++
			return nil
		}
		if r.Deleted {
			return a.lost(r, r, &old, "kept", "none", nil)
		}
		return a.lost(r, r, &old, "kept", "event", r.Body)
	case conflict.WinsOver:
		if r.Body != nil {
			encoding, body, err := store.RenderRow(t.decl, &old)
			if err != nil {
				return err
			}
			if err := a.lost(r, &old, r, "replaced", encoding, body); err != nil {
				return err
			}
		}
	case conflict.Wins:
	}
	if _, err := t.force.exec(a.args...); err != nil {
		return err
	}
	a.result.Written++
	return nil
}

// lost records the loser of two concurrent rows, of which r came last.
func (a *applier) lost(r, loser, winner *store.Row, outcome, encoding string, body []byte) error {
	key, err := store.KeyText(r.Key)
	if err != nil {
		return err
	}
	return a.conflict(store.Conflict{
		From: r.From, Key: key, Policy: "newest", Loser: loser.Stamp, Winner: winner.Stamp,
		Row: store.HashRow(loser), Body: body, Outcome: outcome,
	}, encoding)
}

func (a *applier) sum(t *table, s *store.Sum) error {
	var err error
	if a.args, err = appendValues(a.args[:0], t.decl.Key, s.Key, a.checked); err != nil {
		return err
	}
	if len(s.Deltas) != len(t.decl.Columns) {
		return fmt.Errorf("%w: %d deltas for %d columns", store.ErrRefused, len(s.Deltas), len(t.decl.Columns))
	}
	for _, d := range s.Deltas {
		a.args = append(a.args, d)
	}
	// A sum that overflows becomes a REAL, which the STRICT column refuses.
	if _, err = t.write.exec(a.args...); err != nil {
		return err
	}
	a.result.Written++
	return nil
}

func (a *applier) entry(t *table, e *store.Entry) error {
	var err error
	a.args = append(a.args[:0], e.Source, e.EventID, int64(e.Line))
	if a.args, err = appendValues(a.args, t.decl.Columns, e.Values, a.checked); err != nil {
		return err
	}
	n, err := t.write.exec(a.args...)
	if err != nil {
		return err
	}
	if n == 0 {
		a.result.Duplicate++
		return nil
	}
	a.result.Written++
	return nil
}
