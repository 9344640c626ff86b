// Package producer is where events come in: over HTTP, from files, from a
// recorded data set, from a simulator. Each becomes a record of its topic, and
// each is answered: acknowledged with a receipt, refused with a reason, or
// unknown.
//
//	HTTP    POST /v1/events/{type}   one event: plain JSON, or CloudEvents in
//	                                 structured or binary mode
//	        POST /v1/events:batch    NDJSON, one event a line
//	files   producer send FILE…|-    the same NDJSON
//
// A line of NDJSON is
//
//	{"type":"shop.order.placed","data":{…},"id":"…","source":"…","time":"…"}
//
// of which type and data are needed; correlationid, causationid, traceparent
// and subject may be given, too. Whoever sends an event chooses neither topic
// nor partition: the type decides the topic, the key inside data the partition.
//
// Sending an event again under the same ID is always safe. That is what a
// caller does after an unknown outcome, so every answer names the ID, also the
// one that was made here because the caller gave none.
//
// The HTTP door counts:
//
//	firehose_http_requests_total{route,code}     answered requests
//	firehose_http_request_seconds{route}         from the first header to the answer
//	firehose_http_events_total{result}           events by what became of them
//	firehose_http_in_flight_bytes                bodies, and their events, in memory now
//	firehose_http_shed_total{reason}             refused before their body was read
//	firehose_http_connections_refused_total      closed at once: their address had too many
package producer
