package consume

import (
	"context"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
	"firehose/internal/conflict"
	"firehose/internal/event"
	"firehose/internal/store"
	"firehose/schemas"
)

// Event is a decoded record on its way into the store.
type Event struct {
	event.Envelope
	From        store.Source
	LeaderEpoch int32
	Timestamp   time.Time // when it was sent: the record's timestamp
	Key         string
	Version     int64 // of an entity; 0 for a fact
	Deleted     bool  // a tombstone: Value is nil
	Value       any   // what Handler.Decode made
	Body        []byte

	control bool        // a transaction marker: it only takes an offset
	schema  []byte      // the header of the record that names its schema; nil where the value does
	failure error       // a *Failure once the record is known to be unusable
	settled bool        // the image of its entity has decided for it: see store.Row
	seen    *store.Seen // of a fact that must not count twice
	ops     []op        // what the projection asked for, when no before is needed
	room    [1]op       // for the one op that most ask for, so that it need not be allocated
	size    int         // bytes on the wire
	record  *kgo.Record // nil once it is not needed any more, see chunk.slim
}

// Stamp returns the event's place in the order of its entity's events.
func (e *Event) Stamp() conflict.Stamp {
	return conflict.Stamp{Version: e.Version, Time: e.Time.UnixMicro(), Origin: e.Origin, EventID: e.ID}
}

// Handler folds one topic's events into the store.
type Handler struct {
	// Topic is the contract: kind, key, version and time fields.
	Topic *schemas.Topic
	// Decode decodes a framed value; its result becomes Event.Value. It is
	// called concurrently.
	Decode func(ctx context.Context, f codec.Frame) (any, error)
	// Field reads the value's contract fields: key, version, time.
	Field Fields
	// Project says what the event changes. It is a pure function and may be
	// called again for the same event. before is the entity's state before
	// this event, nil when there was none or NeedBefore is false. Of an error only
	// a *Refusal's reason is told, or its type.
	Project func(e, before *Event, c *Changes) error
	// NeedBefore keeps an image of each entity, so that Project sees what it
	// replaces. Only an entity topic can have it.
	NeedBefore bool
}

// Fields reads contract fields of a decoded value.
type Fields struct {
	Key     func(v any) (string, error)
	Version func(v any) (int64, error)           // entities only
	Time    func(v any) (time.Time, bool, error) // ok is false when the contract has no time field
}

// Changes collects what one event changes.
type Changes struct {
	event       *Event
	ops         []op
	allowAdd    bool
	allowAppend bool
	withBody    bool
	lines       int
	err         error
	misuse      error
}

type opKind uint8

const (
	opPut opKind = iota
	opRemove
	opAdd
	opAppend
)

// op is one change of one row. row is the row's key, encoded so that equal keys
// are equal strings and their order is the keys' order.
type op struct {
	table  *store.Table
	kind   opKind
	row    string
	key    []any
	values []any
	deltas []int64
	line   int
	body   bool // the row is the entity itself: a conflict keeps the event's bytes
}

// position returns the position after the event.
func (e *Event) next() int64 { return e.From.Offset + 1 }

// image returns the value with its schema in front, whichever way the record
// carried it.
func (e *Event) image() []byte {
	if e.schema == nil || e.Deleted {
		return e.Body
	}
	return append(append(make([]byte, 0, len(e.schema)+len(e.Body)), e.schema...), e.Body...)
}

// microTime is the inverse of time.Time.UnixMicro, in UTC.
func microTime(us int64) time.Time { return time.UnixMicro(us).UTC() }

// panicSite returns the function that panicked: the frame below runtime.gopanic.
// The panic's value is left out, for it may hold payload.
func panicSite(stack []byte) string {
	lines := strings.Split(string(stack), "\n")
	for i, line := range lines {
		if strings.HasPrefix(line, "panic(") && i+3 < len(lines) {
			name, _, _ := strings.Cut(lines[i+2], "(")
			return name
		}
	}
	return "unknown"
}
