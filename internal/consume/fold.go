package consume

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/conflict"
	"firehose/internal/event"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

// Fold applies events one by one to tables in memory: what a store must hold
// after them. It needs neither broker nor database. It is not safe for
// concurrent use.
type Fold struct {
	handlers map[string]*Handler
	decoder  decoder
	known    store.Known
	tables   map[string]*folded
	next     map[string]int64 // offset of a topic's next event
}

// folded is one table in memory.
type folded struct {
	table   *store.Table
	rows    map[string]*store.Row
	sums    map[string]*store.Sum
	entries []store.Entry
}

// NewFold returns a fold over empty tables.
func NewFold(handlers []*Handler, tables []*store.Table) *Fold {
	f := &Fold{
		handlers: map[string]*Handler{},
		known:    store.Known{Seen: map[store.EventKey]store.Hash{}, Images: map[store.EntityKey]store.Image{}},
		tables:   map[string]*folded{},
		next:     map[string]int64{},
	}
	for _, h := range handlers {
		f.handlers[h.Topic.Topic] = h
	}
	for _, t := range tables {
		f.tables[t.Name] = &folded{table: t, rows: map[string]*store.Row{}, sums: map[string]*store.Sum{}}
	}
	return f
}

// Apply folds one event; value is nil for a delete. The error is a *Failure when
// a service would set the event aside, and then nothing has changed.
func (f *Fold) Apply(ctx context.Context, topic string, env *event.Envelope, value []byte) error {
	h := f.handlers[topic]
	if h == nil {
		return fmt.Errorf("topic %s: nothing folds it", topic)
	}
	r := &kgo.Record{
		Topic: topic, Offset: f.next[topic], Timestamp: time.UnixMilli(f.next[topic]).UTC(),
		Key: []byte(env.Subject), Value: value, Headers: event.AppendHeaders[kgo.RecordHeader](nil, env),
	}
	f.next[topic]++
	var ev Event
	if err := h.decode(ctx, &f.decoder, r, offsets.TopicID{}, &ev); err != nil {
		return err
	}
	if ev.failure != nil {
		return ev.failure
	}
	m := newMerger()
	m.known = f.known
	err := m.add(ctx, h, &ev)
	switch {
	case errors.Is(err, errUnusable):
		return ev.failure
	case err != nil:
		return err
	}
	m.finish()
	return f.write(m.batch)
}

// write takes over a batch, all of it or nothing.
func (f *Fold) write(b *store.Batch) error {
	for _, c := range b.Changes {
		for _, s := range c.Sums {
			have := f.tables[c.Table.Name].sums[encodeKey(s.Key)]
			if have != nil && !(&cell{sums: slices.Clone(have.Deltas)}).add(s.Deltas) {
				return fail(ClassStoreRefused, "table %s: a sum overflows", c.Table.Name)
			}
		}
	}
	for _, s := range b.Seen {
		f.known.Seen[s.EventKey] = s.Hash
	}
	for _, i := range b.Images {
		f.known.Images[i.EntityKey] = i.Image
	}
	for _, c := range b.Changes {
		f.tables[c.Table.Name].write(c)
	}
	return nil
}

func (t *folded) write(c store.Changes) {
	if len(c.Table.Columns) > len(t.table.Columns) {
		t.table = c.Table
	}
	for i := range c.Rows {
		row := &c.Rows[i]
		key := encodeKey(row.Key)
		t.widen(row)
		old := t.rows[key]
		if old == nil {
			t.rows[key] = row
			continue
		}
		t.widen(old)
		switch store.Meet(old, row) {
		case conflict.Wins, conflict.WinsOver:
			t.rows[key] = row
		case conflict.Loses, conflict.Stale, conflict.Duplicate:
		}
	}
	for i := range c.Sums {
		key := encodeKey(c.Sums[i].Key)
		if have := t.sums[key]; have != nil {
			for j, d := range c.Sums[i].Deltas {
				have.Deltas[j] += d
			}
			continue
		}
		t.sums[key] = &c.Sums[i]
	}
	for _, e := range c.Entries {
		again := func(old store.Entry) bool {
			return old.Source == e.Source && old.EventID == e.EventID && old.Line == e.Line
		}
		if !slices.ContainsFunc(t.entries, again) {
			t.entries = append(t.entries, e)
		}
	}
}

func (t *folded) widen(r *store.Row) {
	if !r.Deleted {
		r.Values = widen(t.table, &op{kind: opPut, values: r.Values})
	}
}

// Rows returns a table's rows as SQL would see them: the key's values and the
// columns', by key; of a log the columns only, in the order in which they were
// appended. It is nil when there is no such table.
func (f *Fold) Rows(table string) [][]any {
	t := f.tables[table]
	if t == nil {
		return nil
	}
	type keyed struct {
		key string
		row []any
	}
	var all []keyed
	for key, r := range t.rows {
		if !r.Deleted {
			values := widen(t.table, &op{kind: opPut, values: r.Values})
			all = append(all, keyed{key, slices.Concat(r.Key, values)})
		}
	}
	for key, s := range t.sums {
		row := slices.Clone(s.Key)
		for _, n := range s.Deltas {
			row = append(row, n)
		}
		all = append(all, keyed{key, row})
	}
	slices.SortFunc(all, func(a, b keyed) int { return cmp.Compare(a.key, b.key) })
	out := make([][]any, 0, len(all)+len(t.entries))
	for _, k := range all {
		out = append(out, k.row)
	}
	for _, e := range t.entries {
		out = append(out, slices.Clone(e.Values))
	}
	return out
}
