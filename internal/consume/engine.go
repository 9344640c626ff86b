// Package consume is the engine of a consumer-group microservice: poll, decode,
// dispatch, apply, commit.
//
//	poll ── chunks per partition ── decode in parallel ── apply in order
//	          (fetch pauses when         │                   │
//	           a queue is full)          │      one transaction: positions, seen,
//	                                     │      images, rows, conflicts, marks
//	                                     └ project, where no before is needed
//
// The store's position is the truth: a partition resumes where the store says,
// the batch moves the position by compare-and-set, and the group's committed
// offset only follows as a mirror. Batches form by themselves: while one
// transaction is in flight, the next one fills.
//
//	eng, err := consume.New(consume.Config{Group: "billing", ...}, store)
//	err = eng.Run(ctx) // until ctx ends
package consume

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"

	"firehose/internal/kafka"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

// Store is the service's database, as the engine needs it.
type Store interface {
	// Positions inserts the positions that are missing and returns the stored
	// ones of exactly these partitions.
	Positions(ctx context.Context, start []offsets.Position) ([]offsets.Position, error)
	// Lookup reads what a merge depends on.
	Lookup(ctx context.Context, l *store.Lookup) (store.Known, error)
	// Apply applies a batch in one transaction.
	Apply(ctx context.Context, b *store.Batch) (store.Result, error)
}

// Engine runs one member of a group.
type Engine struct {
	cfg        Config
	store      Store
	handlers   map[string]*Handler
	client     *kgo.Client
	mirror     *offsets.Mirror
	life       context.Context //nolint:containedctx // of the clients: it ends their waits before Close
	connected  chan struct{}   // closed when client and mirror are there
	rebalanced chan struct{}   // holds one when the group's members may have changed
	doubted    chan struct{}   // holds one when another partition is in doubt
	metrics    *metrics

	letters *letters
	wary    atomic.Int32 // how many batches more ask which event IDs are known

	mu       sync.Mutex
	changed  *sync.Cond // any of what follows
	parts    map[offsets.Partition]*partition
	jobs     []*decodeJob
	spare    spare
	gaveUp   map[schemaKey]time.Time // unknown schemas, until when they fail at once
	polls    int                     // begun so far
	wakePoll func()                  // ends the poll that waits
	wake     *time.Timer
	wakeTime time.Time // when wake fires; zero when it does not
	stopping bool
	joined   bool
	denied   string    // what the brokers refuse, "" for nothing
	deniedAt time.Time // when they did so last
}

// New builds an engine over a store and connects nothing yet.
func New(cfg Config, s Store) (*Engine, error) {
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("consume: %w", err)
	}
	e := &Engine{
		cfg:        cfg,
		store:      s,
		handlers:   map[string]*Handler{},
		parts:      map[offsets.Partition]*partition{},
		gaveUp:     map[schemaKey]time.Time{},
		wakePoll:   func() {},
		connected:  make(chan struct{}),
		rebalanced: make(chan struct{}, 1),
		doubted:    make(chan struct{}, 1),
	}
	e.changed = sync.NewCond(&e.mu)
	for _, h := range cfg.Handlers {
		e.handlers[h.Topic.Topic] = h
	}
	e.letters = &letters{e: e, partitions: map[string]int{}}
	e.metrics = newMetrics(cfg.Metrics, cfg.Group)
	cfg.Metrics.MustRegister(newExporterCollector(e))
	e.metrics.reg.MustRegister(newPartitionCollector(e))
	return e, nil
}

// connect makes the member's client. It joins the group at once, so its callbacks
// wait until the engine has it.
func (e *Engine) connect() error {
	topics := slices.Sorted(maps.Keys(e.handlers))
	opts := append(append(e.groupOptions(topics), kafka.GroupOptions(e.cfg.Kafka)...), kgo.WithContext(e.life))
	client, err := kafka.NewMeteredClient(e.cfg.Kafka, e.metrics.reg, "consumer", append(opts, e.cfg.ClientOptions...)...)
	if err != nil {
		return err
	}
	e.client = client
	e.mirror = offsets.NewMirror(client, e.cfg.Group, e.cfg.Log)
	close(e.connected)
	return nil
}

// Run consumes until ctx ends, then finishes the transaction in flight, mirrors
// the positions and leaves the group. abort, if not nil, ends what is still
// running when the grace time is over. It returns nil after an orderly stop, and
// an error when the service cannot go on. It may be called once.
func (e *Engine) Run(ctx context.Context, abort context.Context) error {
	if abort == nil {
		abort = context.WithoutCancel(ctx)
	}
	life, die := context.WithCancel(context.WithoutCancel(abort))
	defer die()
	e.life = life
	if e.cfg.Alone {
		if err := e.waitAlone(ctx); ctx.Err() != nil {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := e.connect(); err != nil {
		return err
	}
	work, cancel := context.WithCancelCause(abort)
	defer cancel(nil)

	g, fetch := errgroup.WithContext(ctx)
	stop := context.AfterFunc(fetch, e.stop)
	defer stop()
	g.Go(func() error { return e.poll(fetch) })
	for range decoders() {
		g.Go(func() error { return e.decodeLoop(work) })
	}
	for range e.cfg.Appliers {
		g.Go(func() error {
			err := e.applyLoop(work)
			if err != nil {
				cancel(err) // the others must not wait for a store that is lost
			}
			return err
		})
	}
	g.Go(func() error { return e.mirror.Run(fetch, e.cfg.MirrorEvery) })
	g.Go(func() error { return e.watchAccess(fetch) })
	g.Go(func() error { return e.watchEnds(fetch) })
	if e.cfg.Alone {
		g.Go(func() error { return e.stayAlone(fetch) })
	} else {
		g.Go(func() error { return e.checkAccess(fetch, e.client) }) // one who is alone has asked before it joined
	}
	err := g.Wait()
	cancel(nil) // dead letters that nobody waits for
	e.letters.open.Wait()

	last, done := context.WithTimeout(abort, 5*time.Second)
	defer done()
	if ferr := e.mirror.Flush(last); ferr != nil && err == nil {
		e.cfg.Log.Warn("mirroring the last positions", "group", e.cfg.Group, "err", ferr)
	}
	if lerr := e.client.LeaveGroupContext(last); lerr != nil {
		e.cfg.Log.Warn("leaving the group", "group", e.cfg.Group, "err", lerr)
	}
	die() // Close alone would wait for a broker that is silent
	e.client.Close()
	e.letters.close()
	if err != nil && errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return nil
	}
	return err
}

// stop wakes everybody who waits: no new transaction begins.
func (e *Engine) stop() {
	e.mu.Lock()
	defer e.mu.Unlock()
	e.stopping = true
	e.changed.Broadcast()
}

// wakeAt wakes everybody who waits at t, or before. The caller holds the mutex.
func (e *Engine) wakeAt(t time.Time) {
	if !e.wakeTime.IsZero() && !t.Before(e.wakeTime) {
		return // whoever still has to wait then asks again
	}
	if e.wake != nil {
		e.wake.Stop()
	}
	e.wakeTime = t
	e.wake = time.AfterFunc(time.Until(t), func() {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.wakeTime = time.Time{}
		e.changed.Broadcast()
	})
}

// backoff returns how long to wait before attempt n, from 1.
func (e *Engine) backoff(n int) time.Duration {
	d := e.cfg.RetryMin << min(n-1, 20)
	if d <= 0 || d > e.cfg.RetryMax {
		return e.cfg.RetryMax
	}
	return d
}
