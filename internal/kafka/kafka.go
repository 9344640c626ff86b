// Package kafka builds the Kafka client from configuration and looks after
// topics. Publishing and consuming are in their own packages, on top of the
// client that this one makes.
//
//	client, err := kafka.NewClient(kafka.Config{Brokers: []string{"127.0.0.1:9092"}})
//	...
//	defer client.Close()
//	changes, err := kafka.ApplyTopics(ctx, client, []kafka.Topic{kafka.EventTopic(contract, 3)})
package kafka

import (
	"errors"
	"fmt"
	"log/slog"
	"net"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

// DefaultBroker is where the embedded broker listens.
const DefaultBroker = "127.0.0.1:9092"

// What a client holds that is not acknowledged, unless its configuration says
// otherwise.
const (
	DefaultBufferedRecords = 100_000
	DefaultBufferedBytes   = 128 << 20
	DefaultDeliveryTimeout = 30 * time.Second
)

// Config says how to reach Kafka and how much memory that may take. The zero
// value of a field means its default.
type Config struct {
	Brokers  []string // host:port of some of the brokers; default DefaultBroker
	ClientID string   // what brokers log and quotas are set for; default "firehose"
	Rack     string   // where this client is, so that it reads from the closest replica; default unknown
	TLS      TLS      // default: none
	SASL     SASL     // default: none

	// Compression of what is produced: none, gzip, snappy, lz4 or zstd. Default
	// snappy; docs/adr/0005-compression.md says why.
	Compression string
	// GroupProtocol of a consumer: "classic", the default, whose members agree
	// on the assignment (cooperative-sticky), or "consumer", where the broker
	// makes it (KIP-848; Kafka 4.0 and later).
	GroupProtocol string

	DialTimeout    time.Duration // one connection attempt; default 5s
	RequestTimeout time.Duration // one request's answer, beyond what the broker may itself wait; default 10s

	// DeliveryTimeout is how long the client holds a record that it could not
	// send. Default 30s, counted from the record's timestamp, so leave that
	// empty or now. It never gives up a record that may have reached a broker:
	// whoever waits for it needs a clock of his own, as publish has.
	DeliveryTimeout time.Duration

	RetryBackoff time.Duration // the pause before the first retry; it grows up to 16 times; default 200ms

	MaxBatchBytes      int32 // of one partition in one produce request; default 1,000,012, below Kafka's limit of 1,048,588
	MaxBufferedRecords int   // waiting to be acknowledged; default DefaultBufferedRecords
	MaxBufferedBytes   int   // the same in bytes of keys, values and headers; default DefaultBufferedBytes

	// MaxFetchBytes bounds what one broker sends in one answer; the client
	// holds up to two of them per broker, decompressed. Default 1.5 MiB.
	MaxFetchBytes int32
	// MaxPartitionFetchBytes is the same of one partition. The default is as much:
	// an answer then brings a long run of one partition, in which more events are
	// about one row than in short ones of several.
	MaxPartitionFetchBytes int32
	MaxDecompressedBytes   int // what a fetched batch may decompress to; default 64 MiB

	Log *slog.Logger // the client's own lines, from warnings up; default: nothing is logged
}

func (cfg *Config) setDefaults() {
	if len(cfg.Brokers) == 0 {
		cfg.Brokers = []string{DefaultBroker}
	}
	or(&cfg.ClientID, "firehose")
	or(&cfg.Compression, "snappy")
	or(&cfg.GroupProtocol, ClassicGroup)
	or(&cfg.DialTimeout, 5*time.Second)
	or(&cfg.RequestTimeout, 10*time.Second)
	or(&cfg.DeliveryTimeout, DefaultDeliveryTimeout)
	or(&cfg.RetryBackoff, 200*time.Millisecond)
	or(&cfg.MaxBatchBytes, 1_000_012)
	or(&cfg.MaxBufferedRecords, DefaultBufferedRecords)
	or(&cfg.MaxBufferedBytes, DefaultBufferedBytes)
	or(&cfg.MaxFetchBytes, 3<<19)
	or(&cfg.MaxPartitionFetchBytes, 3<<19)
	or(&cfg.MaxDecompressedBytes, 64<<20)
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
}

func or[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

func (cfg *Config) validate() error {
	for _, addr := range cfg.Brokers {
		if _, _, err := net.SplitHostPort(addr); err != nil {
			return fmt.Errorf("brokers: %q: want host:port", addr)
		}
	}
	if _, ok := compressions[cfg.Compression]; !ok {
		return fmt.Errorf("compression %q: want none, gzip, snappy, lz4 or zstd", cfg.Compression)
	}
	switch {
	case cfg.GroupProtocol != ClassicGroup && cfg.GroupProtocol != ConsumerGroup:
		return fmt.Errorf("group protocol %q: want %s or %s", cfg.GroupProtocol, ClassicGroup, ConsumerGroup)
	case cfg.DialTimeout < 0 || cfg.RequestTimeout < 0 || cfg.DeliveryTimeout < time.Second:
		return errors.New("timeouts: want positive ones, and a delivery timeout of at least 1s")
	case cfg.RetryBackoff < time.Millisecond:
		return fmt.Errorf("retry backoff %s: want at least 1ms", cfg.RetryBackoff)
	case cfg.RequestTimeout < 100*time.Millisecond:
		return fmt.Errorf("request timeout %s: want at least 100ms", cfg.RequestTimeout)
	case cfg.MaxBatchBytes < 1<<10:
		return fmt.Errorf("batch bytes %d: want at least 1 KiB", cfg.MaxBatchBytes)
	case cfg.MaxBufferedRecords < 0 || cfg.MaxBufferedBytes < 0:
		return errors.New("buffer: want positive bounds")
	case cfg.MaxFetchBytes < 1<<10 || cfg.MaxPartitionFetchBytes < 1<<10:
		return errors.New("fetch bytes: want at least 1 KiB")
	case cfg.MaxDecompressedBytes < 0:
		return errors.New("decompressed bytes: want a positive bound")
	}
	return nil
}

// The group protocols.
const (
	ClassicGroup  = "classic"
	ConsumerGroup = "consumer"
)

var compressions = map[string]kgo.CompressionCodec{
	"none": kgo.NoCompression(), "gzip": kgo.GzipCompression(), "snappy": kgo.SnappyCompression(),
	"lz4": kgo.Lz4Compression(), "zstd": kgo.ZstdCompression(),
}

// NewClient returns a client whose memory and waits are bounded. As a producer
// it is idempotent, waits for all in-sync replicas, does not linger, and puts a
// key where Java's client does. opts come last, so they can add and override.
// It does not connect: the first request does.
func NewClient(cfg Config, opts ...kgo.Opt) (*kgo.Client, error) {
	cfg.setDefaults()
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	security, err := cfg.security()
	if err != nil {
		return nil, fmt.Errorf("kafka configuration: %w", err)
	}
	doubt := new(Doubt)
	base := []kgo.Opt{
		kgo.SeedBrokers(cfg.Brokers...),
		kgo.ClientID(cfg.ClientID),
		kgo.RequestTimeoutOverhead(cfg.RequestTimeout),
		kgo.WithHooks(doubt),
		kgo.RetryBackoffFn(doubt.backoff(cfg.RetryBackoff)),
		kgo.WithLogger(&clientLog{log: cfg.Log, said: map[string]*saying{}}),
		// Brokers agree on a new leader some 9 s after the old one died; at the
		// default of 5 s between two questions the client learns of it so late
		// that events have run out of their time.
		kgo.MetadataMinAge(500 * time.Millisecond),

		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(compressions[cfg.Compression]),
		kgo.RecordPartitioner(kgo.StickyKeyPartitioner(nil)), // murmur2, as Java
		kgo.ProducerLinger(0),                                // batches form while a request is in flight
		kgo.ProduceRequestTimeout(cfg.RequestTimeout),
		kgo.RecordDeliveryTimeout(cfg.DeliveryTimeout),
		kgo.ProducerBatchMaxBytes(cfg.MaxBatchBytes),
		kgo.MaxBufferedRecords(cfg.MaxBufferedRecords),
		kgo.MaxBufferedBytes(cfg.MaxBufferedBytes),

		kgo.FetchMaxBytes(cfg.MaxFetchBytes),
		kgo.FetchMaxPartitionBytes(cfg.MaxPartitionFetchBytes),
		kgo.MaxDecompressBatchBytes(cfg.MaxDecompressedBytes),
		// A broker sends a batch that is larger than the fetch limit all the
		// same, so that consumers cannot get stuck: leave room for one.
		kgo.BrokerMaxReadBytes(max(2*cfg.MaxFetchBytes, cfg.MaxFetchBytes+16<<20)),
	}
	if cfg.Rack != "" {
		base = append(base, kgo.Rack(cfg.Rack))
	}
	if !cfg.TLS.enabled() && !cfg.SASL.enabled() {
		base = append(base, kgo.DialTimeout(cfg.DialTimeout)) // a dialer of ours has its own
	}
	client, err := kgo.NewClient(append(append(base, security...), opts...)...)
	if err != nil {
		return nil, fmt.Errorf("kafka client: %w", err)
	}
	return client, nil
}
