package consume

import (
	"context"
	"errors"
	"fmt"
	"runtime/debug"
	"strings"
	"unicode/utf8"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/schemas"
)

// decoder is what one who decodes events one after the other uses again.
type decoder struct {
	headers event.Parser
	changes Changes
	source  store.HashedSource
	room    []store.Seen
}

// decode reads a record as an event of the handler's topic. What is wrong with
// the record for ever becomes the event's failure; the error that is returned
// says that the registry is away and the record must be tried again.
func (h *Handler) decode(ctx context.Context, d *decoder, r *kgo.Record, id offsets.TopicID, e *Event) error {
	*e = Event{
		From:        store.Source{Topic: r.Topic, TopicID: id, Partition: r.Partition, Offset: r.Offset},
		LeaderEpoch: r.LeaderEpoch,
		Timestamp:   r.Timestamp,
		Key:         string(r.Key),
		Body:        r.Value,
		size:        wireSize(r),
		record:      r,
	}
	if r.Attrs.IsControl() {
		e.control = true
		return nil
	}
	err := h.read(ctx, &d.headers, r, e)
	if err == nil && !h.NeedBefore {
		e.ops, err = h.project(e, nil, &d.changes)
	}
	if err != nil {
		var f *Failure
		if errors.As(err, &f) {
			e.failure = f
			return nil
		}
		return err
	}
	if adds(e) {
		e.seen = d.seenOf(h, e)
	}
	return nil
}

// read fills the event from the record's headers, key and value.
func (h *Handler) read(ctx context.Context, headers *event.Parser, r *kgo.Record, e *Event) error {
	if err := event.ParseHeadersTo(headers, &e.Envelope, r.Headers); err != nil {
		return &Failure{Class: ClassBadHeader, Err: err}
	}
	if e.Key == "" {
		return fail(ClassBadKey, "the record has no key")
	}
	if !utf8.ValidString(e.Key) {
		return fail(ClassBadKey, "the key is not valid UTF-8")
	}
	if strings.ContainsRune(e.Key, 0) { // which not every store can hold as text
		return fail(ClassBadKey, "the key holds U+0000")
	}
	if r.Value == nil {
		if err := h.readTombstone(e); err != nil {
			return err
		}
	} else if err := h.readValue(ctx, r, e); err != nil {
		return err
	}
	return h.identify(e)
}

func (h *Handler) readTombstone(e *Event) error {
	if h.Topic.Kind == schemas.Fact {
		return fail(ClassTombstone, "a fact cannot be deleted")
	}
	if !e.HasSequence {
		return fail(ClassBadVersion, "a delete without ce_sequence has no version")
	}
	e.Deleted, e.Version = true, e.Sequence
	if e.Time.IsZero() {
		e.Time = e.Timestamp
	}
	return nil
}

func (h *Handler) readValue(ctx context.Context, r *kgo.Record, e *Event) error {
	schema := header(r, codec.SchemaIDHeader)
	e.schema = schema
	f, err := codec.ParseFrame(r.Value, schema)
	if err == nil {
		e.Value, err = h.Decode(ctx, f)
	}
	if err != nil {
		if f := decodeFailure(err); f != nil {
			return f
		}
		return err
	}
	key, err := h.Field.Key(e.Value)
	if err != nil {
		return &Failure{Class: ClassBadKey, Err: err}
	}
	if key != e.Key {
		return fail(ClassBadKey, "field %s is not the record's key", h.Topic.Key)
	}
	if h.Topic.Kind == schemas.Entity {
		if e.Version, err = h.Field.Version(e.Value); err != nil {
			return &Failure{Class: ClassBadVersion, Err: err}
		}
		if e.HasSequence && e.Sequence != e.Version {
			return fail(ClassBadVersion, "ce_sequence is %d, field %s is %d", e.Sequence, h.Topic.Version, e.Version)
		}
	}
	if e.Time.IsZero() {
		t, ok, err := h.Field.Time(e.Value)
		switch {
		case err != nil:
			return &Failure{Class: ClassUndecodable, Err: err}
		case ok:
			e.Time = t
		default:
			e.Time = e.Timestamp
		}
	}
	return nil
}

// identify completes the identity of a record that another client wrote
// without CloudEvents headers.
func (h *Handler) identify(e *Event) error {
	if e.ID == "" {
		if h.Topic.Kind == schemas.Fact {
			return fail(ClassMissingID, "a fact without ce_id cannot be told from its repetition")
		}
		e.ID = fmt.Sprintf("%s-%d-%d", e.From.TopicID, e.From.Partition, e.From.Offset)
	}
	if e.Source == "" {
		e.Source = e.From.Topic
	}
	if e.Origin == "" {
		e.Origin = e.Source
	}
	if e.Type == "" && len(h.Topic.Types) == 1 {
		e.Type = h.Topic.Types[0]
	}
	env := e.Envelope
	if env.Type == "" {
		// Which of several it is, nobody said; the data is all the same.
		env.Type = h.Topic.Types[0]
	}
	if err := env.Validate(); err != nil {
		return &Failure{Class: ClassBadHeader, Err: err}
	}
	return nil
}

// project runs the projection, with c to ask for changes, and classes what it says: a *Failure of this
// event, or an ErrMisuse of the service.
func (h *Handler) project(e, before *Event, c *Changes) (ops []op, err error) {
	*c = Changes{
		event:       e,
		ops:         e.room[:0],
		allowAdd:    h.Topic.Kind == schemas.Fact || h.NeedBefore,
		allowAppend: h.Topic.Kind == schemas.Fact,
		withBody:    h.Topic.Kind == schemas.Entity && !h.NeedBefore,
	}
	defer func() {
		if p := recover(); p != nil {
			err = &Failure{Class: ClassProjectionError, Err: fmt.Errorf("panic at %s", panicSite(debug.Stack()))}
		}
	}()
	switch err := h.Project(e, before, c); {
	case errors.Is(err, ErrMisuse):
		return nil, err
	case err != nil:
		return nil, &Failure{Class: ClassProjectionError, Err: publishable(err)}
	case c.misuse != nil:
		return nil, c.misuse
	case c.err != nil:
		return nil, &Failure{Class: ClassValueRefused, Err: c.err}
	}
	return c.ops, nil
}

// wireSize is what a record takes on the wire, in bytes: its headers may be more
// than its value.
func wireSize(r *kgo.Record) int {
	size := len(r.Key) + len(r.Value)
	for i := range r.Headers {
		size += len(r.Headers[i].Key) + len(r.Headers[i].Value)
	}
	return size
}

func header(r *kgo.Record, key string) []byte {
	for _, h := range r.Headers {
		if h.Key == key {
			return h.Value
		}
	}
	return nil
}
