package producer

import (
	"fmt"
	"mime"
	"regexp"
	"strings"
	"time"
	"unicode/utf8"

	"firehose/internal/event"
)

// maxAttribute bounds an attribute of an event, in bytes.
const maxAttribute = 1024

// attributes are what a caller says about an event beside its data. The same
// rules hold for JSON members, CloudEvents headers and plain headers, so they
// are kept in one place: set.
type attributes struct {
	event.Envelope
	specVersion string
	seen        uint32 // bit per attribute, so that none is given twice
}

// Attributes that a caller may set; the index is the bit in seen.
var settable = []string{
	"specversion", "id", "source", "type", "time", "subject", "datacontenttype",
	"correlationid", "causationid", "traceparent",
}

// Attributes that CloudEvents or this system knows and that callers may not
// set: they follow from the data, or say where the event goes.
var reserved = []string{
	"dataschema", "sequence", "origin", "hops", "topic", "partition", "partitionkey", "key", "offset", "tracestate",
}

var traceparent = regexp.MustCompile(`^[0-9a-f]{2}-[0-9a-f]{32}-[0-9a-f]{16}-[0-9a-f]{2}$`)

// set takes one attribute. The problem it returns names the attribute.
func (a *attributes) set(name, value string) *Problem {
	bit := -1
	for i, known := range settable {
		if name == known {
			bit = i
			break
		}
	}
	if bit < 0 {
		for _, r := range reserved {
			if name == r {
				return newProblem(reservedAttribute, name, "")
			}
		}
		return newProblem(badAttribute, name, "unknown attribute: want one of "+strings.Join(settable, ", "))
	}
	if a.seen&(1<<bit) != 0 {
		return newProblem(badAttribute, name, "given twice")
	}
	a.seen |= 1 << bit
	switch {
	case value == "":
		return newProblem(badAttribute, name, "want a value, got an empty one")
	case len(value) > maxAttribute:
		return newProblem(badAttribute, name, fmt.Sprintf("want at most %d bytes", maxAttribute))
	case !utf8.ValidString(value):
		return newProblem(badAttribute, name, errUTF8.Error())
	case strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }):
		return newProblem(badAttribute, name, "contains a control character")
	}
	switch name {
	case "specversion":
		if value != "1.0" {
			return newProblem(badAttribute, name, `want "1.0"`)
		}
		a.specVersion = value
	case "id":
		a.ID = value
	case "source":
		a.Source = value
	case "type":
		a.Type = value
	case "time":
		t, err := time.Parse(time.RFC3339Nano, value)
		if err != nil {
			return newProblem(badAttribute, name, "want an RFC 3339 time such as 2026-01-02T15:04:05Z")
		}
		a.Time = t
	case "subject":
		a.Subject = value
	case "datacontenttype":
		if mediaType, _, err := mime.ParseMediaType(value); err != nil || mediaType != "application/json" {
			return newProblem(badAttribute, name, "want application/json")
		}
	case "correlationid":
		a.CorrelationID = value
	case "causationid":
		a.CausationID = value
	case "traceparent":
		if !traceparent.MatchString(value) {
			return newProblem(badAttribute, name, "want a W3C traceparent")
		}
		a.Traceparent = value
	}
	return nil
}

// requireCloudEvent checks that what CloudEvents 1.0 requires was given.
func (a *attributes) requireCloudEvent() *Problem {
	for _, required := range []struct{ name, value string }{
		{"specversion", a.specVersion}, {"id", a.ID}, {"source", a.Source}, {"type", a.Type},
	} {
		if required.value == "" {
			return newProblem(badAttribute, required.name, "required by CloudEvents 1.0")
		}
	}
	return nil
}
