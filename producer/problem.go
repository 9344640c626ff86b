package producer

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"unicode/utf8"
)

// ProblemContentType is the media type of a Problem (RFC 9457).
const ProblemContentType = "application/problem+json"

// Problem is the answer to an event or a request that was not accepted: an RFC
// 9457 problem document. It names what is wrong and nothing of the payload.
type Problem struct {
	Type   string `json:"type"` // stable, "/problems/NAME"; GET it from the server to read what it means
	Title  string `json:"title"`
	Status int    `json:"status"`
	Detail string `json:"detail,omitempty"`
	Field  string `json:"field,omitempty"` // path in the event's data, or the name of an attribute or header
	ID     string `json:"id,omitempty"`    // of the event, also where it was made here
	File   string `json:"file,omitempty"`  // of the NDJSON input, where there are several
	Line   int    `json:"line,omitempty"`  // of the NDJSON input, from 1

	retryAfter int    // seconds; 0 leaves the header out
	allow      string // the Allow header of a 405
}

// Error makes a Problem an error, for the callers inside this package's module.
func (p *Problem) Error() string {
	var b strings.Builder
	if p.Line > 0 {
		fmt.Fprintf(&b, "line %d: ", p.Line)
	}
	b.WriteString(p.Title)
	if p.Field != "" {
		b.WriteString(": " + p.Field)
	}
	if p.Detail != "" {
		b.WriteString(": " + p.Detail)
	}
	return b.String()
}

// Unknown reports whether the event may or may not have been written.
func (p *Problem) Unknown() bool { return p.Type == problemType(outcomeUnknown) }

// problemKind is one row of the table of problems.
type problemKind struct {
	name   string
	status int
	title  string
	help   string // what the caller can do
}

func problemType(k *problemKind) string { return "/problems/" + k.name }

// The problems that this door answers with. Names are stable: callers switch on
// them.
var (
	malformed = &problemKind{"malformed", http.StatusBadRequest, "malformed request",
		"The body is not the JSON that the content type promises. Mend it and send again."}
	badAttribute = &problemKind{"bad-attribute", http.StatusBadRequest, "bad event attribute",
		"An attribute of the event (id, source, time, …) has a value that it must not have; field names it."}
	reservedAttribute = &problemKind{"reserved-attribute", http.StatusBadRequest, "attribute is not the caller's to set",
		"Topic, partition, key and the attributes that follow from the data are set here. Leave the attribute out."}
	notFound = &problemKind{"not-found", http.StatusNotFound, "no such resource",
		"POST /v1/events/{type} takes one event, POST /v1/events:batch takes NDJSON."}
	unknownType = &problemKind{"unknown-type", http.StatusNotFound, "unknown event type",
		"No schema that this producer knows carries events of that type."}
	methodNotAllowed = &problemKind{"method-not-allowed", http.StatusMethodNotAllowed, "method not allowed",
		"The Allow header says which methods this resource has."}
	bodyTimeout = &problemKind{"body-timeout", http.StatusRequestTimeout, "the body did not arrive in time",
		"Nothing was written. Send the whole body within the server's read timeout."}
	notCompatible = &problemKind{"not-compatible", http.StatusConflict, "the registry does not have this schema",
		"The schema of this event type is not registered, or not compatible with what is. `firehose schemas register` registers it."}
	tooLarge = &problemKind{"too-large", http.StatusRequestEntityTooLarge, "too large",
		"Nothing of it was written. The limit holds for the body as sent and for what it decompresses to."}
	tooManyLines = &problemKind{"too-many-lines", http.StatusRequestEntityTooLarge, "too many lines in one batch",
		"Nothing of it was written. Split the batch."}
	unsupportedMediaType = &problemKind{"unsupported-media-type", http.StatusUnsupportedMediaType, "unsupported media type",
		"One event: application/json or application/cloudevents+json. Batch: application/x-ndjson. Content-Encoding: gzip or none."}
	expectationFailed = &problemKind{"expectation-failed", http.StatusExpectationFailed, "expectation not supported",
		"Only Expect: 100-continue is understood."}
	invalidData = &problemKind{"invalid-data", http.StatusUnprocessableEntity, "the data does not match the schema",
		"field is the path of the value that does not fit the event type's schema."}
	rejected = &problemKind{"rejected", http.StatusUnprocessableEntity, "the event was rejected",
		"The event was not written and the same event would be refused again."}
	callerBusy = &problemKind{"too-many-bytes-in-flight", http.StatusTooManyRequests, "this caller has too much in flight",
		"Nothing was read. Wait for the answers to earlier requests, or for Retry-After."}
	overloaded = &problemKind{"overloaded", http.StatusServiceUnavailable, "overloaded",
		"The event was not written. Send it again after Retry-After."}
	brokerUnavailable = &problemKind{"broker-unavailable", http.StatusServiceUnavailable, "the broker is not available",
		"The event was not written. Send it again after Retry-After."}
	registryUnavailable = &problemKind{"registry-unavailable", http.StatusServiceUnavailable, "the schema registry is not available",
		"The event was not written. Send it again after Retry-After."}
	shuttingDown = &problemKind{"shutting-down", http.StatusServiceUnavailable, "this server is shutting down",
		"The event was not written. Send it again, to another instance."}
	outcomeUnknown = &problemKind{"outcome-unknown", http.StatusGatewayTimeout, "the outcome is unknown",
		"The event may have been written. Sending it again under the same id is always safe."}
	internalError = &problemKind{"internal", http.StatusInternalServerError, "internal error",
		"A defect of this server, in its log. Sending the event again under the same id is always safe."}
)

// problemKinds lists them all, for GET /problems.
var problemKinds = []*problemKind{
	malformed, badAttribute, reservedAttribute, notFound, unknownType, methodNotAllowed, bodyTimeout,
	notCompatible, tooLarge, tooManyLines, unsupportedMediaType, expectationFailed, invalidData, rejected,
	callerBusy, overloaded, brokerUnavailable, registryUnavailable, shuttingDown, outcomeUnknown, internalError,
}

// maxNamed bounds what a problem repeats of the caller's own names.
const maxNamed = 256

// newProblem returns a problem of kind k about field (which may be empty).
func newProblem(k *problemKind, field, detail string) *Problem {
	p := &Problem{
		Type: problemType(k), Title: k.title, Status: k.status,
		Field: clip(field), Detail: clip(detail),
	}
	if k.status == http.StatusServiceUnavailable || k.status == http.StatusTooManyRequests {
		p.retryAfter = 1
	}
	return p
}

// clip makes text from outside fit to be shown: bounded and valid UTF-8.
func clip(s string) string {
	s = strings.ToValidUTF8(s, "\uFFFD")
	if len(s) <= maxNamed {
		return s
	}
	cut := maxNamed
	for !utf8.RuneStart(s[cut]) {
		cut--
	}
	return s[:cut] + "…"
}

// write sends the problem as the whole answer.
func (p *Problem) write(w http.ResponseWriter) {
	body, err := json.Marshal(p)
	if err != nil { // strings and ints only
		panic(err)
	}
	h := w.Header()
	h.Set("Content-Type", ProblemContentType)
	h.Set("X-Content-Type-Options", "nosniff")
	if p.retryAfter > 0 {
		h.Set("Retry-After", fmt.Sprint(p.retryAfter))
	}
	if p.allow != "" {
		h.Set("Allow", p.allow)
	}
	w.WriteHeader(p.Status)
	_, _ = w.Write(append(body, '\n')) // the caller may have gone; nobody else to tell
}

// serveProblems answers GET /problems and GET /problems/{name}, so that the type
// of a problem leads to its meaning.
func serveProblems(w http.ResponseWriter, name string) bool {
	type entry struct {
		Type   string `json:"type"`
		Status int    `json:"status"`
		Title  string `json:"title"`
		Help   string `json:"help"`
	}
	entryOf := func(k *problemKind) entry { return entry{problemType(k), k.status, k.title, k.help} }
	var answer any
	if name == "" {
		var all []entry
		for _, k := range problemKinds {
			all = append(all, entryOf(k))
		}
		answer = all
	} else {
		i := slices.IndexFunc(problemKinds, func(k *problemKind) bool { return k.name == name })
		if i < 0 {
			return false
		}
		answer = entryOf(problemKinds[i])
	}
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(answer) // the caller may have gone
	return true
}
