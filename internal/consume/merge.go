package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"firehose/internal/codec"
	"firehose/internal/conflict"
	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/schemas"
)

// merged is a batch and what was counted while it was made.
type merged struct {
	batch     *store.Batch
	events    int
	stale     int
	duplicate int
	again     int // event IDs that the store knew
}

// merger makes one batch of many events: the latest state of each row, the sum
// of each counter.
type merger struct {
	merged
	known  store.Known
	seen   seen
	images map[store.EntityKey]*entity
	tables map[string]*rows // by the table's name
	room   []cell           // for more of them, allocated together
}

// rows is what the batch does to one table. A table that gets a column while
// events are decoded has several shapes, each one the start of the next: all
// rows are written in the widest.
type rows struct {
	table *store.Table
	cells map[string]*cell
}

// entity is an entity's image as the batch moves it.
type entity struct {
	key    store.EntityKey
	before conflict.Stamp // as the store has it
	now    *Event         // nil when there is none
	moved  bool
}

// cell is what the batch does to one row.
type cell struct {
	op    *op // of event
	event *Event
	sums  []int64
}

func newMerger() *merger {
	return &merger{
		merged: merged{batch: &store.Batch{}},
		seen:   seen{brought: map[store.EventKey]broughtID{}},
		images: map[store.EntityKey]*entity{},
		tables: map[string]*rows{},
	}
}

// merge looks up what the claims depend on and merges them. An event that turns
// out to be unusable (a projection refuses it before its entity) gets a failure
// and the error says so, that it may be set aside first.
func (e *Engine) merge(ctx context.Context, claims []*claim) (*merged, error) {
	m := newMerger()
	wary := e.wary.Load() > 0
	for i, want := range lookups(claims, wary) {
		known, err := e.store.Lookup(ctx, want)
		if err != nil {
			return nil, fmt.Errorf("look up: %w", err)
		}
		if i == 0 {
			m.known = known
		} else {
			m.seen.know(want.Seen, known.Seen)
		}
	}
	unusable := false
	for _, c := range claims {
		if len(c.events) == 0 {
			continue
		}
		if c.p.pos.Next < c.from {
			return nil, fmt.Errorf("%w: %s, the batch follows on %d", errGap, c.p.pos, c.from)
		}
		for _, ev := range c.events {
			err := m.add(ctx, c.p.handler, ev)
			switch {
			case errors.Is(err, errUnusable):
				unusable = true // find the others, too: all are set aside at once
			case errors.Is(err, errNoRegistry):
				return nil, &heldError{c, err}
			case err != nil:
				return nil, err
			}
		}
		last := c.events[len(c.events)-1]
		m.batch.Moves = append(m.batch.Moves, store.Move{From: c.p.pos, Next: last.next(), LeaderEpoch: last.LeaderEpoch})
	}
	if unusable {
		return nil, errUnusable
	}
	switch {
	case m.again > 0:
		e.wary.Store(waryFor)
	case wary && len(m.batch.Seen) > 0:
		e.wary.Add(-1)
	}
	m.finish()
	return &m.merged, nil
}

// add merges one event.
func (m *merger) add(ctx context.Context, h *Handler, ev *Event) error {
	if ev.control {
		return nil
	}
	m.events++
	if f := failureOf(ev); f != nil {
		m.batch.SetAside = append(m.batch.SetAside, store.SetAside{
			From: ev.From, Class: f.Class, Error: f.Err.Error(), Time: ev.Timestamp,
		})
		return nil
	}
	switch {
	case h.NeedBefore:
		return m.change(ctx, h, ev)
	case h.Topic.Kind == schemas.Fact && adds(ev):
		if !m.first(ev) {
			return nil
		}
	}
	return m.put(ev, ev.ops)
}

// change merges an event of an entity whose projection sees what it replaces.
func (m *merger) change(ctx context.Context, h *Handler, ev *Event) error {
	k := store.EntityKey{Topic: ev.From.Topic, Key: ev.Key}
	ent := m.images[k]
	if ent == nil {
		ent = &entity{key: k}
		if image, ok := m.known.Images[k]; ok {
			ent.before = image.Stamp
			now, err := restore(ctx, h, ev, image)
			if err != nil {
				return err
			}
			ent.now = now
		}
		m.images[k] = ent
	}
	var stored conflict.Stamp
	if ent.now != nil {
		stored = ent.now.Stamp()
	}
	outcome := conflict.Newest(stored, ev.Stamp(), func() int { return compareImage(ev, ent.now) })
	switch outcome {
	case conflict.Stale:
		m.stale++
		return nil
	case conflict.Duplicate:
		m.duplicate++
		return nil
	case conflict.Loses:
		m.lose(ev, policyNewest, outcomeKept, ev.Stamp(), stored, ev.image())
		return nil
	case conflict.Wins:
	case conflict.WinsOver:
		m.lose(ev, policyNewest, outcomeReplaced, stored, ev.Stamp(), ent.now.image())
	}
	ops, err := h.project(ev, asBefore(ent.now), &Changes{})
	if err != nil {
		if f := (*Failure)(nil); errors.As(err, &f) {
			ev.failure = f
			return errUnusable
		}
		return err
	}
	ent.now, ent.moved, ev.settled = ev, true, true
	return m.put(ev, ops)
}

var (
	// errUnusable says that an event got its failure while it was merged.
	// Nothing is wrong with the store: try again, and set the event aside first.
	errUnusable = errors.New("an event turned out to be unusable")
	// errGap says that a batch would move its position past events that are not
	// applied. It is a mistake of the engine, and the service stops rather than
	// make it: from the store's position it begins again.
	errGap = errors.New("a batch does not begin at its position")
	// errNoRegistry says that an entity's image cannot be read at the moment.
	errNoRegistry = errors.New("schema of an entity's image")
)

// asBefore returns the state before an event as a projection may see it: what an
// image keeps, no more, whether it comes from the store or from the same batch.
func asBefore(e *Event) *Event {
	if e == nil || e.Deleted {
		return nil
	}
	b := &Event{Key: e.Key, Version: e.Version, Value: e.Value}
	b.From.Topic = e.From.Topic
	b.ID, b.Origin, b.Sequence, b.HasSequence = e.ID, e.Origin, e.Version, true
	b.Time = microTime(e.Time.UnixMicro())
	return b
}

// restore makes an event of an entity's stored image.
func restore(ctx context.Context, h *Handler, like *Event, image store.Image) (*Event, error) {
	e := &Event{From: like.From, Key: image.Key, Version: image.Stamp.Version, Deleted: image.Deleted, Body: image.Body}
	e.ID, e.Origin, e.Sequence, e.HasSequence = image.Stamp.EventID, image.Stamp.Origin, image.Stamp.Version, true
	e.Time = microTime(image.Stamp.Time)
	if image.Deleted {
		return e, nil
	}
	f, err := codec.ParseFrame(image.Body, nil)
	if err == nil {
		e.Value, err = h.Decode(ctx, f)
	}
	if errors.Is(err, codec.ErrUnavailable) || errors.Is(err, codec.ErrUnknownSchema) {
		return nil, fmt.Errorf("%w of %s: %w", errNoRegistry, image.Topic, err)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: image of an entity of %s: %w", store.ErrFatal, image.Topic, err)
	}
	return e, nil
}

func (m *merger) lose(ev *Event, policy, outcome string, loser, winner conflict.Stamp, body []byte) {
	m.batch.Conflicts = append(m.batch.Conflicts, store.Conflict{
		From: ev.From, Key: ev.Key, Policy: policy, Outcome: outcome, Loser: loser, Winner: winner, Body: body,
	})
}

// put merges one event's changes into the batch's rows.
func (m *merger) put(ev *Event, ops []op) error {
	for i := range ops {
		o := &ops[i]
		r := m.tables[o.table.Name]
		if r == nil {
			r = &rows{table: o.table, cells: map[string]*cell{}}
			m.tables[o.table.Name] = r
		} else if len(o.table.Columns) > len(r.table.Columns) {
			r.table = o.table
		}
		c := r.cells[o.row]
		switch {
		case c == nil:
			c = m.newCell()
			c.op, c.event = o, ev
			if o.kind == opAdd {
				c.sums = slices.Clone(o.deltas)
			}
			r.cells[o.row] = c
		case o.kind == opAdd:
			if !c.add(o.deltas) {
				// Alone, the store tells which event is too much.
				return fmt.Errorf("%w: table %s: a sum overflows", store.ErrRefused, o.table.Name)
			}
		case o.kind == opAppend:
			m.duplicate++ // the same event ID twice in one batch
		default:
			m.replace(r.table, c, ev, ops[i:])
		}
	}
	return nil
}

func (m *merger) newCell() *cell {
	if len(m.room) == 0 {
		m.room = make([]cell, 64)
	}
	c := &m.room[0]
	m.room = m.room[1:]
	return c
}

// add adds to the cell's sums and reports whether they still fit.
func (c *cell) add(deltas []int64) bool {
	for i, d := range deltas {
		sum := c.sums[i] + d
		if (sum > c.sums[i]) != (d > 0) && d != 0 {
			return false
		}
		c.sums[i] = sum
	}
	return true
}

// finish lists the batch's rows: tables by name, rows by key, so that two
// writers take their locks in one order.
func (m *merger) finish() {
	for _, ent := range m.images {
		if !ent.moved {
			continue
		}
		ev := ent.now
		image := store.Image{EntityKey: ent.key, Stamp: ev.Stamp(), Deleted: ev.Deleted, Body: ev.image()}
		m.batch.Images = append(m.batch.Images, store.ImageChange{Image: image, Before: ent.before})
	}
	slices.SortFunc(m.batch.Images, func(a, b store.ImageChange) int {
		return cmp.Or(strings.Compare(a.Topic, b.Topic), strings.Compare(a.Key, b.Key))
	})
	slices.SortFunc(m.batch.Moves, func(a, b store.Move) int { return offsets.Compare(a.From.Of(), b.From.Of()) })
	for _, r := range m.tables {
		m.batch.Changes = append(m.batch.Changes, changesOf(r.table, r.cells))
	}
	slices.SortFunc(m.batch.Changes, func(a, b store.Changes) int { return strings.Compare(a.Table.Name, b.Table.Name) })
}

func changesOf(t *store.Table, cells map[string]*cell) store.Changes {
	sorted := slices.AppendSeq(make([]*cell, 0, len(cells)), maps.Values(cells))
	slices.SortFunc(sorted, func(a, b *cell) int { return strings.Compare(a.op.row, b.op.row) })
	out := store.Changes{Table: t, Checked: true} // when they were asked for, see Changes
	for _, c := range sorted {
		switch c.op.kind {
		case opAdd:
			out.Sums = append(out.Sums, store.Sum{Key: c.op.key, Deltas: c.sums})
		case opAppend:
			out.Entries = append(out.Entries, store.Entry{
				Source: c.event.Source, EventID: c.event.ID, Line: c.op.line, Values: c.op.values,
			})
		default:
			if out.Rows == nil {
				out.Rows = make([]store.Row, 0, len(sorted)) // a table's changes are all of one kind
			}
			out.Rows = append(out.Rows, rowOf(t, c.event, c.op))
		}
	}
	return out
}
