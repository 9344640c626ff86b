package producer

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"time"

	"firehose/internal/publish"
	"firehose/schemas"
)

// sendEvents and sendBytes bound the lines that Send holds between reading and
// answer: the events whose outcomes it awaits at once, and their text.
const (
	sendEvents = 4096 // fewer than the publisher has places for, which waits for each event
	sendBytes  = 4 << 20
)

// SendConfig says what Send works with.
type SendConfig struct {
	Publisher Publisher     // required
	Set       *schemas.Set  // required
	Out       io.Writer     // one answer per event, in input order; required
	Refused   io.Writer     // lines to mend and send again, but for those too long to be kept, which Log names; nil for none
	Progress  io.Writer     // a line that is written over and over; nil for none
	Log       *slog.Logger  // default slog.Default()
	MaxEvent  int           // bytes of one event's data; default 1 MiB
	Attempts  int           // of an event that was not acknowledged for no fault of its own; default 5
	Backoff   time.Duration // between attempts, doubled each time; default 200 ms
}

// Input is one source of NDJSON.
type Input struct {
	Name   string // for answers, where there are several, and for errors
	Reader io.Reader
}

// Sent counts what became of the events that Send read.
type Sent struct {
	Acknowledged int
	Refused      int // certainly not written
	Unknown      int // may have been written; safe to send again under the same ID
	Interrupted  bool
	LastFile     string // where it was interrupted: the last line that has an answer
	LastLine     int
}

// Events is the number of all of them.
func (s Sent) Events() int { return s.Acknowledged + s.Refused + s.Unknown }

// Send publishes the events of the inputs, one line each, and writes one answer
// per event in input order. Lines without text are skipped.
//
// An event that was not acknowledged for no fault of its own (its outcome is
// unknown, the broker or the registry is away) is sent again under the same ID,
// Attempts times in all. Events behind it may have been written by then: the
// entity's version, not the order of arrival, decides between two of one key.
//
// When ctx ends Send reads no further, waits for what it has sent, and says
// where it stopped. The error is about reading or writing; refused events are
// counted, not errors.
func Send(ctx context.Context, cfg SendConfig, inputs ...Input) (Sent, error) {
	if cfg.MaxEvent == 0 {
		cfg.MaxEvent = 1 << 20
	}
	if cfg.Attempts == 0 {
		cfg.Attempts = 5
	}
	if cfg.Backoff == 0 {
		cfg.Backoff = 200 * time.Millisecond
	}
	if cfg.Log == nil {
		cfg.Log = slog.Default()
	}
	s := &sender{cfg: cfg, progress: newProgress(cfg.Progress)}
	if len(inputs) == 1 {
		s.only = inputs[0].Name
	}
	in := &intake{set: cfg.Set, maxEvent: cfg.MaxEvent, log: cfg.Log}
	s.intake = in
	pipe := &pipeline{intake: in, publisher: cfg.Publisher, events: newBound(sendEvents), text: newBound(sendBytes)}

	reading, stopReading := context.WithCancel(ctx)
	defer stopReading()
	chunks := read(reading, inputs, cfg.MaxEvent+attributeRoom)
	// What has been read is finished: the waiting for room and for outcomes is
	// bounded by the publisher's timeout, so ctx is not passed on.
	interrupted := false // written by the reading side, read when all is done
	err := pipe.run(context.WithoutCancel(ctx), func() (*chunk, error) {
		if ctx.Err() != nil {
			interrupted = true
			return nil, nil
		}
		select {
		case c, ok := <-chunks:
			if !ok {
				return nil, nil
			}
			return c.chunk, c.err
		case <-ctx.Done():
			interrupted = true
			return nil, nil
		}
	}, func(c *chunk) error { return s.answer(ctx, c) })
	s.sent.Interrupted = interrupted
	s.progress.end(s.sent)
	if err != nil {
		return s.sent, fmt.Errorf("send: %w", err)
	}
	return s.sent, nil
}

// readChunk is a chunk, or why there are no more.
type readChunk struct {
	chunk *chunk
	err   error
}

// read reads the inputs on a goroutine of its own, because a read from a
// terminal or a pipe cannot be cancelled: an interrupted Send leaves it behind,
// where it ends with its read.
func read(ctx context.Context, inputs []Input, maxLine int) <-chan readChunk {
	chunks := make(chan readChunk)
	go func() {
		defer close(chunks)
		for _, input := range inputs {
			var file string
			if len(inputs) > 1 {
				file = input.Name
			}
			lines := newLineReader(input.Reader, file, maxLine)
			for {
				c, err := lines.next()
				if err == nil && c == nil {
					break
				}
				if err != nil {
					err = fmt.Errorf("%s: %w", input.Name, err)
				}
				select {
				case chunks <- readChunk{c, err}:
				case <-ctx.Done():
					return
				}
				if err != nil {
					return
				}
			}
		}
	}()
	return chunks
}

type sender struct {
	cfg      SendConfig
	intake   *intake
	only     string // the input's name, where there is only one
	sent     Sent
	progress *progress
	out      []byte // reused
	refused  []byte // reused
}

// answer writes what became of a chunk's events.
func (s *sender) answer(ctx context.Context, c *chunk) error {
	if err := s.again(ctx, c); err != nil {
		return err
	}
	s.out, s.refused = s.out[:0], s.refused[:0]
	for i := range c.lines {
		l := &c.lines[i]
		s.out = l.answer.append(s.out)
		switch p := l.answer.Problem; {
		case p == nil:
			s.sent.Acknowledged++
			continue
		case p.Unknown():
			s.sent.Unknown++
			s.refused = appendUnderID(s.refused, l)
		default:
			s.sent.Refused++
			s.refused = append(s.refused, l.text...)
			if len(l.text) == 0 && s.cfg.Refused != nil {
				s.cfg.Log.Warn("line is too long to be kept: it is not among the refused lines",
					"file", cmp.Or(l.answer.File, s.only), "line", l.number)
			}
		}
		if len(l.text) > 0 {
			s.refused = append(s.refused, '\n')
		}
	}
	last := &c.lines[len(c.lines)-1]
	s.sent.LastFile, s.sent.LastLine = last.answer.File, last.number
	if s.cfg.Refused != nil && len(s.refused) > 0 {
		if _, err := s.cfg.Refused.Write(s.refused); err != nil {
			return fmt.Errorf("write refused lines: %w", err)
		}
	}
	if _, err := s.cfg.Out.Write(s.out); err != nil {
		return fmt.Errorf("write answers: %w", err)
	}
	s.progress.show(s.sent)
	return nil
}

// appendUnderID appends a line whose event may have been written, with the ID
// under which it was sent: sent again as it was it would be another event.
func appendUnderID(dst []byte, l *line) []byte {
	if a, _, p := parseObject(l.text); p != nil || a.ID != "" {
		return append(dst, l.text...)
	}
	open := skipSpace(l.text, 0) + 1 // after the brace
	dst = append(dst, `{"id":`...)
	dst = appendString(dst, l.answer.ID)
	dst = append(dst, ',')
	return append(dst, l.text[open:]...)
}

// again sends the events of a chunk again that were not acknowledged for no
// fault of their own.
func (s *sender) again(ctx context.Context, c *chunk) error {
	wait := s.cfg.Backoff
	for attempt := 1; attempt < s.cfg.Attempts; attempt++ {
		var left []*line
		for i := range c.lines {
			if l := &c.lines[i]; l.event != nil && transient(l.answer.Problem) {
				left = append(left, l)
			}
		}
		if len(left) == 0 || !sleep(ctx, wait) {
			return nil
		}
		wait *= 2
		for _, l := range left {
			// The data was let go. All else stays as it was first sent, the
			// time that the publisher gave it, too.
			e, p := s.intake.line(l.text)
			if p != nil {
				return fmt.Errorf("line %d, read again: %s", l.number, p.Title) // it was good before
			}
			l.event.Data = e.Data
			wasUnknown := l.answer.Problem.Unknown()
			c.open.Add(1)
			s.cfg.Publisher.Publish(context.WithoutCancel(ctx), l.event, func(receipt publish.Receipt, err error) {
				defer c.open.Done()
				p := outcomeProblem(err, l.answer.ID)
				if p != nil && wasUnknown && !p.Unknown() {
					return // this attempt wrote nothing; of the first one that is not known
				}
				l.answer.Receipt, l.answer.Problem = receipt, p
			})
			l.event.Data = nil
		}
		c.open.Wait()
	}
	return nil
}

// transient reports whether the same event may well be acknowledged next time.
func transient(p *Problem) bool {
	return p != nil && (p.Unknown() || p.Status == http.StatusServiceUnavailable)
}

// sleep waits and reports whether ctx lasted.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
