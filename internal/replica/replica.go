// Package replica keeps a table of an entity topic: each event's state is the
// entity's row. It needs no code for the topic: the columns come from the
// schemas that its events are written with.
//
//	field of the schema                     column       Go type of its values
//	boolean                                 Bool         bool
//	int, long                               Int          int64
//	float, double                           Float        float64
//	string, enum                            Text         string
//	bytes, fixed                            Bytes        []byte
//	decimal, big-decimal                    Decimal      string, "-12.50"
//	uuid                                    Text         string, "6ba7b810-9dad-11d1-80b4-00c04fd430c8"
//	timestamp-millis, timestamp-micros      Timestamp    time.Time
//	timestamp-nanos                         Text         string, "2006-01-02T15:04:05.000000000Z"
//	date                                    Text         string, "2006-01-02"
//	time-millis, -micros                    Text         string, "15:04:05.000", "15:04:05.000000"
//	local-timestamp-millis, -micros, -nanos Text         string, as above without Z
//	duration, record, array, map            JSON         string, as codec.AppendJSON writes it
//	union of null and one of these          the same, nullable
//	union of several                        JSON, nullable where null is among them
//	null                                    Text, always NULL
//
// # Schemas that come later
//
// Values are read in the schema that wrote them, so what is stored depends on
// the events alone, not on which versions the reader was compiled with or met
// first. A schema with a field that the table does not have adds a column at its
// end, with the field's default as the column's; the rows of other schemas hold
// that default. Columns never go away. A schema that is not compatible with the
// topic's, both ways, or whose field has another column type, is an
// ErrIncompatible: its records are set aside.
package replica

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"sync/atomic"
	"time"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/store"
	"firehose/schemas"
)

// Replica is the table of one topic.
type Replica struct {
	topic   *schemas.Topic
	writers codec.Writers

	mu    sync.Mutex // held while the shape or the plans change
	shape atomic.Pointer[shape]
	plans atomic.Pointer[map[writerKey]*plan]
}

// writerKey identifies the schema of a value.
type writerKey struct {
	id     int
	guid   [16]byte
	byGUID bool
}

// maxPlans bounds how many schemas are remembered: who puts thousands of them on
// a topic costs time, not memory.
const maxPlans = 1024

// New returns the replica of an entity topic, with the columns of all its known
// versions. w finds the schemas of values.
func New(t *schemas.Topic, w codec.Writers) (*Replica, error) {
	if t.Kind != schemas.Entity {
		return nil, fmt.Errorf("topic %s: carries %s events, only an entity topic has a replica", t.Topic, t.Kind)
	}
	r := &Replica{topic: t, writers: w}
	first := &shape{
		table:   &store.Table{Name: t.Table(), Kind: store.Rows},
		columns: map[string]int{},
	}
	for i, version := range t.Versions {
		reader, err := codec.NewRowReader(version.Avro)
		if err == nil {
			first, err = first.grow(t.Contract, reader.Fields(), i == 0)
		}
		if err != nil {
			return nil, fmt.Errorf("topic %s: version %d: %w", t.Topic, version.N, err)
		}
	}
	if err := store.CheckTable(first.table); err != nil {
		return nil, fmt.Errorf("topic %s: %w", t.Topic, err)
	}
	r.shape.Store(first)
	r.plans.Store(&map[writerKey]*plan{})
	return r, nil
}

// Table returns the table as it is now.
func (r *Replica) Table() *store.Table { return r.shape.Load().table }

// Handler returns what the engine needs to keep the table.
func (r *Replica) Handler() *consume.Handler {
	return &consume.Handler{
		Topic:  r.topic,
		Decode: r.decode,
		Field: consume.Fields{
			Key:     func(v any) (string, error) { return v.(*value).key() },
			Version: func(v any) (int64, error) { return v.(*value).version() },
			Time:    func(v any) (time.Time, bool, error) { return v.(*value).time() },
		},
		Project: r.project,
	}
}

// value is a decoded event: the row that it makes, the key first.
type value struct {
	plan *plan
	row  []any
}

func (v *value) key() (string, error) {
	switch k := v.row[0].(type) {
	case string:
		if k != "" {
			return k, nil
		}
		return "", &codec.FieldError{Field: v.plan.contract.Key, Problem: "empty"}
	case int64:
		return strconv.FormatInt(k, 10), nil
	}
	return "", &codec.FieldError{Field: v.plan.contract.Key, Problem: "want a string or a whole number"}
}

func (v *value) version() (int64, error) {
	n, ok := v.row[v.plan.version].(int64)
	if !ok || n < 0 {
		return 0, &codec.FieldError{Field: v.plan.contract.Version, Problem: "want 0 or more"}
	}
	return n, nil
}

func (v *value) time() (time.Time, bool, error) {
	if v.plan.time < 0 {
		return time.Time{}, false, nil
	}
	t, ok := v.row[v.plan.time].(time.Time)
	return t, ok, nil
}

func (r *Replica) project(e, _ *consume.Event, c *consume.Changes) error {
	if !e.Deleted {
		v := e.Value.(*value)
		c.PutRead(v.plan.table, v.row[:1:1], v.row[1:])
		return nil
	}
	t := r.Table()
	if t.Key[0].Type != store.Int {
		c.Remove(t, []any{e.Key})
		return nil
	}
	n, err := strconv.ParseInt(e.Key, 10, 64)
	if err != nil || strconv.FormatInt(n, 10) != e.Key {
		return &consume.Refusal{Reason: fmt.Sprintf("the key is no whole number, as field %s is", r.topic.Key)}
	}
	c.Remove(t, []any{n})
	return nil
}

// decode reads a value in the schema that wrote it.
func (r *Replica) decode(ctx context.Context, f codec.Frame) (any, error) {
	k := writerKey{id: f.ID, guid: f.GUID, byGUID: f.ByGUID}
	p, ok := (*r.plans.Load())[k]
	if !ok {
		var err error
		if p, err = r.learn(ctx, f, k); err != nil {
			return nil, err
		}
	}
	if p.err != nil {
		return nil, p.err
	}
	v := &value{plan: p, row: make([]any, p.width)}
	if err := p.reader.Read(f.Payload, v.row, p.at); err != nil {
		return nil, err
	}
	for _, d := range p.missing {
		v.row[d.at] = d.value
	}
	for _, i := range p.convert {
		v.row[i] = converted(v.row[i])
	}
	return v, nil
}

// learn finds out how values of a schema become rows. The table may get columns
// by it.
func (r *Replica) learn(ctx context.Context, f codec.Frame, k writerKey) (*plan, error) {
	writer, err := r.writers.Writer(ctx, f)
	if err != nil {
		return nil, err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	plans := *r.plans.Load()
	if p, ok := plans[k]; ok {
		return p, nil
	}
	now := r.shape.Load()
	p, next, err := now.plan(r.topic, writer)
	if err != nil {
		p = &plan{err: fmt.Errorf("%w: %s: %w", codec.ErrIncompatible, f.Schema(), err)}
	}
	kept := map[writerKey]*plan{k: p}
	// Plans of a narrower shape would do, but each is one more table to prepare.
	if err != nil || next == now {
		for id, old := range plans {
			if len(kept) < maxPlans {
				kept[id] = old
			}
		}
	}
	if err == nil {
		r.shape.Store(next)
	}
	r.plans.Store(&kept)
	return p, nil
}

// converted turns text into bytes and bytes into text, which Avro lets a field
// change between. The column keeps its first type.
func converted(v any) any {
	switch v := v.(type) {
	case string:
		return []byte(v)
	case []byte:
		return string(v)
	}
	return v
}
