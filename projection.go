package firehose

import (
	"context"
	"fmt"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/store"
	"firehose/schemas"
)

// Projection folds the events of one topic into a service's tables. Make one
// with OnFact, OnEntity, OnChange or Replica.
type Projection struct {
	topic string
	build func(ctx context.Context, env *environment) (*consume.Handler, []*store.Table, error)
	want  schemas.Kind // empty: either
}

// environment is what projections are built from.
type environment struct {
	set      *schemas.Set
	writers  codec.Writers   // finds the schema of a value
	registry *codec.Registry // knows further topics; nil where there is no registry
}

// newEnvironment is what a service's projections run in.
func newEnvironment(set *schemas.Set, r *codec.Registry) *environment {
	return &environment{set: set, writers: r, registry: r}
}

// contract returns the topic's contract: the service's own, or else what the
// registry knows of the topic.
func (env *environment) contract(ctx context.Context, topic string) (*schemas.Topic, error) {
	if env.set != nil {
		if t, ok := env.set.Topic(topic); ok {
			return t, nil
		}
	}
	if env.registry == nil {
		return nil, fmt.Errorf("topic %s: not among the service's schemas", topic)
	}
	t, err := registered(ctx, env.registry, topic)
	if err != nil {
		return nil, fmt.Errorf("topic %s: not among the service's schemas: %w", topic, err)
	}
	return t, nil
}

// registered returns a topic as the registry has it. Versions that are no
// contract of the topic, from before it had one, are left out.
func registered(ctx context.Context, r *codec.Registry, topic string) (*schemas.Topic, error) {
	latest, _, err := r.Latest(ctx, topic+"-value")
	if err != nil {
		return nil, err
	}
	if latest.Topic != topic {
		return nil, fmt.Errorf("the registry's schema is of topic %s", latest.Topic)
	}
	all, err := r.Versions(ctx, topic+"-value")
	if err != nil {
		return nil, err
	}
	t := &schemas.Topic{Contract: latest.Contract}
	for _, v := range all {
		s, err := schemas.Parse(v.Text, v.Version)
		if err == nil && s.Topic == topic && v.Version < latest.N && schemas.Compatible(s.Avro, latest.Avro) == nil {
			t.Versions = append(t.Versions, s)
		}
	}
	t.Versions = append(t.Versions, latest)
	return t, nil
}

// OnFact folds the facts of a topic. fold must be a pure function of the event;
// it is called at least once for each and takes effect exactly once. An error
// sets the event aside; what is told of it is a Refuse's reason or else only its
// type.
func OnFact[T any](topic string, fold func(e Event[T], c *Changes) error) Projection {
	return typed[T](topic, schemas.Fact, false, func(e, _ *consume.Event, c *consume.Changes) error {
		return fold(eventOf[T](e), &Changes{c})
	})
}

// Refuse returns the error with which a projection says why it does not take an
// event. The reason is written to logs, to the dead letter's headers and into the
// store, so it names the field and what is wanted of it, and never holds payload.
func Refuse(reason string) error { return &consume.Refusal{Reason: reason} }

// OnEntity folds the states of a topic's entities. Several states may be merged
// into the last one, so fold may only Put and Remove.
func OnEntity[T any](topic string, fold func(e Event[T], c *Changes) error) Projection {
	return typed[T](topic, schemas.Entity, false, func(e, _ *consume.Event, c *consume.Changes) error {
		return fold(eventOf[T](e), &Changes{c})
	})
}

// OnChange folds the changes of a topic's entities: before is nil when there was
// no such entity (or it was deleted), after.Deleted says that it is gone. What
// an earlier state added to a counter, fold takes back. The service keeps an
// image of each entity for it: of before, only ID, Time, Origin, Key, Version,
// Data and Topic are known.
func OnChange[T any](topic string, fold func(before *Event[T], after Event[T], c *Changes) error) Projection {
	return typed[T](topic, schemas.Entity, true, func(e, before *consume.Event, c *consume.Changes) error {
		var b *Event[T]
		if before != nil {
			ev := eventOf[T](before)
			b = &ev
		}
		return fold(b, eventOf[T](e), &Changes{c})
	})
}

func typed[T any](topic string, kind schemas.Kind, before bool, project func(e, before *consume.Event, c *consume.Changes) error) Projection {
	return Projection{topic: topic, want: kind, build: func(ctx context.Context, env *environment) (*consume.Handler, []*store.Table, error) {
		t, err := env.contract(ctx, topic)
		if err != nil {
			return nil, nil, err
		}
		if t.Kind != kind {
			return nil, nil, fmt.Errorf("topic %s: carries %s events, the projection wants %s", topic, t.Kind, kind)
		}
		decoder := codec.NewDecoder(env.writers, t.Latest().Avro)
		return &consume.Handler{
			Topic: t,
			Decode: func(ctx context.Context, f codec.Frame) (any, error) {
				v := new(T)
				if err := decoder.Decode(ctx, f, v); err != nil {
					return nil, err
				}
				return v, nil
			},
			Field:      fieldsOf(t.Latest()),
			Project:    project,
			NeedBefore: before,
		}, nil, nil
	}}
}

// fieldsOf reads a value's contract fields.
func fieldsOf(s *schemas.Schema) consume.Fields {
	f := codec.FieldsOf(s)
	return consume.Fields{Key: f.Key, Version: f.Version, Time: f.Time}
}
