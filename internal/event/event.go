// Package event is the envelope of a business event: who said what, when, about
// which key, caused by what. On Kafka it travels as CloudEvents 1.0 headers in
// binary mode (github.com/cloudevents/spec, bindings/kafka-protocol-binding.md),
// the value being Avro:
//
//	ce_specversion  1.0
//	ce_id           opaque, unique per source
//	ce_source       /service/name
//	ce_type         shop.order.placed
//	ce_time         RFC 3339, the event's own logical time
//	ce_subject      the key
//	ce_dataschema   registry address of the schema, when known
//	ce_sequence     the entity version, zero-padded to 20 digits
//	ce_correlationid, ce_causationid, ce_origin, ce_hops, traceparent
//	content-type    application/vnd.confluent.avro
package event

import "time"

// ContentType is what the content-type header says of a framed Avro value.
const ContentType = "application/vnd.confluent.avro"

// Envelope is an event without its data.
type Envelope struct {
	ID            string    // unique per Source; UUIDv7 where we make it
	Source        string    // URI reference, e.g. "/service/checkout"
	Type          string    // e.g. "shop.order.placed"
	Time          time.Time // the event's own time; not when it was sent
	Subject       string    // the key
	DataSchema    string    // registry address of the schema, or empty
	Sequence      int64     // entity version; meaningful when HasSequence
	HasSequence   bool
	CorrelationID string // the conversation this event belongs to
	CausationID   string // the event that caused this one
	Origin        string // who first said it; Source when empty
	Hops          int    // how many services passed it on
	Traceparent   string // W3C trace context
}
