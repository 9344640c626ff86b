package consume

import (
	"errors"
	"log/slog"
	"runtime"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
)

// Config configures an Engine. Zero values mean the defaults.
type Config struct {
	// Group is the consumer group: one microservice, one store.
	Group string
	// Kafka is how to reach the cluster.
	Kafka kafka.Config
	// Handlers fold the topics; one per topic.
	Handlers []*Handler

	// Alone refuses to share the group: the store is one instance's, as a file
	// is. A member that is there already is given AlonePatience to go, which is
	// longer than the session of one that was killed. Default 60 s.
	Alone         bool
	AlonePatience time.Duration

	// Appliers is how many transactions are in flight at once, each over
	// partitions of its own. Default 1, which is right for SQLite.
	Appliers int
	// MaxBatch bounds a transaction in events. Default 20,000.
	MaxBatch int
	// MaxBatchBytes bounds a transaction in bytes on the wire. Default 16 MiB.
	MaxBatchBytes int
	// MaxQueueBytes bounds what waits, decoded or not, over all partitions, but
	// for one more poll.
	// Default 24 MiB.
	MaxQueueBytes int
	// Retry bounds the backoff after a transient failure. Default 100 ms to 10 s.
	RetryMin, RetryMax time.Duration
	// SchemaPatience is how long a record's unknown schema is asked for again,
	// before the record is set aside. Default 5 s.
	SchemaPatience time.Duration
	// BreakerPause is how long a partition rests when too many records in a row
	// were set aside. After it one record is tried every 1/30 of it. Default 30 s.
	BreakerPause time.Duration
	// MirrorEvery is how often the store's positions are mirrored into the
	// group's committed offsets. Default 1 s.
	MirrorEvery time.Duration
	// EndsEvery is how often the ends of partitions that rest are asked for, so
	// that their lag is true. Default 5 s.
	EndsEvery time.Duration
	// DeadLetterTimeout bounds the wait for a dead letter's acknowledgement,
	// after which it is tried again. Default 30 s.
	DeadLetterTimeout time.Duration

	Log     *slog.Logger          // default: discard
	Metrics prometheus.Registerer // default: none
	// ClientOptions are appended to the Kafka client's, for hooks and tests.
	ClientOptions []kgo.Opt
}

func (c *Config) validate() error {
	if c.Group == "" {
		return errors.New("group: want a name")
	}
	if len(c.Handlers) == 0 {
		return errors.New("handlers: want at least one")
	}
	seen := map[string]bool{}
	for _, h := range c.Handlers {
		if seen[h.Topic.Topic] {
			return errors.New("handlers: topic " + h.Topic.Topic + " has two")
		}
		seen[h.Topic.Topic] = true
	}
	defaultTo(&c.AlonePatience, time.Minute)
	defaultTo(&c.Appliers, 1)
	defaultTo(&c.MaxBatch, 20_000)
	defaultTo(&c.MaxBatchBytes, 16<<20)
	defaultTo(&c.MaxQueueBytes, 24<<20)
	defaultTo(&c.RetryMin, 100*time.Millisecond)
	defaultTo(&c.RetryMax, 10*time.Second)
	defaultTo(&c.SchemaPatience, 5*time.Second)
	defaultTo(&c.BreakerPause, 30*time.Second)
	defaultTo(&c.MirrorEvery, time.Second)
	defaultTo(&c.EndsEvery, 5*time.Second)
	defaultTo(&c.DeadLetterTimeout, 30*time.Second)
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Metrics == nil {
		c.Metrics = prometheus.NewRegistry()
	}
	return nil
}

func defaultTo[T comparable](v *T, d T) {
	var zero T
	if *v == zero {
		*v = d
	}
}

// decoders is how many records are decoded at once.
func decoders() int { return max(1, runtime.GOMAXPROCS(0)) }
