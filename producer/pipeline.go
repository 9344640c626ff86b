package producer

import (
	"context"
	"runtime"
	"sync"

	"golang.org/x/sync/errgroup"

	"firehose/internal/publish"
)

// chunkLines and chunkBytes are how many lines, and how much text, go through the
// pipeline together: enough that handing them on costs nothing per line, few
// enough that an answer does not wait for its neighbours.
const (
	chunkLines = 64
	chunkBytes = 16 << 10
)

// line is one event of an NDJSON input.
type line struct {
	number int
	text   []byte // owned by the chunk until its answer is written
	answer Answer
	event  *publish.Event // nil when it was refused; without data once it is published
}

// chunk is some consecutive lines.
type chunk struct {
	lines  []line
	parts  []part         // what it holds of the pipeline's bounds until it is answered
	late   bool           // found no room in time: its lines are refused
	parsed chan struct{}  // closed when every line has an event or a problem
	open   sync.WaitGroup // lines whose outcome is not known yet
}

// take waits for a part of a bound and reports whether the chunk has it.
func (c *chunk) take(ctx context.Context, of *bound, n int64) bool {
	if !of.take(ctx, n) {
		return false
	}
	c.parts = append(c.parts, part{of, n})
	return true
}

// giveBack gives the chunk's parts back.
func (c *chunk) giveBack() {
	for _, p := range c.parts {
		p.of.give(p.n)
	}
	c.parts = nil
}

// size is how many bytes of text the chunk has.
func (c *chunk) size() int64 {
	n := 0
	for i := range c.lines {
		n += len(c.lines[i].text)
	}
	return int64(n)
}

// pipeline takes lines to answers:
//
//	next ─→ parse (in parallel) ─→ publish (in order) ─→ sink (in order)
//
// Events are published in the order of their lines, so that two of one key keep
// theirs; while the outcomes of some are awaited the next ones are parsed and
// sent. A parsed event is several times its text: no more than parseAhead lie
// before the publisher, which has encoded an event when it has taken it, and its
// data is let go then.
type pipeline struct {
	intake    *intake
	publisher Publisher
	events    *bound // events between next and sink
	shared    *bound // the same of several pipelines together; may be nil
	text      *bound // bytes of their lines; nil when they are there anyway
	published func() // called when the publisher has all; may be nil
}

// run moves chunks until next returns nil or an error, and gives each to sink
// when all its outcomes are known. What next has returned is finished, also when
// next then fails. ctx bounds the waiting for room, here and in the publisher: what
// found none by then is refused. Outcomes always come.
func (p *pipeline) run(ctx context.Context, next func() (*chunk, error), sink func(*chunk) error) error {
	var g errgroup.Group
	reading, cancel := context.WithCancel(context.WithoutCancel(ctx))
	defer cancel()
	workers := runtime.GOMAXPROCS(0)
	parse := make(chan *chunk, workers)
	publishing := make(chan *chunk, workers)
	answering := make(chan *chunk, p.events.max) // never full: a chunk has an event at least
	ahead := newBound(parseAhead)

	g.Go(func() error {
		defer close(parse)
		defer close(publishing)
		for {
			if reading.Err() != nil {
				return nil // nobody would read further answers; the sink's error says why
			}
			c, err := next()
			if err != nil || c == nil {
				return err
			}
			c.parsed = make(chan struct{})
			events, text := int64(len(c.lines)), c.size()
			c.late = !c.take(ctx, p.events, events) || !c.take(ctx, p.shared, events) ||
				!c.take(ctx, p.text, text) || !ahead.take(ctx, text)
			parse <- c
			publishing <- c
		}
	})
	for range workers {
		g.Go(func() error {
			for c := range parse {
				p.parse(c)
			}
			return nil
		})
	}
	g.Go(func() error {
		defer close(answering)
		for c := range publishing {
			<-c.parsed
			if !c.late {
				p.publish(ctx, c)
				ahead.give(c.size())
			}
			answering <- c
		}
		if p.published != nil {
			p.published()
		}
		return nil
	})
	g.Go(func() error {
		var failed error
		for c := range answering {
			c.open.Wait()
			if failed == nil {
				if failed = sink(c); failed != nil {
					cancel() // the reader stops; what was published is waited for
				}
			}
			clear(c.lines) // a batch keeps all of its lines until it is answered
			c.giveBack()
		}
		return failed
	})
	return g.Wait()
}

func (p *pipeline) parse(c *chunk) {
	defer close(c.parsed)
	for i := range c.lines {
		l := &c.lines[i]
		l.answer.Line = l.number
		if l.answer.Problem != nil {
			continue // refused by whoever read it
		}
		l.event, l.answer.Problem = p.intake.line(l.text)
		if l.event != nil {
			l.answer.ID = l.event.ID
		} else {
			l.answer.ID = l.answer.Problem.ID
		}
		if c.late && l.event != nil { // read for its ID alone
			l.event, l.answer.Problem = nil, newProblem(overloaded, "", "")
		}
	}
}

func (p *pipeline) publish(ctx context.Context, c *chunk) {
	for i := range c.lines {
		l := &c.lines[i]
		if l.event == nil {
			continue
		}
		c.open.Add(1)
		p.publisher.Publish(ctx, l.event, func(receipt publish.Receipt, err error) {
			defer c.open.Done()
			l.answer.Receipt, l.answer.Problem = receipt, outcomeProblem(err, l.answer.ID)
		})
		l.event.Data = nil
	}
}
