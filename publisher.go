package firehose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/publish"
	"firehose/schemas"
)

// Outgoing is an event to be published. Type and Data suffice: key, version and
// time are taken from the data, as the topic's contract says.
type Outgoing struct {
	Type string // e.g. "shop.order.placed"; it says which topic the event goes to
	Data any    // a pointer to a struct with avro tags, or a map[string]any

	// Delete says that the entity Key is gone at Version, which is above that of
	// its last state. Data is nil.
	Delete  bool
	Key     string
	Version int64

	ID            string    // unique per Source; a UUIDv7 when empty. The same ID again is the same event
	Source        string    // default: the publisher's
	Time          time.Time // default: the data's time field, else now
	Origin        string    // who first said it; default: Source
	CorrelationID string
	CausationID   string // ID of the event that caused this one
}

func (o *Outgoing) event() *publish.Event {
	return &publish.Event{
		Envelope: event.Envelope{
			ID: o.ID, Source: o.Source, Type: o.Type, Time: o.Time, Subject: o.Key,
			Sequence: o.Version, HasSequence: o.Version != 0 || o.Delete,
			Origin: o.Origin, CorrelationID: o.CorrelationID, CausationID: o.CausationID,
		},
		Data: o.Data, Tombstone: o.Delete,
	}
}

// Receipt says where an acknowledged event is.
type Receipt struct {
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// What errors.Is finds in the errors of a Publisher.
var (
	ErrRejected = publish.ErrRejected // certainly not written
	ErrUnknown  = publish.ErrUnknown  // perhaps written: sending the same ID again is safe
	ErrFull     = publish.ErrFull     // no room: of TryPublish at once, of Publish after the timeout
	ErrClosed   = publish.ErrClosed   // of TryPublish: the publisher is closed
)

// PublishError says why an event has no receipt. It never quotes the event's
// data.
type PublishError struct {
	Unknown bool   // perhaps written; otherwise certainly not
	Reason  string // one of few, stable: "data", "too_large", "timeout", ...
	EventID string // also when the publisher made it
	Err     error  // the cause
}

// Error names the outcome, the reason and the cause.
func (e *PublishError) Error() string {
	outcome := "rejected"
	if e.Unknown {
		outcome = "unknown"
	}
	return fmt.Sprintf("event %s (%s): %v", outcome, e.Reason, e.Err)
}

// Unwrap returns the cause.
func (e *PublishError) Unwrap() error { return e.Err }

// Is finds ErrRejected and ErrUnknown.
func (e *PublishError) Is(target error) bool {
	return target == ErrRejected && !e.Unknown || target == ErrUnknown && e.Unknown
}

func publishError(err error) error {
	var p *publish.Error
	if !errors.As(err, &p) {
		return err
	}
	return &PublishError{Unknown: p.Outcome == publish.Unknown, Reason: p.Reason, EventID: p.EventID, Err: p.Err}
}

// PublisherConfig configures a Publisher. The zero value of a field means its
// default; Schemas and Source have none.
type PublisherConfig struct {
	Schemas *schemas.Set // the contracts of the topics that are written
	Source  string       // who publishes, e.g. "/service/checkout"

	Brokers  []string // host:port; default 127.0.0.1:9092
	Registry []string // URLs of one schema registry; default http://127.0.0.1:8081

	Kafka          KafkaAccess    // default: neither TLS nor a login
	RegistryAccess RegistryAccess // default: none

	MaxRecords int           // events not yet answered; default 6,000
	MaxBytes   int64         // the same in bytes; default 64 MiB
	Timeout    time.Duration // to wait for room, then rejected; and for an answer, then unknown; default 30s

	Log     *slog.Logger          // default: nothing is logged
	Metrics prometheus.Registerer // default: none
}

// Publisher publishes events. It is safe for concurrent use.
type Publisher struct {
	publisher *publish.Publisher
	client    *kafka.Client
	registry  *codec.Registry
}

// NewPublisher returns a publisher. It connects when the first event is
// published. The schemas must be registered already.
func NewPublisher(cfg PublisherConfig) (*Publisher, error) {
	if cfg.Schemas == nil {
		return nil, errors.New("publisher: schemas: want those of the topics to be written")
	}
	at := Config{Brokers: cfg.Brokers, Registry: cfg.Registry, Log: cfg.Log}
	at.defaults("publisher")
	registry, err := cfg.RegistryAccess.open(at.Registry)
	if err != nil {
		return nil, fmt.Errorf("publisher: registry: %w", err)
	}
	clientConfig := cfg.Kafka.config(at.Brokers, "firehose-publisher", at.Log)
	clientConfig.MaxBufferedRecords = max(kafka.DefaultBufferedRecords, twice(cfg.MaxRecords))
	clientConfig.MaxBufferedBytes = max(kafka.DefaultBufferedBytes, twice(int(cfg.MaxBytes)))
	client, err := kafka.NewMeteredClient(clientConfig, cfg.Metrics, "publisher")
	if err != nil {
		registry.Close()
		return nil, fmt.Errorf("publisher: %w", err)
	}
	p, err := publish.New(client, registry, cfg.Schemas, publish.Config{
		Source: cfg.Source, MaxRecords: cfg.MaxRecords, MaxBytes: cfg.MaxBytes,
		Timeout: cfg.Timeout, Log: at.Log, Metrics: cfg.Metrics,
	})
	if err != nil {
		client.Close()
		registry.Close()
		return nil, fmt.Errorf("publisher: %w", err)
	}
	return &Publisher{publisher: p, client: client, registry: registry}, nil
}

// twice is how much room the client has for a bound of the publisher's, which
// alone is to be felt: the client counts an event a moment longer, and refuses
// where the publisher waits.
func twice(bound int) int { return bound + min(bound, math.MaxInt-bound) }

// Publish sends e on its way; when it returns, e is the caller's again and e.ID
// says which ID the event has. It waits only for room, when too many events are
// unanswered, and at the first event of a topic, for the timeout at most. done is
// called exactly once, possibly before Publish returns; its error is a
// *PublishError.
func (p *Publisher) Publish(ctx context.Context, e *Outgoing, done func(Receipt, error)) {
	ev := e.event()
	p.publisher.Publish(ctx, ev, answer(done))
	e.ID = ev.ID
}

// TryPublish is Publish for callers who cannot wait: where Publish would wait
// for room it returns ErrFull, and done is not called.
func (p *Publisher) TryPublish(ctx context.Context, e *Outgoing, done func(Receipt, error)) error {
	ev := e.event()
	err := p.publisher.TryPublish(ctx, ev, answer(done))
	e.ID = ev.ID
	return err
}

func answer(done func(Receipt, error)) func(publish.Receipt, error) {
	return func(r publish.Receipt, err error) {
		if err != nil {
			done(Receipt{}, publishError(err))
			return
		}
		done(Receipt(r), nil)
	}
}

// Send publishes e and waits for its receipt. When ctx ends first the error is
// an ErrUnknown: the event may still be written.
func (p *Publisher) Send(ctx context.Context, e *Outgoing) (Receipt, error) {
	type answer struct {
		receipt Receipt
		err     error
	}
	answered := make(chan answer, 1)
	p.Publish(ctx, e, func(r Receipt, err error) { answered <- answer{r, err} })
	select {
	case a := <-answered:
		return a.receipt, a.err
	default:
	}
	select {
	case a := <-answered:
		return a.receipt, a.err
	case <-ctx.Done():
		return Receipt{}, &PublishError{Unknown: true, Reason: "canceled", EventID: e.ID, Err: context.Cause(ctx)}
	}
}

// Flush waits until every event is answered and its callback has returned.
func (p *Publisher) Flush(ctx context.Context) error { return p.publisher.Flush(ctx) }

// Close refuses new events, waits until those taken are answered, and answers
// the rest unknown when ctx ends first.
func (p *Publisher) Close(ctx context.Context) error {
	err := p.publisher.Close(ctx)
	p.client.Close()
	p.registry.Close()
	return err
}
