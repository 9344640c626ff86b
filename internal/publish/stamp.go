package publish

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"firehose/internal/codec"
	"firehose/internal/event"
)

// prepare stamps e and makes pd's record of it. An event that cannot be
// published is answered with the returned error.
func (p *Publisher) prepare(ctx context.Context, pd *pending, e *Event) *Error {
	now := time.Now()
	if e.ID == "" {
		e.ID = event.NewIDAt(now)
	}
	pd.id = e.ID
	t := p.byType[e.Type]
	if t == nil {
		return reject(ReasonUnknownType, fmt.Errorf("%s: no topic carries this type", event.HeaderType))
	}
	r := t.ready.Load()
	if r == nil {
		var err error
		if r, err = p.lookup(ctx, t); err != nil {
			return unready(fmt.Errorf("topic %s: %w", t.Topic, err))
		}
		now = time.Now() // that took a while, and deadlines are kept in order
	}
	pd.taken = now.Sub(p.start)
	if rejected := stamp(t, e, now); rejected != nil {
		return rejected
	}
	if e.Source == "" {
		e.Source = p.cfg.Source
	}
	e.DataSchema = r.dataSchema
	if rejected := validate(t, e); rejected != nil {
		return rejected
	}
	pd.topic, pd.ready = t, r
	pd.rec.Topic = t.Topic
	pd.rec.Timestamp = now // when it was sent; the event's own time is ce_time
	pd.rec.Value = nil
	if !e.Tombstone {
		var err error
		if pd.value, err = r.encoder.AppendEncode(pd.value[:0], e.Data); err != nil {
			return reject(ReasonData, err)
		}
		if !t.domain.holds(pd.value[r.prefix:]) {
			return reject(ReasonData, outside(t, e.Data))
		}
		pd.rec.Value = pd.value
	}
	pd.text = append(pd.text[:0], e.Subject...)
	key := len(pd.text)
	pd.rec.Headers, pd.text = event.AppendHeadersTo(pd.rec.Headers[:0], pd.text, &e.Envelope)
	pd.rec.Key = pd.text[:key:key]
	pd.size = int64(len(pd.rec.Key) + len(pd.rec.Value))
	for i := range pd.rec.Headers {
		pd.size += int64(len(pd.rec.Headers[i].Key) + len(pd.rec.Headers[i].Value))
	}
	if pd.size > int64(p.cfg.MaxEventBytes) {
		return reject(ReasonTooLarge, fmt.Errorf("%d bytes with key and headers, want at most %d", pd.size, p.cfg.MaxEventBytes))
	}
	return nil
}

// validate checks a stamped envelope. What was taken from the data and is wrong
// is the data's fault: the caller may never have heard of the attribute.
func validate(t *topic, e *Event) *Error {
	err := e.Validate()
	if err == nil {
		return nil
	}
	attribute, problem, _ := strings.Cut(err.Error(), ": ")
	field := ""
	switch {
	case e.Tombstone: // there is no data
	case attribute == event.HeaderSubject:
		field = t.Key
	case attribute == event.HeaderTime:
		field = t.Time // empty where the time is the caller's
	}
	if field == "" {
		return reject(ReasonEnvelope, err)
	}
	return reject(ReasonData, &codec.FieldError{Field: field, Problem: problem})
}

// outside says which field holds what no store would keep.
func outside(t *topic, data any) error {
	if err := codec.CheckValue(t.schema.Avro, data); err != nil {
		return err
	}
	return &codec.FieldError{Problem: "holds U+0000, invalid UTF-8 or NaN"}
}

// stamp fills the envelope from the data, as the topic's contract says, and
// refuses an envelope that contradicts it.
func stamp(t *topic, e *Event, now time.Time) *Error {
	if e.Tombstone {
		return stampTombstone(t, e, now)
	}
	if e.Data == nil {
		return reject(ReasonData, errors.New("event has no data"))
	}
	key, err := t.fields.Key(e.Data)
	switch {
	case err != nil:
		return reject(ReasonData, err)
	case key == "":
		return reject(ReasonData, &codec.FieldError{Field: t.Key, Problem: "is the key and must not be empty"})
	case e.Subject != "" && e.Subject != key:
		return reject(ReasonEnvelope, fmt.Errorf("%s: differs from field %s", event.HeaderSubject, t.Key))
	}
	e.Subject = key
	if t.Version != "" {
		version, err := t.fields.Version(e.Data)
		switch {
		case err != nil:
			return reject(ReasonData, err)
		case version < 0:
			return reject(ReasonData, &codec.FieldError{Field: t.Version, Problem: "is the version and must not be negative"})
		case e.HasSequence && e.Sequence != version:
			return reject(ReasonEnvelope, fmt.Errorf("%s: differs from field %s", event.HeaderSequence, t.Version))
		}
		e.Sequence, e.HasSequence = version, true
	}
	if t.Time != "" {
		at, ok, err := t.fields.Time(e.Data)
		if err != nil {
			return reject(ReasonData, err)
		}
		if ok {
			e.Time = at
		}
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	return nil
}

// stampTombstone: there is no data to take anything from.
func stampTombstone(t *topic, e *Event, now time.Time) *Error {
	switch {
	case e.Data != nil:
		return reject(ReasonData, errors.New("a tombstone has no data"))
	case t.Version == "":
		return reject(ReasonEnvelope, fmt.Errorf("%s: facts cannot be deleted", event.HeaderType))
	case e.Subject == "":
		return reject(ReasonEnvelope, fmt.Errorf("%s: a tombstone needs the key", event.HeaderSubject))
	case !e.HasSequence:
		return reject(ReasonEnvelope, fmt.Errorf("%s: a tombstone needs a version", event.HeaderSequence))
	}
	if e.Time.IsZero() {
		e.Time = now
	}
	return nil
}
