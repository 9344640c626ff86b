package consume

import (
	"bytes"
	"slices"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// compareImage orders two states of an entity by their bytes, a deleted one
// last. It decides where one stamp has two bodies.
func compareImage(a, b *Event) int {
	switch {
	case a.Deleted && b.Deleted:
		return 0
	case a.Deleted:
		return 1
	case b.Deleted:
		return -1
	}
	return bytes.Compare(a.image(), b.image())
}

// rowOf is what an event makes of one row of a table. Even a delete has a body
// where it is the entity's: nil stands for a row that no conflict is kept of.
func rowOf(t *store.Table, ev *Event, o *op) store.Row {
	row := store.Row{
		Key: o.key, Values: widen(t, o), Table: t, Stamp: ev.Stamp(), Deleted: o.kind == opRemove, Settled: ev.settled, From: ev.From,
	}
	if o.body {
		row.Body = ev.image()
		if row.Body == nil {
			row.Body = []byte{}
		}
	}
	return row
}

// replace decides between two states of one row within the batch: as the cell has
// it, and as the first of the event's ops makes it.
func (m *merger) replace(t *store.Table, c *cell, ev *Event, ops []op) {
	o := &ops[0]
	if ev == c.event {
		c.op = o // an event's later change to the same row
		return
	}
	switch { // versions that differ decide without the rows
	case ev.Version > c.event.Version:
		c.op, c.event = o, ev
		return
	case ev.Version < c.event.Version:
		m.stale++
		return
	}
	if ev.Stamp() == c.event.Stamp() {
		o = lastOf(ops)
	}
	old, row := rowOf(t, c.event, c.op), rowOf(t, ev, o)
	switch store.Meet(&old, &row) {
	case conflict.Wins:
		c.op, c.event = o, ev
	case conflict.WinsOver:
		if o.body {
			m.loseRow(c.event, outcomeReplaced, &old, &row)
		}
		c.op, c.event = o, ev
	case conflict.Loses:
		if !o.body {
			m.stale++
			return
		}
		m.loseRow(ev, outcomeKept, &row, &old)
	case conflict.Stale:
		m.stale++
	case conflict.Duplicate:
		m.duplicate++
	}
}

// lastOf is the last thing that an event's ops do to the row of the first: the
// state that two events of one stamp are compared by.
func lastOf(ops []op) *op {
	last := &ops[0]
	for i := range ops {
		if o := &ops[i]; o.row == last.row && o.table.Name == last.table.Name {
			last = o
		}
	}
	return last
}

// loseRow records the loser of two rows, which loser was an event of.
func (m *merger) loseRow(ev *Event, outcome string, loser, winner *store.Row) {
	m.lose(ev, policyNewest, outcome, loser.Stamp, winner.Stamp, ev.image())
	m.batch.Conflicts[len(m.batch.Conflicts)-1].Row = store.HashRow(loser)
}

// widen completes a row of a narrower shape with the defaults of the columns
// that it does not have.
func widen(t *store.Table, o *op) []any {
	values := o.values
	if o.kind != opPut || len(values) == len(t.Columns) {
		return values
	}
	values = slices.Clip(values)
	for _, c := range t.Columns[len(values):] {
		values = append(values, c.Default)
	}
	return values
}
