package service

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrAborted says that a stop did not end within its grace time, or that a
// second signal cut it short. What was in flight was left undone.
var ErrAborted = errors.New("aborted before everything had stopped")

// lastWait is what members get after the abort before Wait gives up on them.
const lastWait = 5 * time.Second

// abortKey is the context key of the channel that the second signal closes.
type abortKey struct{}

// withSignals ends the context at the first SIGINT or SIGTERM and tells every
// Group under it to abort at the second. After that signals have their usual
// effect again, so that a third one kills.
func withSignals(parent context.Context) (context.Context, func()) {
	abort := make(chan struct{})
	ctx, cancel := context.WithCancelCause(context.WithValue(parent, abortKey{}, abort))
	signals := make(chan os.Signal, 2)
	signal.Notify(signals, os.Interrupt, syscall.SIGTERM)
	done := make(chan struct{})
	finished := make(chan struct{})
	go func() {
		defer close(finished)
		defer signal.Stop(signals)
		select {
		case s := <-signals:
			cancel(fmt.Errorf("signal: %v", s))
		case <-done:
			return
		}
		select {
		case <-signals:
			close(abort)
		case <-done:
		}
	}()
	return ctx, func() {
		close(done)
		<-finished
		cancel(nil)
	}
}

// Group is the goroutines of one process (or of one service in a process that
// holds several). The first member to stop, with an error or without, stops
// all; Wait waits for all.
type Group struct {
	parent context.Context //nolint:containedctx // the group is the scope of these contexts: it hands them to each member
	stop   context.Context //nolint:containedctx // as above
	abort  context.Context //nolint:containedctx // as above
	grace  time.Duration

	cancelStop  context.CancelFunc
	cancelAbort context.CancelFunc

	mu         sync.Mutex
	running    map[string]int // members that have not returned, by name
	err        error          // the first error
	members    sync.WaitGroup
	attendants sync.WaitGroup
	released   context.Context //nolint:containedctx // as above: ends when the members have returned
	release    context.CancelFunc
}

// NewGroup makes a group that stops when ctx ends and aborts grace later.
func NewGroup(ctx context.Context, grace time.Duration) *Group {
	g := &Group{parent: ctx, grace: grace, running: map[string]int{}}
	g.stop, g.cancelStop = context.WithCancel(ctx)
	g.abort, g.cancelAbort = context.WithCancel(context.WithoutCancel(ctx))
	g.released, g.release = context.WithCancel(context.WithoutCancel(ctx))
	return g
}

// Go runs a member. stop ends when new work is to be refused; abort ends when
// what is in flight is to be left. A member that returns stops the group; its
// error, unless it only says that stop or abort ended, is the group's.
func (g *Group) Go(name string, run func(stop, abort context.Context) error) {
	g.enter(name)
	g.members.Add(1)
	go func() {
		defer g.members.Done()
		defer g.leave(name)
		err := run(g.stop, g.abort)
		g.fail(name, err)
		g.cancelStop()
	}()
}

// Attend runs something that serves the members, such as the admin server: it
// goes on while they stop, and its context ends when they have. If it returns
// earlier the group stops.
func (g *Group) Attend(name string, run func(ctx context.Context) error) {
	g.enter(name)
	g.attendants.Add(1)
	go func() {
		defer g.attendants.Done()
		defer g.leave(name)
		g.fail(name, run(g.released))
		g.cancelStop()
	}()
}

// Stopping ends when the group has begun to stop.
func (g *Group) Stopping() context.Context { return g.stop }

// Wait waits until all have returned and gives the first error, nil for a stop
// that was asked for and ended in time. Members that ignore the abort for five
// seconds are named in the error and left behind.
func (g *Group) Wait() error {
	defer g.cancelStop()
	defer g.cancelAbort()
	defer g.release()

	done := make(chan struct{})
	go func() {
		defer close(done)
		g.members.Wait()
		g.release()
		g.attendants.Wait()
	}()
	select {
	case <-done:
		return g.result()
	case <-g.stop.Done():
	}

	grace := time.NewTimer(g.grace)
	defer grace.Stop()
	secondSignal, _ := g.parent.Value(abortKey{}).(chan struct{})
	select {
	case <-done:
		return g.result()
	case <-secondSignal:
	case <-grace.C:
	}
	g.fail("stop", ErrAborted)
	g.cancelAbort()

	last := time.NewTimer(lastWait)
	defer last.Stop()
	select {
	case <-done:
		return g.result()
	case <-last.C:
		return fmt.Errorf("%w: still running: %s", g.result(), strings.Join(g.left(), ", "))
	}
}

func (g *Group) enter(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.running[name]++
}

func (g *Group) leave(name string) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.running[name]--; g.running[name] == 0 {
		delete(g.running, name)
	}
}

func (g *Group) left() []string {
	g.mu.Lock()
	defer g.mu.Unlock()
	var names []string
	for name := range g.running {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// fail keeps the first error. A context's end is not one when the group's own
// context ended: the member did as it was told.
func (g *Group) fail(name string, err error) {
	if err == nil || g.stop.Err() != nil && errors.Is(err, context.Canceled) {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.err == nil {
		g.err = fmt.Errorf("%s: %w", name, err)
	}
}

func (g *Group) result() error {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.err
}
