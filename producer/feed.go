package producer

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"firehose/internal/publish"
)

// Publisher is what events are fed into: *publish.Publisher.
type Publisher interface {
	// Publish takes an event and calls done exactly once with its outcome.
	Publish(ctx context.Context, e *publish.Event, done func(publish.Receipt, error))
}

// Progress can be read while a replay or a simulation runs.
type Progress struct {
	Sent         atomic.Int64 // events given to the publisher for the first time
	Acknowledged atomic.Int64
	Retried      atomic.Int64 // events sent again because their outcome was unknown
	Next         atomic.Int64 // all events below this index are acknowledged
	Total        atomic.Int64 // index that ends it, or 0 when nothing does
}

// Summary says what a replay or a simulation did.
type Summary struct {
	From         int64         `json:"from"`         // index of the first event of this run
	Next         int64         `json:"next"`         // all events below this index are acknowledged
	Acknowledged int64         `json:"acknowledged"` // in this run
	Retried      int64         `json:"retried"`      // sent again because their outcome was unknown
	Elapsed      time.Duration `json:"elapsed_ns"`
	Done         bool          `json:"done"` // false when ctx ended it
}

// feedWindow bounds the events that are sent and not yet part of the
// acknowledged prefix; they are kept to be sent again.
const feedWindow = 1 << 14

// drainTimeout bounds the wait for answers once ctx has ended.
const drainTimeout = 10 * time.Second

// The pause before events are sent again, doubled each time.
const (
	firstRetryPause = 50 * time.Millisecond
	lastRetryPause  = 5 * time.Second
)

// defaultGiveUp is how long a feed goes on without any acknowledgement.
const defaultGiveUp = 5 * time.Minute

// feed sends indexed events and knows the prefix of them that is acknowledged.
//
// An event whose outcome is unknown is sent again with the same ID until it is
// acknowledged. Nothing new is sent meanwhile: the feed waits until all events in
// flight are answered, then sends the unanswered ones again in their order. So
// the order of a key holds among them; only an event that was already
// acknowledged may then lie before one of its predecessors. For entities the
// version decides in any case.
type feed struct {
	pub      Publisher
	progress *Progress
	giveUp   time.Duration
	log      *slog.Logger

	mu       sync.Mutex // guards all below and the slots
	slots    []slot     // event i is in slot i % len
	acked    int64      // all events below are acknowledged
	next     int64      // the event to send next
	failed   []int64    // to be sent again
	inFlight int
	answers  int64 // acknowledgements so far
	cause    error // why the last of the failed ones failed
	err      error // why the feed has to stop
	waiting  bool  // the sending goroutine waits for wake
	wake     chan struct{}
}

type slot struct {
	index int64
	event *publish.Event
	acked bool
	done  func(publish.Receipt, error) // made once, so that sending does not allocate it
}

func newFeed(pub Publisher, from int64, giveUp time.Duration, p *Progress, log *slog.Logger) *feed {
	f := &feed{pub: pub, progress: p, giveUp: giveUp, log: log, slots: make([]slot, feedWindow),
		acked: from, next: from, wake: make(chan struct{}, 1)}
	if f.progress == nil {
		f.progress = &Progress{}
	}
	if f.log == nil {
		f.log = slog.New(slog.DiscardHandler)
	}
	if f.giveUp == 0 {
		f.giveUp = defaultGiveUp
	}
	for i := range f.slots {
		f.slots[i].done = func(_ publish.Receipt, err error) { f.answer(&f.slots[i], err) }
	}
	f.progress.Next.Store(from)
	return f
}

// run sends the events from f.next on, each when the pace allows, until there is
// none left, ctx ends or an event is rejected. It returns whether all were sent
// and acknowledged. Events below f.next are passed over.
func (f *feed) run(ctx context.Context, events iter.Seq2[int64, *publish.Event], p *pace) (done bool, err error) {
	for index, e := range events {
		if index < f.next {
			if ctx.Err() != nil {
				return false, nil
			}
			continue
		}
		if err = f.admit(ctx, p.due(e)); err != nil {
			break
		}
		f.send(ctx, index, e)
	}
	if err == nil {
		err = f.settle(ctx)
	}
	if ctx.Err() != nil || err != nil {
		f.drain(ctx)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	switch {
	case f.err != nil:
		return false, f.err
	case err == nil:
		return true, nil
	case ctx.Err() != nil:
		return false, nil // somebody asked us to stop
	default:
		return false, err
	}
}

// admit waits until it is time to send and there is room, and lets everything
// be sent again that has to be.
func (f *feed) admit(ctx context.Context, due time.Time) error {
	var timer *time.Timer
	var timeUp <-chan time.Time
	for {
		if ctx.Err() != nil {
			return context.Cause(ctx)
		}
		f.mu.Lock()
		err, again, full := f.err, len(f.failed) > 0, f.next-f.acked >= int64(len(f.slots))
		early := timeUp == nil && !due.IsZero() && time.Until(due) > 0
		f.waiting = err == nil && !again && (full || early || timeUp != nil)
		wait := f.waiting
		f.mu.Unlock()
		switch {
		case err != nil:
			return err
		case again:
			if err := f.resend(ctx); err != nil {
				return err
			}
			continue
		case !wait:
			return nil
		case early:
			timer = time.NewTimer(time.Until(due))
			timeUp = timer.C
			defer timer.Stop()
		}
		select {
		case <-timeUp:
			timeUp, due = nil, time.Time{}
		case <-f.wake:
		case <-ctx.Done():
		}
	}
}

// send gives a new event to the publisher.
func (f *feed) send(ctx context.Context, index int64, e *publish.Event) {
	f.mu.Lock()
	s := &f.slots[index%int64(len(f.slots))]
	s.index, s.event, s.acked = index, e, false
	f.next = index + 1
	f.inFlight++
	f.mu.Unlock()
	f.progress.Sent.Add(1)
	f.pub.Publish(ctx, e, s.done)
}

// answer takes the outcome of a slot's event. It runs on the publisher's
// goroutines and never waits.
func (f *feed) answer(s *slot, err error) {
	f.mu.Lock()
	f.inFlight--
	switch {
	case err == nil:
		s.acked, s.event = true, nil
		f.answers++
		f.progress.Acknowledged.Add(1)
		for f.acked < f.next && f.slots[f.acked%int64(len(f.slots))].acked {
			f.acked++
		}
		f.progress.Next.Store(f.acked)
	case retriable(err):
		f.failed = append(f.failed, s.index)
		f.cause = err
	case f.err == nil:
		f.err = fmt.Errorf("event %d, %s: %w", s.index, s.event.Type, err)
	}
	wake := f.waiting
	f.waiting = false
	f.mu.Unlock()
	if wake {
		select {
		case f.wake <- struct{}{}:
		default:
		}
	}
}

// retriable reports whether sending the same event again can help: its outcome is
// unknown, or it was not sent because somebody was away.
func retriable(err error) bool {
	var e *publish.Error
	if errors.As(err, &e) {
		switch e.Reason {
		case publish.ReasonUnavailable, publish.ReasonFull, publish.ReasonCanceled:
			return true
		case publish.ReasonClosed:
			return false
		}
	}
	return errors.Is(err, publish.ErrUnknown)
}

// quiet waits until no event is in flight.
func (f *feed) quiet(ctx context.Context) error {
	for {
		f.mu.Lock()
		err, idle := f.err, f.inFlight == 0
		f.waiting = !idle
		f.mu.Unlock()
		switch {
		case idle:
			return err
		case ctx.Err() != nil:
			return context.Cause(ctx)
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
	}
}

// resend sends the failed events again until all are acknowledged.
func (f *feed) resend(ctx context.Context) error {
	pause, since := firstRetryPause, time.Now()
	for {
		if err := f.quiet(ctx); err != nil {
			return err
		}
		f.mu.Lock()
		again, cause, answers := f.failed, f.cause, f.answers
		f.failed = nil
		f.mu.Unlock()
		if len(again) == 0 {
			return nil
		}
		slices.Sort(again)
		f.log.Warn("sending events again", "events", len(again), "pause", pause.String(), "err", cause)
		select {
		case <-time.After(pause):
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		for _, index := range again {
			f.mu.Lock()
			s := &f.slots[index%int64(len(f.slots))]
			f.inFlight++
			f.mu.Unlock()
			f.progress.Retried.Add(1)
			f.pub.Publish(ctx, s.event, s.done)
		}
		if err := f.quiet(ctx); err != nil {
			return err
		}
		f.mu.Lock()
		moved := f.answers > answers
		cause = f.cause
		f.mu.Unlock()
		if moved {
			pause, since = firstRetryPause, time.Now()
			continue
		}
		if time.Since(since) > f.giveUp {
			return fmt.Errorf("no acknowledgement for %v: %w", f.giveUp, cause)
		}
		pause = min(2*pause, lastRetryPause)
	}
}

// settle waits until everything sent is acknowledged.
func (f *feed) settle(ctx context.Context) error {
	for {
		if err := f.quiet(ctx); err != nil {
			return err
		}
		f.mu.Lock()
		again := len(f.failed) > 0
		f.mu.Unlock()
		if !again {
			return nil
		}
		if err := f.resend(ctx); err != nil {
			return err
		}
	}
}

// drain waits for the answers of what is in flight, so that the checkpoint can
// cover it; for a while only, since ctx has ended.
func (f *feed) drain(ctx context.Context) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTimeout)
	defer cancel()
	for {
		f.mu.Lock()
		idle := f.inFlight == 0
		f.waiting = !idle
		f.mu.Unlock()
		if idle || ctx.Err() != nil {
			return
		}
		select {
		case <-f.wake:
		case <-ctx.Done():
		}
	}
}

// prefix returns the index below which all events are acknowledged.
func (f *feed) prefix() int64 {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.acked
}
