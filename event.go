package firehose

import (
	"time"

	"firehose/internal/consume"
)

// Event is a business event as a projection sees it. T is the Go type of its
// data: a struct with avro tags, or map[string]any for events whose type is not
// known when the service is compiled.
type Event[T any] struct {
	ID            string    // unique per Source
	Source        string    // who sent it, e.g. "/service/checkout"
	Type          string    // e.g. "shop.order.placed"
	Time          time.Time // the event's own time
	Origin        string    // who first said it
	CorrelationID string
	CausationID   string
	Key           string // of the entity, or of what the fact is about
	Version       int64  // of an entity's state; 0 for a fact
	Deleted       bool   // the entity is gone: Data is the zero value
	Data          T

	Topic     string
	Partition int32
	Offset    int64
	Sent      time.Time // when it was sent: the record's timestamp
}

func eventOf[T any](e *consume.Event) Event[T] {
	out := Event[T]{
		ID: e.ID, Source: e.Source, Type: e.Type, Time: e.Time, Origin: e.Origin,
		CorrelationID: e.CorrelationID, CausationID: e.CausationID,
		Key: e.Key, Version: e.Version, Deleted: e.Deleted,
		Topic: e.From.Topic, Partition: e.From.Partition, Offset: e.From.Offset, Sent: e.Timestamp,
	}
	if v, ok := e.Value.(*T); ok {
		out.Data = *v
	}
	return out
}
