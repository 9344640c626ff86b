package producer

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"runtime/debug"
	"unicode/utf8"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/publish"
	"firehose/schemas"
)

// intake makes events of what callers send. It does not publish them.
type intake struct {
	set      *schemas.Set
	maxEvent int // bytes of one event's JSON
	log      *slog.Logger
}

// parseObject reads an event written as one JSON object: its attributes as
// members and its data under "data", as CloudEvents' structured mode and a line
// of a batch have it. What could be read is returned beside a problem, so that
// an answer can name the ID.
func parseObject(text []byte) (a attributes, data []byte, p *Problem) {
	err := scanObject(text, func(name string, value []byte) error {
		switch name {
		case "data":
			if data != nil {
				return newProblem(badAttribute, name, "given twice")
			}
			data = value
			return nil
		case "data_base64":
			return newProblem(badAttribute, name, "want JSON under data")
		}
		if string(value) == "null" { // an attribute without a value is absent (CloudEvents JSON format, 2.2)
			return nil
		}
		text, err := unquote(value)
		if err != nil {
			return newProblem(badAttribute, name, err.Error())
		}
		if p := a.set(name, text); p != nil {
			return p
		}
		return nil
	})
	if err != nil && !errors.As(err, &p) {
		p = newProblem(malformed, "", err.Error())
	}
	return a, data, p
}

// event checks the data against the schema of its type and completes the
// attributes that follow from it. The problem names the event's ID.
func (in *intake) event(a attributes, data []byte) (*publish.Event, *Problem) {
	if a.ID == "" {
		a.ID = event.NewID()
	}
	e, p := in.guard(a, data)
	if p != nil {
		p.ID = a.ID
		return nil, p
	}
	return e, nil
}

// guard makes a panic cost one event and not the process, which has other
// callers. What the panic says may be payload, so only where it was is logged.
func (in *intake) guard(a attributes, data []byte) (e *publish.Event, p *Problem) {
	defer func() {
		if recover() != nil {
			in.log.Error("reading an event panicked", "stack", string(debug.Stack()))
			e, p = nil, newProblem(internalError, "", "")
		}
	}()
	return in.build(a, data)
}

// line makes an event of one line of NDJSON.
func (in *intake) line(text []byte) (*publish.Event, *Problem) {
	a, data, p := parseObject(text)
	if p != nil {
		p.ID = a.ID
		return nil, p
	}
	return in.event(a, data)
}

func (in *intake) build(a attributes, data []byte) (*publish.Event, *Problem) {
	if a.Type == "" {
		return nil, newProblem(badAttribute, "type", "want an event type")
	}
	topic, ok := in.set.ByType(a.Type)
	if !ok {
		return nil, newProblem(unknownType, "type", a.Type)
	}
	if len(data) > in.maxEvent {
		return nil, newProblem(tooLarge, "data", fmt.Sprintf("an event may have %d bytes", in.maxEvent))
	}
	if len(data) == 0 || string(data) == "null" {
		return nil, newProblem(invalidData, "data", "want the event's data")
	}
	schema := topic.Latest()
	value, err := codec.ParseJSON(schema.Avro, data)
	if err != nil {
		return nil, dataProblem(err, data)
	}
	key, err := codec.FieldsOf(schema).Key(value)
	if err != nil {
		return nil, dataProblem(err, data)
	}
	if a.Subject != "" && a.Subject != key {
		return nil, newProblem(invalidData, "subject", "differs from the data's "+topic.Key+"; leave it out")
	}
	return &publish.Event{Envelope: a.Envelope, Data: value}, nil
}

// dataProblem says what is wrong with an event's data: that it is not JSON at
// all, or that it does not fit its schema. Either names the field where it is.
func dataProblem(err error, data []byte) *Problem {
	var field *codec.FieldError
	if !errors.As(err, &field) {
		return newProblem(invalidData, "", "does not fit the schema")
	}
	if !utf8.Valid(data) || !json.Valid(data) {
		return newProblem(malformed, field.Field, field.Problem)
	}
	return newProblem(invalidData, field.Field, field.Problem)
}
