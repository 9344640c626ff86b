package loadtest

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/loadtest/tally"
	"firehose/schemas"
)

// TargetConfig says what is tested. The zero value of a field means its default.
type TargetConfig struct {
	Kafka    kafka.Config
	Registry codec.RegistryConfig

	Store             string // of the service, as its --store has it
	StorePasswordFile string

	Domain      string // default tally.DefaultDomain
	Group       string // of the service; default tally.Name
	Partitions  int    // of topics that are made; default 8
	Replication int    // of topics that are made; default the cluster's own
	Door        string // URL of an HTTP door; default: events are published to Kafka
	Watches     []Watch

	// Patience bounds the wait for the service to be there and to have applied
	// what its topics hold already. Default 60s.
	Patience time.Duration

	Log *slog.Logger // default: nothing is logged
}

func (cfg *TargetConfig) setDefaults() {
	if cfg.Domain == "" {
		cfg.Domain = tally.DefaultDomain
	}
	if cfg.Group == "" {
		cfg.Group = tally.Name
	}
	if cfg.Partitions == 0 {
		cfg.Partitions = 8
	}
	if cfg.Replication == 0 {
		cfg.Replication = -1
	}
	if cfg.Patience == 0 {
		cfg.Patience = time.Minute
	}
	if cfg.Log == nil {
		cfg.Log = slog.New(slog.DiscardHandler)
	}
}

// Target is a system under test: a cluster, a registry, a service and its store.
// All of them are somebody else's; runs only send events and look.
type Target struct {
	cfg      TargetConfig
	names    tally.Names
	set      *schemas.Set
	client   *kafka.Client
	reader   *reader
	versions Versions
	brokers  int
}

// retention is that of topics that are made here: a load test's events are of no
// use once they were applied.
const retention = time.Hour

// OpenTarget registers the schemas and makes the topics that are missing.
func OpenTarget(ctx context.Context, cfg TargetConfig) (_ *Target, err error) {
	cfg.setDefaults()
	t := &Target{cfg: cfg, names: tally.NamesOf(cfg.Domain)}
	if t.set, err = tally.Set(cfg.Domain); err != nil {
		return nil, err
	}
	if t.client, err = kafka.NewClient(cfg.Kafka); err != nil {
		return nil, err
	}
	if t.reader, err = openReader(cfg.Store, cfg.StorePasswordFile); err != nil {
		t.client.Close()
		return nil, err
	}
	if err := t.prepare(ctx); err != nil {
		return nil, errors.Join(err, t.Close())
	}
	return t, nil
}

// Close closes the connections.
func (t *Target) Close() error {
	t.client.Close()
	return t.reader.close()
}

func (t *Target) prepare(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Patience)
	defer cancel()
	registry, err := codec.NewRegistry(t.cfg.Registry)
	if err != nil {
		return fmt.Errorf("registry: %w", err)
	}
	defer registry.Close()
	there, err := kafka.ListTopics(ctx, t.client)
	if err != nil {
		return fmt.Errorf("list topics: %w", err)
	}
	var missing []kafka.Topic
	for _, topic := range t.set.Topics() {
		if _, err := registry.Register(ctx, topic); err != nil {
			return fmt.Errorf("register schema of %s: %w", topic.Topic, err)
		}
		events := kafka.EventTopic(topic.Contract, int16(t.cfg.Replication))
		events.Partitions = int32(t.cfg.Partitions)
		letters := kafka.DeadLetterTopic(events, t.cfg.Group)
		// What a lagging service reads must be all that was sent: no compaction.
		events.Configs["cleanup.policy"] = "delete"
		events.Configs["retention.ms"] = fmt.Sprint(retention.Milliseconds())
		for _, topic := range []kafka.Topic{events, letters} {
			if !slices.Contains(there, topic.Name) {
				missing = append(missing, topic)
			}
		}
	}
	if len(missing) > 0 {
		if _, err := kafka.ApplyTopics(ctx, t.client, missing); err != nil {
			return fmt.Errorf("make topics: %w", err)
		}
	}
	return t.describe(ctx)
}

func (t *Target) describe(ctx context.Context) error {
	admin := kadm.NewClient(t.client)
	brokers, err := admin.ListBrokers(ctx)
	if err != nil {
		return fmt.Errorf("list brokers: %w", err)
	}
	t.brokers = len(brokers)
	t.versions.Kafka = "unknown"
	versions, err := admin.ApiVersions(ctx)
	if err != nil {
		return fmt.Errorf("ask for the brokers' versions: %w", err)
	}
	for _, v := range versions {
		t.versions.Kafka = v.VersionGuess()
	}
	return nil
}

// ends returns the end of each partition's log.
func (t *Target) ends(ctx context.Context) (map[partitionOf]int64, error) {
	infos, err := kafka.DescribeTopics(ctx, t.client, t.names.Items, t.names.Ticks)
	if err != nil {
		return nil, fmt.Errorf("describe topics: %w", err)
	}
	ends := map[partitionOf]int64{}
	for s, info := range infos {
		for _, p := range info.Partitions {
			ends[partitionOf{stream(s), p.ID}] = p.StableEnd
		}
	}
	return ends, nil
}

// awaitService waits until the service has applied what its topics hold, and
// returns the ends of their logs.
func (t *Target) awaitService(ctx context.Context) (map[partitionOf]int64, error) {
	ends, err := t.ends(ctx)
	if err != nil {
		return nil, err
	}
	t.reader.follow("", t.names, nil)
	ctx, cancel := context.WithTimeout(ctx, t.cfg.Patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		at := map[partitionOf]int64{}
		err := t.reader.positions(ctx, func(s stream, partition int32, next int64) { at[partitionOf{s, partition}] = next })
		var behind int64
		missing := 0
		for p, end := range ends {
			if next, ok := at[p]; !ok {
				missing++
			} else {
				behind += max(0, end-next)
			}
		}
		if err == nil && missing == 0 && behind == 0 {
			return ends, nil
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			if cause := context.Cause(ctx); !errors.Is(cause, context.DeadlineExceeded) {
				return nil, cause
			}
			switch {
			case err != nil:
				return nil, fmt.Errorf("waited %s for the service (loadtest serve) to make its store: %w", t.cfg.Patience, err)
			case missing > 0:
				return nil, fmt.Errorf("waited %s for the service (loadtest serve): it has no position in %d of %d partitions", t.cfg.Patience, missing, len(ends))
			}
			return nil, fmt.Errorf("waited %s for the service: it is %d events behind before the run has begun", t.cfg.Patience, behind)
		}
	}
}
