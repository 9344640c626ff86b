package publish

import (
	"context"
	"errors"
	"fmt"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kerr"

	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/schemas"
)

// topic is what the publisher knows of a topic that it writes to.
type topic struct {
	schemas.Contract
	schema       *schemas.Schema // the version that is written
	fields       *codec.Fields
	domain       *domain
	accepted     prometheus.Counter
	acknowledged prometheus.Counter

	ready atomic.Pointer[ready]

	// looking is held by whoever looks the topic up; it guards the rest.
	looking  chan struct{}
	lastID   string
	failed   error // of the last look-up
	failedAt time.Time
}

// ready is what only the registry and the cluster can tell.
type ready struct {
	encoder    *codec.Encoder
	prefix     int // bytes before the Avro: the frame
	topicID    string
	dataSchema string // address of the schema
}

// lookupPause is how long a failed look-up stands, so that a registry that is
// away is not asked by every event.
const lookupPause = time.Second

func newTopic(t *schemas.Topic, m *metrics) *topic {
	return &topic{
		Contract:     t.Contract,
		schema:       t.Latest(),
		fields:       codec.FieldsOf(t.Latest()),
		domain:       newDomain(t.Latest().Avro),
		accepted:     m.accepted.WithLabelValues(t.Topic),
		acknowledged: m.acknowledged.WithLabelValues(t.Topic),
		looking:      make(chan struct{}, 1),
	}
}

// lookup returns what is needed to write to t, asked for at most once. With what
// it returned the topic can be written while the registry is away.
func (p *Publisher) lookup(ctx context.Context, t *topic) (*ready, error) {
	select {
	case t.looking <- struct{}{}:
		defer func() { <-t.looking }()
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	if r := t.ready.Load(); r != nil {
		return r, nil
	}
	if t.failed != nil && time.Since(t.failedAt) < lookupPause {
		return nil, t.failed
	}
	limited, cancel := context.WithTimeout(ctx, p.cfg.Timeout)
	defer cancel()
	r, err := p.ask(limited, t)
	if err != nil {
		if ctx.Err() != nil {
			return nil, context.Cause(ctx) // this caller's impatience is not the others'
		}
		t.failed, t.failedAt = err, time.Now()
		return nil, err
	}
	t.failed = nil
	t.ready.Store(r)
	return r, nil
}

func (p *Publisher) ask(ctx context.Context, t *topic) (*ready, error) {
	id, err := p.registry.Lookup(ctx, t.schema)
	if err != nil {
		return nil, fmt.Errorf("schema: %w", err)
	}
	ids, err := kafka.TopicIDs(ctx, p.client, t.Topic)
	if err != nil {
		return nil, err
	}
	topicID := ids[t.Topic].String()
	if t.lastID != "" && t.lastID != topicID {
		// The client writes by topic ID and keeps the first one that it saw.
		p.client.PurgeTopicsFromProducing(t.Topic)
	}
	t.lastID = topicID
	return &ready{
		encoder:    codec.NewEncoder(t.schema, id),
		prefix:     len(codec.AppendFrame(nil, id)),
		topicID:    topicID,
		dataSchema: p.registry.Address(id),
	}, nil
}

// isUnknownTopic also covers a topic that was deleted and created again.
func isUnknownTopic(err error) bool {
	return errors.Is(err, kerr.UnknownTopicOrPartition) || errors.Is(err, kerr.UnknownTopicID) ||
		errors.Is(err, kafka.ErrUnknownTopic)
}
