package operator

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/twmb/avro"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/kafka"
)

// values turns records' values into plain JSON, in the layout in which each was
// written.
type values struct {
	registry *codec.Registry
	decoder  *codec.Decoder
}

func newValues(r *codec.Registry) *values {
	return &values{registry: r, decoder: codec.NewDecoder(r, nil)}
}

// decode returns a value as Go values and as JSON, with the schema that wrote it.
func (v *values) decode(ctx context.Context, value, header []byte) (any, json.RawMessage, codec.Frame, error) {
	frame, err := codec.ParseFrame(value, header)
	if err != nil {
		return nil, nil, frame, err
	}
	var writer *avro.Schema
	if writer, err = v.registry.Writer(ctx, frame); err != nil {
		return nil, nil, frame, err
	}
	var decoded any
	if err := v.decoder.Decode(ctx, frame, &decoded); err != nil {
		return nil, nil, frame, err
	}
	text, err := codec.AppendJSON(nil, writer, decoded)
	return decoded, text, frame, err
}

// shown is a record as it is shown to people and machines.
type shown struct {
	Topic     string          `json:"topic"`
	Partition int32           `json:"partition"`
	Offset    int64           `json:"offset"`
	Timestamp time.Time       `json:"timestamp"`
	Key       *string         `json:"key"`
	ID        string          `json:"id,omitempty"`
	Type      string          `json:"type,omitempty"`
	Source    string          `json:"source,omitempty"`
	Time      *time.Time      `json:"time,omitempty"`
	Version   *int64          `json:"version,omitempty"`
	Tombstone bool            `json:"tombstone,omitempty"`
	SchemaID  int             `json:"schema_id,omitempty"`
	Value     json.RawMessage `json:"value,omitempty"`
	Error     *showError      `json:"error,omitempty"`
}

// showError says why a record, or a part of it, cannot be shown.
type showError struct {
	Class  string `json:"class"`
	Reason string `json:"reason"`
}

// show reads a record as far as it can be read. What cannot becomes its Error:
// a reader of the log must see the records that others stumble over.
func (v *values) show(ctx context.Context, known *contracts, r *kafka.Record) *shown {
	s := &shown{Topic: r.Topic, Partition: r.Partition, Offset: r.Offset, Timestamp: r.Timestamp.UTC(), Tombstone: r.Value == nil}
	if r.Key != nil {
		key := string(r.Key)
		if !utf8.Valid(r.Key) {
			key = printable(key)
		}
		s.Key = &key
	}
	envelope, err := event.ParseHeaders(r.Headers)
	if err != nil {
		s.Error = &showError{Class: "bad_header", Reason: err.Error()}
	}
	s.ID, s.Type, s.Source = envelope.ID, envelope.Type, envelope.Source
	if !envelope.Time.IsZero() {
		s.Time = &envelope.Time
	}
	if envelope.HasSequence {
		s.Version = &envelope.Sequence
	}
	if s.Tombstone {
		return s
	}
	decoded, text, frame, err := v.decode(ctx, r.Value, r.Header(codec.SchemaIDHeader))
	s.SchemaID = frame.ID
	if err != nil {
		s.Error = decodingError(err)
		return s
	}
	s.Value = text
	if s.Version == nil {
		// Whoever wrote it without headers: the value tells its version.
		if c := known.of(ctx, r.Topic); c != nil && c.Version != "" {
			if n, err := codec.FieldsOf(c).Version(decoded); err == nil {
				s.Version = &n
			}
		}
	}
	return s
}

// decodingError names the class of an error and says the rest of it.
func decodingError(err error) *showError {
	for _, c := range []struct {
		is   error
		name string
	}{
		{codec.ErrUndecodable, "undecodable"},
		{codec.ErrUnknownSchema, "unknown_schema"},
		{codec.ErrIncompatible, "incompatible"},
		{codec.ErrUnavailable, "registry_unavailable"},
	} {
		if errors.Is(err, c.is) {
			return &showError{c.name, strings.TrimPrefix(err.Error(), c.is.Error()+": ")}
		}
	}
	return &showError{"undecodable", err.Error()}
}

// The columns of records in a stream, whose widths cannot be known beforehand.
const recordLine = "%-9s  %-8s  %-24s  %-14s  %-20s  %-7s  %-36s  %s\n"

func recordHeadings() string {
	return fmt.Sprintf(recordLine, "PARTITION", "OFFSET", "SENT", "KEY", "TYPE", "VERSION", "ID", "VALUE")
}

// line is the record on a line for people.
func (s *shown) line() string {
	dash := func(text string) string {
		if text == "" {
			return "-"
		}
		return printable(text)
	}
	key, version, value := "-", "-", printable(string(s.Value))
	if s.Key != nil {
		key = dash(*s.Key)
	}
	if s.Version != nil {
		version = itoa(*s.Version)
	}
	if s.Tombstone {
		value = "(deleted)"
	}
	if s.Error != nil {
		if value != "" {
			value += "  "
		}
		value += fmt.Sprintf("! %s: %s", s.Error.Class, printable(s.Error.Reason))
	}
	return fmt.Sprintf(recordLine, itoa(s.Partition), itoa(s.Offset), s.Timestamp.Format("2006-01-02T15:04:05.000Z"),
		key, dash(s.Type), version, dash(s.ID), value)
}
