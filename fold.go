package firehose

import (
	"context"
	"errors"
	"fmt"

	"github.com/twmb/avro"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/publish"
	"firehose/internal/store"
	"firehose/schemas"
)

// Folding is a service's tables in memory, while events are folded into them.
// It is the projections alone, without Kafka and without a database.
type Folding struct {
	set      *schemas.Set
	fold     *consume.Fold
	encoders map[string]*codec.Encoder // by event type
	sent     int
}

// Fold begins with empty tables. Every topic that the service reads must be
// among its Schemas.
func (s *Service) Fold() (*Folding, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	if s.Schemas == nil {
		return nil, fmt.Errorf("service %s: has no schemas", s.Name)
	}
	f := &Folding{set: s.Schemas, encoders: map[string]*codec.Encoder{}}
	known := writers{}
	for _, t := range s.Schemas.Topics() {
		known = append(known, t.Latest().Avro)
		for _, name := range t.Types {
			f.encoders[name] = codec.NewEncoder(t.Latest(), len(known))
		}
	}
	handlers, tables, err := s.handlers(context.Background(), &environment{set: s.Schemas, writers: known})
	if err != nil {
		return nil, fmt.Errorf("service %s: %w", s.Name, err)
	}
	for _, t := range tables {
		if err := store.CheckTable(t); err != nil {
			return nil, fmt.Errorf("service %s: %w", s.Name, err)
		}
	}
	f.fold = consume.NewFold(handlers, tables)
	return f, nil
}

// writers answers for a registry: the schema of ID n is at n-1.
type writers []*avro.Schema

func (w writers) Writer(_ context.Context, f codec.Frame) (*avro.Schema, error) {
	if f.ID < 1 || f.ID > len(w) {
		return nil, fmt.Errorf("%w: ID %d", codec.ErrUnknownSchema, f.ID)
	}
	return w[f.ID-1], nil
}

// Apply folds one event, stamped as a Publisher stamps it; without an ID it gets
// one from its place in the sequence. An error says why a Publisher would not
// take the event, or why the service would set it aside; then nothing has
// changed.
func (f *Folding) Apply(e Outgoing) error {
	f.sent++
	t, ok := f.set.ByType(e.Type)
	if !ok {
		return fmt.Errorf("event type %q: no topic carries it", e.Type)
	}
	ev := e.event()
	if ev.ID == "" {
		ev.ID = fmt.Sprintf("event-%06d", f.sent)
	}
	if ev.Source == "" {
		ev.Source = "/fold"
	}
	value, err := publish.Stamp(t, ev, f.encoders[e.Type])
	if err != nil {
		return publishError(err)
	}
	err = f.fold.Apply(context.Background(), t.Topic, &ev.Envelope, value)
	var set *consume.Failure
	if errors.As(err, &set) {
		return &SetAsideError{Class: set.Class, Err: set.Err}
	}
	return err
}

// SetAsideError says why a service sets an event aside.
type SetAsideError struct {
	Class string // short, stable: "value_refused", "projection_error", ...
	Err   error
}

// Error names class and cause.
func (e *SetAsideError) Error() string { return "set aside (" + e.Class + "): " + e.Err.Error() }

// Unwrap returns the cause.
func (e *SetAsideError) Unwrap() error { return e.Err }

// Rows returns the rows of a table, key values first, in the order of their keys;
// of a Log the values only, in the order of appending. Integers are int64. A
// replica's table has its topic's name, with _ for . and -.
func (f *Folding) Rows(table string) [][]any { return f.fold.Rows(table) }
