package producer

import (
	"bytes"
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
)

// batchEvents is how many events of one batch are between parsing and answer,
// allBatchesEvents how many of all of them. Of the publisher's 6,000 places the
// others are for single events, whose callers do not wait for one but are refused.
const (
	batchEvents      = 512
	allBatchesEvents = 4000
)

var batchTypes = []string{"application/x-ndjson", "application/ndjson", "application/jsonl"}

// serveBatch answers POST /v1/events:batch.
//
// The body is read whole before its first event is published, so a body that is
// too large, broken off or endless is refused with nothing of it written. Then
// each line stands alone. The status is known when every line has its outcome:
// 200 when all were acknowledged, 207 when only some were, and when none was the
// gravest status of the lines, so that a success is never claimed for nothing.
// Lines without text are skipped.
func (h *Handler) serveBatch(w http.ResponseWriter, r *http.Request, held *hold) {
	lines, p := h.batch(w, r, held)
	if p != nil {
		h.shed(w, p)
		return
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(r.Context()), h.limits.BatchTimeout)
	defer cancel()
	var (
		body         []byte
		acknowledged int
		gravest      int
	)
	count := len(lines)
	pipe := &pipeline{
		intake: h.intake, publisher: h.publisher, events: newBound(batchEvents), shared: h.batches, published: held.published,
	}
	err := pipe.run(ctx, func() (*chunk, error) {
		var c *chunk
		c, lines = cut(lines)
		return c, nil
	}, func(c *chunk) error {
		for i := range c.lines {
			answer := &c.lines[i].answer
			h.metrics.event(answer.Problem)
			if answer.Problem == nil {
				acknowledged++
			} else {
				gravest = max(gravest, answer.Problem.Status)
			}
			body = answer.append(body)
		}
		return nil
	})
	if err != nil { // neither end of the pipeline fails here
		panic(err)
	}
	status := http.StatusOK
	switch {
	case acknowledged == 0:
		status = gravest
	case acknowledged < count:
		status = http.StatusMultiStatus
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.Header().Set("Content-Length", strconv.Itoa(len(body)))
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		w.Header().Set("Retry-After", "1")
	}
	w.WriteHeader(status)
	_, _ = w.Write(body) // the caller may have gone; nobody else to tell
}

// batch reads the body of a batch and splits it into lines.
func (h *Handler) batch(w http.ResponseWriter, r *http.Request, held *hold) ([]line, *Problem) {
	media, p := mediaType(r.Header)
	if p != nil {
		return nil, p
	}
	if !slices.Contains(batchTypes, media) {
		return nil, newProblem(unsupportedMediaType, "Content-Type", "want application/x-ndjson")
	}
	body, p := readBody(w, r, h.limits.BatchBytes, parseAhead, held)
	if p != nil {
		return nil, p
	}
	count := bytes.Count(body, []byte{'\n'}) + 1
	if k := held.take(int64(min(count, h.limits.BatchLines)) * lineCost); k != nil {
		return nil, newProblem(k, "", "")
	}
	lines := make([]line, 0, min(count, h.limits.BatchLines))
	longest := 0
	for number := 1; len(body) > 0; number++ {
		text, rest, _ := bytes.Cut(body, []byte{'\n'})
		body = rest
		if text = bytes.TrimSpace(text); len(text) == 0 {
			continue
		}
		if len(lines) == h.limits.BatchLines {
			return nil, newProblem(tooManyLines, "", fmt.Sprintf("a batch may have %d", h.limits.BatchLines))
		}
		l := line{number: number, text: text}
		if len(text) > h.limits.EventBytes+attributeRoom {
			l.text, l.answer.Problem = nil, newProblem(tooLarge, "", fmt.Sprintf("an event may have %d bytes", h.limits.EventBytes))
		}
		longest = max(longest, len(l.text))
		lines = append(lines, l)
	}
	if longest > parseAhead {
		if k := held.takeParsed(int64(longest - parseAhead)); k != nil {
			return nil, newProblem(k, "", "")
		}
	}
	if len(lines) == 0 {
		return nil, newProblem(malformed, "", "the batch has no events")
	}
	return lines, nil
}

// cut takes a chunk off the lines; nil when there are none.
func cut(lines []line) (*chunk, []line) {
	if len(lines) == 0 {
		return nil, nil
	}
	n, text := 1, len(lines[0].text)
	for n < min(len(lines), chunkLines) && text+len(lines[n].text) <= chunkBytes {
		text += len(lines[n].text)
		n++
	}
	return &chunk{lines: lines[:n]}, lines[n:]
}
