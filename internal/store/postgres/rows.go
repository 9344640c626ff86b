package postgres

import (
	"fmt"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// tableRows is what a batch does to one table.
type tableRows struct {
	*table
	changes store.Changes
	stage   string // the staging table that holds it, "" where there is none

	written int
	left    []int // rows of Rows that were not written, where each is a statement
}

// load copies the table's rows into a staging table.
func (t *tableRows) load(a *applier) error {
	c := a.sess.copying()
	for i := range t.changes.Rows {
		r := &t.changes.Rows[i]
		c.row(1 + len(r.Key) + len(t.decl.Columns) + len(stampColumns))
		c.int32(int32(i))
		c.values(r.Key)
		if r.Deleted {
			for range t.decl.Columns {
				c.null()
			}
		} else {
			c.values(r.Values)
		}
		c.int64(r.Stamp.Version)
		c.int64(r.Stamp.Time)
		c.text(r.Stamp.Origin)
		c.text(r.Stamp.EventID)
		c.bool(r.Deleted)
	}
	for i := range t.changes.Sums {
		s := &t.changes.Sums[i]
		n := len(s.Key) + len(s.Deltas)
		if t.decl.Sharded {
			n++
		}
		c.row(n)
		c.values(s.Key)
		if t.decl.Sharded {
			c.int32(a.shard)
		}
		for _, d := range s.Deltas {
			c.int64(d)
		}
	}
	for i := range t.changes.Entries {
		e := &t.changes.Entries[i]
		c.row(3 + len(e.Values))
		c.text(e.Source)
		c.text(e.EventID)
		c.int64(int64(e.Line))
		c.values(e.Values)
	}
	if c.rows == 0 {
		return nil
	}
	var err error
	t.stage, err = a.sess.load(a.ctx, "table "+t.decl.Name, t.table.stage, c)
	return err
}

// queue queues the writing of the rows.
func (t *tableRows) queue(a *applier, p *pgx.Batch) {
	if t.stage != "" {
		p.Queue(fmt.Sprintf(t.writeStage, t.stage)).Exec(func(tag pgconn.CommandTag) error {
			t.written = int(tag.RowsAffected())
			a.result.Written += t.written
			if t.decl.Kind == store.Log {
				a.result.Duplicate += len(t.changes.Entries) - t.written
			}
			return nil
		})
		return
	}
	for i := range t.changes.Rows {
		p.Queue(t.write, t.args(&t.changes.Rows[i])...).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				t.left = append(t.left, i)
				return nil
			}
			a.result.Written++
			return nil
		})
	}
	for i := range t.changes.Sums {
		s := &t.changes.Sums[i]
		args := appendArgs(nil, s.Key)
		if t.decl.Sharded {
			args = append(args, a.shard)
		}
		for _, d := range s.Deltas {
			args = append(args, d)
		}
		p.Queue(t.write, args...).Exec(func(pgconn.CommandTag) error {
			a.result.Written++
			return nil
		})
	}
	for i := range t.changes.Entries {
		e := &t.changes.Entries[i]
		p.Queue(t.write, appendArgs([]any{e.Source, e.EventID, int64(e.Line)}, e.Values)...).Exec(func(tag pgconn.CommandTag) error {
			if tag.RowsAffected() == 0 {
				a.result.Duplicate++
			} else {
				a.result.Written++
			}
			return nil
		})
	}
}

// args are the arguments that write a row.
func (c *table) args(r *store.Row) []any {
	args := appendArgs(make([]any, 0, len(r.Key)+len(c.decl.Columns)+len(stampColumns)), r.Key)
	if r.Deleted {
		for range c.decl.Columns {
			args = append(args, nil)
		}
	} else {
		args = appendArgs(args, r.Values)
	}
	return append(args, r.Stamp.Version, r.Stamp.Time, r.Stamp.Origin, r.Stamp.EventID, r.Deleted)
}

// meeting is a row of the batch and the stored one that it is not newer than.
type meeting struct {
	t      *tableRows
	r, old *store.Row
}

// contested decides, one by one, the rows that were not newer than what is
// stored. The upsert has locked them all.
func (a *applier) contested() error {
	var met []meeting
	p := &pgx.Batch{}
	for _, t := range a.tables {
		if t.decl.Kind == store.Rows {
			t.meet(a, p, &met)
		}
	}
	if err := a.send(p); err != nil {
		return err
	}
	p = &pgx.Batch{}
	for _, m := range met {
		if err := a.decide(p, m); err != nil {
			return err
		}
	}
	return a.send(p)
}

// meet queues the reading of the stored rows that a table's rows have met.
func (t *tableRows) meet(a *applier, p *pgx.Batch, met *[]meeting) {
	if t.stage == "" {
		for _, i := range t.left {
			r := &t.changes.Rows[i]
			p.Queue(t.read, appendArgs(nil, r.Key)...).Query(func(rows pgx.Rows) error {
				n := 0
				for ; rows.Next(); n++ {
					values, err := rows.Values()
					if err != nil {
						return err
					}
					*met = append(*met, meeting{t, r, storedRow(r, values)})
				}
				if err := rows.Err(); err != nil || n == 1 {
					return err
				}
				return fmt.Errorf("%w: row neither written nor there", store.ErrTransient)
			})
		}
		return
	}
	left := len(t.changes.Rows) - t.written
	if left == 0 {
		return
	}
	p.Queue(fmt.Sprintf(t.table.contested, t.stage)).Query(func(rows pgx.Rows) error {
		for rows.Next() {
			values, err := rows.Values()
			if err != nil {
				return err
			}
			r := &t.changes.Rows[values[0].(int32)]
			*met = append(*met, meeting{t, r, storedRow(r, values[1:])})
			left--
		}
		return rows.Err()
	})
	p.Queue(fmt.Sprintf(t.stale, t.stage)).QueryRow(func(row pgx.Row) error {
		var stale int
		if err := row.Scan(&stale); err != nil {
			return err
		}
		a.result.Stale += stale
		a.result.Duplicate += left - stale // the others are what is stored already
		return nil
	})
}

// storedRow is a row as it was read: its stamp, then its values.
func storedRow(r *store.Row, values []any) *store.Row {
	return &store.Row{
		Key: r.Key, Values: values[5:], Table: r.Table, Deleted: values[4].(bool),
		Stamp: conflict.Stamp{Version: values[0].(int64), Time: values[1].(int64), Origin: values[2].(string), EventID: values[3].(string)},
	}
}

// decide queues what becomes of a row that has met the stored one.
func (a *applier) decide(p *pgx.Batch, m meeting) error {
	switch store.Meet(m.old, m.r) {
	case conflict.Stale:
		a.result.Stale++
		return nil
	case conflict.Duplicate:
		a.result.Duplicate++
		return nil
	case conflict.Loses:
		switch {
		case m.r.Body == nil:
			a.result.Stale++
			return nil
		case m.r.Deleted:
			return a.lost(p, m, m.r, m.old, "kept", "none", nil)
		default:
			return a.lost(p, m, m.r, m.old, "kept", "event", m.r.Body)
		}
	case conflict.WinsOver:
		if m.r.Body != nil {
			encoding, body, err := store.RenderRow(m.t.decl, m.old)
			if err != nil {
				return err
			}
			if err := a.lost(p, m, m.old, m.r, "replaced", encoding, body); err != nil {
				return err
			}
		}
	case conflict.Wins:
	}
	p.Queue(m.t.force, m.t.args(m.r)...)
	a.result.Written++
	return nil
}

// lost records the loser of two concurrent rows, of which m.r came last.
func (a *applier) lost(p *pgx.Batch, m meeting, loser, winner *store.Row, outcome, encoding string, body []byte) error {
	key, err := store.KeyText(m.r.Key)
	if err != nil {
		return err
	}
	a.conflict(p, &store.Conflict{
		From: m.r.From, Key: key, Policy: "newest", Loser: loser.Stamp, Winner: winner.Stamp,
		Row: store.HashRow(loser), Body: body, Outcome: outcome,
	}, encoding)
	return nil
}
