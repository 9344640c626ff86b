package producer

import (
	"bytes"
	"context"
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"firehose/internal/event"
	"firehose/internal/publish"
)

// serveEvent answers POST /v1/events/{type}. The answer names the event's ID
// whatever becomes of it; only where the ID stands in a body that could not be
// read there is none to name.
func (h *Handler) serveEvent(w http.ResponseWriter, r *http.Request, eventType string, held *hold) {
	id, receipt, p := h.event(w, r, eventType, held)
	h.metrics.event(p)
	if p != nil {
		p.ID = id
		h.shed(w, p)
		return
	}
	answer := Answer{ID: id, Receipt: receipt}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(http.StatusOK)
	_, _ = w.Write(answer.append(nil)) // the caller may have gone; nobody else to tell
}

func (h *Handler) event(w http.ResponseWriter, r *http.Request, eventType string, held *hold) (string, publish.Receipt, *Problem) {
	var none publish.Receipt
	media, p := mediaType(r.Header)
	structured := media == "application/cloudevents+json"
	if p == nil && !structured && media != "application/json" {
		p = newProblem(unsupportedMediaType, "Content-Type", "want application/json or application/cloudevents+json")
	}
	a := attributes{}
	if !structured {
		if headers := a.setHeaders(r.Header); p == nil {
			p = headers
		}
		if a.ID == "" {
			a.ID = event.NewID()
		}
	}
	if p == nil && !h.knows(eventType) {
		p = newProblem(unknownType, "type", eventType)
	}
	if p != nil {
		return a.ID, none, p
	}
	limit := int64(h.limits.EventBytes)
	if structured {
		limit += attributeRoom
	}
	body, p := readBody(w, r, limit, limit+1, held)
	if p != nil {
		return a.ID, none, p
	}
	data := body
	if !structured && len(bytes.TrimSpace(body)) == 0 {
		return a.ID, none, newProblem(malformed, "", "the body is empty")
	}
	if structured {
		if a, data, p = parseObject(body); p == nil {
			p = a.requireCloudEvent()
		}
		if p != nil {
			return a.ID, none, p
		}
	}
	switch a.Type {
	case "":
		a.Type = eventType
	case eventType:
	default:
		return a.ID, none, newProblem(badAttribute, "type", "differs from the type in the path")
	}
	if a.Traceparent == "" && traceparent.MatchString(r.Header.Get("Traceparent")) {
		a.Traceparent = r.Header.Get("Traceparent")
	}
	e, p := h.intake.event(a, data)
	if p != nil {
		return p.ID, none, p
	}
	receipt, p := h.publish(r.Context(), e, held)
	return e.ID, receipt, p
}

func (h *Handler) knows(eventType string) bool {
	_, ok := h.intake.set.ByType(eventType)
	return ok
}

// publish sends one event and waits for its outcome, which always comes. A
// caller that hangs up does not cancel it: the event is on its way.
func (h *Handler) publish(ctx context.Context, e *publish.Event, held *hold) (publish.Receipt, *Problem) {
	type outcome struct {
		receipt publish.Receipt
		err     error
	}
	done := make(chan outcome, 1)
	err := h.publisher.TryPublish(context.WithoutCancel(ctx), e, func(receipt publish.Receipt, err error) {
		done <- outcome{receipt, err}
	})
	e.Data = nil // it is encoded, and the outcome may take a while
	held.published()
	if errors.Is(err, publish.ErrFull) {
		return publish.Receipt{}, newProblem(overloaded, "", "")
	}
	if err != nil {
		return publish.Receipt{}, outcomeProblem(err, e.ID)
	}
	o := <-done
	return o.receipt, outcomeProblem(o.err, e.ID)
}

// headerID is the ID that a request gives its event outside the body, or empty.
func headerID(header http.Header) string {
	var a attributes
	_ = a.setHeaders(header) // what else is wrong there does not matter any more
	return a.ID
}

// setHeaders takes the event's attributes from ce- headers: all of them in
// CloudEvents' binary mode, which ce-specversion announces, and those that the
// caller cares to give with plain JSON. Values may be percent-encoded, as the
// CloudEvents HTTP binding has it.
func (a *attributes) setHeaders(header http.Header) *Problem {
	var names []string
	for name := range header {
		if strings.HasPrefix(name, "Ce-") { // net/http has made them canonical
			names = append(names, name)
		}
	}
	slices.Sort(names) // of several that are wrong, always the same is named
	var first *Problem
	for _, name := range names {
		field := strings.ToLower(name)
		if p := a.setHeader(strings.TrimPrefix(field, "ce-"), header[name]); p != nil && first == nil {
			p.Field = clip(field)
			first = p
		}
	}
	if first == nil && a.specVersion != "" {
		if first = a.requireCloudEvent(); first != nil {
			first.Field = "ce-" + first.Field
		}
	}
	return first
}

func (a *attributes) setHeader(name string, values []string) *Problem {
	if len(values) != 1 {
		return newProblem(badAttribute, name, "given twice")
	}
	value, err := url.PathUnescape(values[0])
	if err != nil {
		return newProblem(badAttribute, name, "not percent-encoded text")
	}
	return a.set(name, value)
}
