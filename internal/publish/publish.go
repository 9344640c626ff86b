// Package publish turns events into acknowledged records. Publish returns at
// once and calls back with a receipt, or with the reason why there is none.
//
//	p, err := publish.New(client, registry, schemas.Shop(), publish.Config{Source: "/service/shop"})
//	...
//	defer p.Close(ctx)
//	p.Publish(ctx, &publish.Event{
//		Envelope: event.Envelope{Type: "shop.order.placed"},
//		Data:     &order,
//	}, func(r publish.Receipt, err error) {
//		switch {
//		case err == nil: // durable, at r
//		case errors.Is(err, publish.ErrRejected): // certainly not written
//		default: // unknown: it may be written; sending the same ID again is safe
//		}
//	})
//
// # What holds
//
//   - Every event is answered exactly once, whatever the broker does: one that
//     finds no room within Config.Timeout is Rejected, and one that was taken is
//     answered within another.
//   - Acknowledged means that all in-sync replicas have it. Rejected means that
//     it is not in the log and never will be. Everything else is Unknown.
//   - Callbacks run on goroutines of the publisher's own, several at once and in
//     no order. One that blocks keeps its event's place among MaxRecords and
//     nothing else.
//   - Events of one key, published one after the other, are in the log in that
//     order.
//   - The memory of what is not yet answered is bounded by records and bytes.
//
// An event answered Unknown is still with the Kafka client, which cannot take
// back what may be on its way; it holds its place until the client is done with
// it, or is made to give it up. What becomes of it is counted, no more.
//
// Metrics lists what is exported.
package publish

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/schemas"
)

// Config is how a publisher behaves. The zero value of a field means its
// default; Source has none.
type Config struct {
	Source string // ce_source of events that have none, e.g. "/service/checkout"

	// MaxRecords bounds the events not yet answered. Default 6,000; many more
	// are slower rather than faster, since their memory leaves the processor's
	// cache before it is sent.
	MaxRecords    int
	MaxBytes      int64 // the same in bytes of keys, values and headers; default 64 MiB
	MaxEventBytes int   // one event, its key and headers included; default 512 KiB

	// Timeout bounds the wait for room, after which an event is Rejected, and the
	// wait for the broker, after which it is Unknown. Default 30s.
	Timeout time.Duration

	Metrics prometheus.Registerer // default: metrics are kept but not exported
	Log     *slog.Logger          // default: nothing is logged
}

func (cfg *Config) setDefaults() {
	if cfg.MaxRecords == 0 {
		cfg.MaxRecords = 6000
	}
	if cfg.MaxBytes == 0 {
		cfg.MaxBytes = 64 << 20
	}
	if cfg.MaxEventBytes == 0 {
		cfg.MaxEventBytes = 512 << 10
	}
	if cfg.Timeout == 0 {
		cfg.Timeout = 30 * time.Second
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
}

func (cfg *Config) validate() error {
	source := event.Envelope{Type: "any", Source: cfg.Source}
	switch {
	case cfg.Source == "":
		return errors.New("source: want a URI reference such as /service/checkout")
	case source.Validate() != nil:
		return fmt.Errorf("source: %w", source.Validate())
	case cfg.MaxRecords < 0 || cfg.MaxBytes < 0 || cfg.MaxEventBytes < 0 || cfg.Timeout < 0:
		return errors.New("bounds and timeout: want positive ones")
	case int64(cfg.MaxEventBytes) > cfg.MaxBytes:
		return fmt.Errorf("event bytes %d: want at most the %d of all events", cfg.MaxEventBytes, cfg.MaxBytes)
	case cfg.MaxEventBytes > kafka.MaxMessageBytes-batchOverhead:
		return fmt.Errorf("event bytes %d: want at most %d, which topics take", cfg.MaxEventBytes, kafka.MaxMessageBytes-batchOverhead)
	}
	return nil
}

// batchOverhead is what a batch of one record takes beyond the bytes that
// MaxEventBytes counts, rounded up: the batch's header and the lengths of up to
// a hundred headers.
const batchOverhead = 1 << 10

// Event is an event to be published. Envelope.Type says which topic it belongs
// to; what else is empty there is filled in from the data.
type Event struct {
	event.Envelope
	Data      any  // a pointer to the topic's Go type, or what codec.ParseJSON returned
	Tombstone bool // deletes the entity Subject at version Sequence; Data is nil
}

// Receipt says where an acknowledged event is.
type Receipt struct {
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"` // 32 hexadecimal digits
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// Publisher publishes events. It is safe for concurrent use.
type Publisher struct {
	cfg      Config
	client   *kgo.Client
	doubt    *kafka.Doubt // nil when the client is not from kafka.NewClient
	registry *codec.Registry
	byType   map[string]*topic
	metrics  *metrics
	start    time.Time // deadlines are measured from here
	spares   spares

	handed  atomic.Uint64 // events handed to the client
	tainted uint64        // up to this one failures are in doubt; the client's promises' own

	calls callQueue // answered, not yet called back

	mu      sync.Mutex // guards all that follows and the state of every pending
	closed  bool
	records int       // places taken
	bytes   int64     // the same in bytes
	open    int       // events whose callback has not returned
	waiters waitQueue // for room, first come first served
	idle    []chan struct{}
	flights flightList // not yet answered, oldest first
	late    flightList // answered, still held by the client

	end     context.CancelFunc // called by Close
	stopped sync.WaitGroup
}

// New returns a publisher of the set's events. The client stays the caller's to
// close, after the publisher, and nobody else produces with it meanwhile: what
// becomes of the events of others would tell nothing about those of this publisher,
// behind them in the same partition. A client that kafka.NewClient did not make gets
// more answers Unknown that might have been Rejected.
func New(client *kgo.Client, registry *codec.Registry, set *schemas.Set, cfg Config) (*Publisher, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("publisher configuration: %w", err)
	}
	p := &Publisher{
		cfg:      cfg,
		client:   client,
		doubt:    kafka.DoubtOf(client),
		registry: registry,
		byType:   map[string]*topic{},
		start:    time.Now(),
	}
	p.metrics = newMetrics(p)
	if cfg.Metrics != nil {
		if err := p.metrics.register(cfg.Metrics); err != nil {
			return nil, fmt.Errorf("publisher metrics: %w", err)
		}
	}
	for _, t := range set.Topics() {
		state := newTopic(t, p.metrics)
		for _, name := range t.Types {
			p.byType[name] = state
		}
	}
	p.spares.pool.New = func() any {
		pd := &pending{p: p}
		pd.promise = pd.finished // once, so that producing does not allocate it
		return pd
	}
	p.calls.callers = map[*caller]struct{}{}
	p.calls.watch = time.AfterFunc(time.Hour, p.watchCalls)
	p.calls.watch.Stop()
	var life context.Context
	life, p.end = context.WithCancel(context.Background())
	p.stopped.Go(func() { p.sweep(life) })
	p.stopped.Go(func() { p.unstick(life) })
	return p, nil
}

// Publish stamps e, encodes it and sends it on its way; e and its data are the
// caller's again when it returns, and e.ID then says which ID the event has. It
// returns at once, except that it waits for room while the bounds are reached,
// and for the registry and the topic at the first event of a topic; ctx and
// Config.Timeout end both waits. After that the event no longer depends on ctx.
//
// done is called exactly once. It runs on a goroutine of the publisher, or, when
// the event was not taken, because ctx ended, no room came or the publisher was
// closed, on the caller's before Publish returns. Its error is an *Error.
func (p *Publisher) Publish(ctx context.Context, e *Event, done func(Receipt, error)) {
	pd := p.spares.take()
	rejected := p.prepare(ctx, pd, e)
	if err := p.admit(ctx, pd, done, rejected, true); err != nil {
		id := pd.id
		pd.recycle()
		refused := admission(err, id)
		p.count(refused)
		done(Receipt{}, refused)
	}
}

// TryPublish is Publish for callers who cannot wait for room: when the bounds
// are reached it returns ErrFull, and ErrClosed after Close; done is then not
// called. The first event of a topic waits all the same.
func (p *Publisher) TryPublish(ctx context.Context, e *Event, done func(Receipt, error)) error {
	if err := p.room(); err != nil {
		return err // before anything is spent on the event
	}
	pd := p.spares.take()
	rejected := p.prepare(ctx, pd, e)
	err := p.admit(ctx, pd, done, rejected, false)
	if err != nil {
		pd.recycle()
	}
	return err
}

// Prepare looks up the schemas and IDs of the named topics, of all when none is
// named, so that the first event of each need not wait for it. It may be called
// until it succeeds.
func (p *Publisher) Prepare(ctx context.Context, topics ...string) error {
	wanted := map[string]bool{}
	for _, name := range topics {
		wanted[name] = true
	}
	seen := map[*topic]bool{}
	var errs []error
	for _, t := range p.byType {
		if seen[t] || len(wanted) > 0 && !wanted[t.Topic] {
			continue
		}
		seen[t] = true
		if _, err := p.lookup(ctx, t); err != nil {
			errs = append(errs, fmt.Errorf("topic %s: %w", t.Topic, err))
		}
	}
	return errors.Join(errs...)
}

// Flush waits until every event is answered and its callback has returned, or
// until ctx ends. It is for moments when nobody publishes any more.
func (p *Publisher) Flush(ctx context.Context) error {
	p.mu.Lock()
	if p.open == 0 {
		p.mu.Unlock()
		return nil
	}
	idle := make(chan struct{})
	p.idle = append(p.idle, idle)
	p.mu.Unlock()
	select {
	case <-idle:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("flush: %w", context.Cause(ctx))
	}
}

// callbackGrace is how long Close waits for callbacks once ctx has ended.
const callbackGrace = time.Second

// Close refuses new events, waits until those taken are answered, and answers
// the rest Unknown when ctx ends first. It returns an error when it had to, or
// when callbacks still run. It does not close the client.
func (p *Publisher) Close(ctx context.Context) error {
	p.mu.Lock()
	if p.closed {
		p.mu.Unlock()
		p.stopped.Wait()
		return nil
	}
	p.closed = true
	p.waiters.refuse()
	p.mu.Unlock()

	err := p.Flush(ctx)
	if err != nil {
		n := p.abandon()
		grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), callbackGrace)
		defer cancel()
		err = fmt.Errorf("close publisher: %d events with unknown outcome: %w", n, context.Cause(ctx))
		if p.Flush(grace) != nil {
			err = fmt.Errorf("%w; callbacks still run", err)
		}
	}
	p.end()
	p.stopped.Wait()
	p.calls.stopWatch()
	if p.cfg.Metrics != nil {
		p.metrics.unregister(p.cfg.Metrics)
	}
	return err
}
