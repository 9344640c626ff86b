package firehose

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/kafka"
	"firehose/internal/service"
	"firehose/internal/store"
	"firehose/schemas"
)

// Service is one microservice: one consumer group, one store.
type Service struct {
	// Name is the service's, and its group's unless Config says otherwise:
	// lower-case letters, digits and dashes.
	Name string
	// Schemas are the contracts of the topics that the projections read. A
	// topic that is not among them is taken from the registry.
	Schemas *schemas.Set
	// Tables is the service's own model, beyond what Replica makes.
	Tables []*Table
	// Projections fold the topics, one per topic.
	Projections []Projection
}

// Config says where a service runs. The zero value of a field means its default.
type Config struct {
	Brokers  []string // host:port; default 127.0.0.1:9092
	Registry []string // URLs of one schema registry; default http://127.0.0.1:8081
	// Store is "sqlite:PATH", for a service of one instance, or
	// "postgres://USER@HOST:PORT/DATABASE?search_path=SCHEMA", which instances
	// share. Default "sqlite:NAME.db".
	Store string
	// StorePasswordFile holds PostgreSQL's password. It is read for each
	// connection, so that the password may change. Default: none.
	StorePasswordFile string

	Group string // consumer group; default the service's name

	Kafka          KafkaAccess    // default: neither TLS nor a login
	RegistryAccess RegistryAccess // default: none

	MaxBatch      int // events in one transaction; default 20,000
	MaxQueueBytes int // memory of events that are read ahead, over all partitions; default 24 MiB

	BreakerPause   time.Duration // rest after too many records set aside in a row; default 30s
	SchemaPatience time.Duration // how long an unknown schema is asked for again; default 5s

	Log     *slog.Logger          // default: nothing is logged
	Metrics prometheus.Registerer // default: none
}

var serviceName = regexp.MustCompile(`^[a-z][a-z0-9-]*$`)

func (s *Service) validate() error {
	if !serviceName.MatchString(s.Name) {
		return fmt.Errorf("service name %q: want lower-case letters, digits and dashes", s.Name)
	}
	if len(s.Projections) == 0 {
		return fmt.Errorf("service %s: has no projection", s.Name)
	}
	seen := map[string]bool{}
	for _, p := range s.Projections {
		if p.build == nil {
			return fmt.Errorf("service %s: a projection is empty: make it with OnFact, OnEntity, OnChange or Replica", s.Name)
		}
		if seen[p.topic] {
			return fmt.Errorf("service %s: topic %s has two projections", s.Name, p.topic)
		}
		seen[p.topic] = true
	}
	if err := validateTables(s.Tables); err != nil {
		return fmt.Errorf("service %s: %w", s.Name, err)
	}
	return nil
}

// The least that may be read ahead: a batch of records of the size that brokers
// take by default.
const minQueueBytes = 1 << 20

func (c *Config) validate() error {
	switch {
	case c.MaxBatch < 0:
		return fmt.Errorf("max batch %d: want 1 or more events", c.MaxBatch)
	case c.MaxQueueBytes != 0 && c.MaxQueueBytes < minQueueBytes:
		return fmt.Errorf("max queue bytes %d: want %d or more", c.MaxQueueBytes, minQueueBytes)
	case c.BreakerPause < 0:
		return fmt.Errorf("breaker pause %v: want 0 (the default) or more", c.BreakerPause)
	case c.SchemaPatience < 0:
		return fmt.Errorf("schema patience %v: want 0 (the default) or more", c.SchemaPatience)
	}
	// The member's client is made when it runs, and joins the group at once. One
	// that does nothing says before that whether its configuration is good.
	client, err := kafka.NewClient(c.kafka())
	if err != nil {
		return err
	}
	client.Close()
	return nil
}

// kafka is the configuration of the member's client. It has its defaults.
func (c *Config) kafka() kafka.Config { return c.Kafka.config(c.Brokers, c.Group, c.Log) }

// wrong marks an error as one of whoever wrote the configuration: a command
// exits with 2 for it, and not with 1.
func wrong(err error) error { return &service.UsageError{Err: err} }

// Topics returns the names of the topics that the service reads, sorted.
func (s *Service) Topics() []string {
	var names []string
	for _, p := range s.Projections {
		names = append(names, p.topic)
	}
	slices.Sort(names)
	return names
}

// Instance is a running member of a service's group.
type Instance struct {
	engine   *consume.Engine
	store    database // nil until it is open
	registry *codec.Registry
}

// Open opens the service's store and prepares a member of its group. Nothing is
// consumed before Run; after Run, or instead of it, call Close.
func (s *Service) Open(ctx context.Context, cfg Config) (*Instance, error) {
	if err := s.validate(); err != nil {
		return nil, err
	}
	cfg.defaults(s.Name)
	if err := cfg.validate(); err != nil {
		return nil, fmt.Errorf("service %s: %w", s.Name, wrong(err))
	}
	registry, err := cfg.RegistryAccess.open(cfg.Registry)
	if err != nil {
		return nil, fmt.Errorf("service %s: registry: %w", s.Name, wrong(err))
	}
	i := &Instance{registry: registry}
	if err := i.open(ctx, s, cfg); err != nil {
		return nil, errors.Join(fmt.Errorf("service %s: %w", s.Name, err), i.Close())
	}
	return i, nil
}

func (c *Config) defaults(name string) {
	if len(c.Brokers) == 0 {
		c.Brokers = []string{kafka.DefaultBroker}
	}
	if len(c.Registry) == 0 {
		c.Registry = []string{"http://127.0.0.1:8081"}
	}
	if c.Store == "" {
		c.Store = "sqlite:" + name + ".db"
	}
	if c.Group == "" {
		c.Group = name
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
}

// handlers builds the projections, and returns them with all of the service's
// tables.
func (s *Service) handlers(ctx context.Context, env *environment) ([]*consume.Handler, []*store.Table, error) {
	var handlers []*consume.Handler
	tables := make([]*store.Table, 0, len(s.Tables))
	for _, t := range s.Tables {
		tables = append(tables, t.table)
	}
	for _, p := range s.Projections {
		h, own, err := p.build(ctx, env)
		if err != nil {
			return nil, nil, err
		}
		handlers = append(handlers, h)
		tables = append(tables, own...)
	}
	return handlers, tables, nil
}

func (i *Instance) open(ctx context.Context, s *Service, cfg Config) error {
	handlers, tables, err := s.handlers(ctx, newEnvironment(s.Schemas, i.registry))
	if err != nil {
		return err
	}
	opened, err := openStore(ctx, &cfg, tables)
	if err != nil {
		return err
	}
	i.store = opened.database
	i.engine, err = consume.New(consume.Config{
		Group:          cfg.Group,
		Kafka:          cfg.kafka(),
		Handlers:       handlers,
		Alone:          opened.alone,
		Appliers:       opened.appliers,
		MaxBatch:       cfg.MaxBatch,
		MaxQueueBytes:  cfg.MaxQueueBytes,
		BreakerPause:   cfg.BreakerPause,
		SchemaPatience: cfg.SchemaPatience,
		Log:            cfg.Log,
		Metrics:        cfg.Metrics,
	}, i.store)
	return err
}

// Run consumes until ctx ends; then it finishes the transaction in flight,
// leaves the group and returns nil. abort, unless nil, ends what has not
// finished by then. An error means that the service cannot go on.
func (i *Instance) Run(ctx, abort context.Context) error { return i.engine.Run(ctx, abort) }

// Ready returns nil while the instance serves; otherwise the error names each
// partition that is paused or stopped, and in which state.
func (i *Instance) Ready() error { return i.engine.Ready() }

// Close closes the store. Run must have returned.
func (i *Instance) Close() error {
	var err error
	if i.store != nil {
		err = i.store.Close()
	}
	i.registry.Close()
	return err
}

// PartitionStatus says what a partition of an instance is doing.
type PartitionStatus struct {
	Topic     string
	Partition int32
	Position  int64         // next offset to apply
	End       int64         // end of the log (last stable offset), as last fetched
	State     string        // "active", "paused_…" or "stopped_…"
	Why       string        // what caused a state that is not active
	Age       time.Duration // since sending of the oldest record not yet applied, or since it is known to be there
}

// Status returns what the instance's partitions are doing.
func (i *Instance) Status() []PartitionStatus {
	var out []PartitionStatus
	for _, s := range i.engine.Status() {
		out = append(out, PartitionStatus{
			Topic: s.Position.Topic, Partition: s.Position.Partition, Position: s.Position.Next,
			End: s.End, State: string(s.State), Why: s.Why, Age: s.Age,
		})
	}
	return out
}

// Counts says what an instance has done since it was opened.
type Counts struct {
	Applied   int64 // events whose effect is committed, those without effect among them
	Stale     int64 // rows that were newer in the store
	Duplicate int64 // events or rows that were there already
	Conflicts int64 // concurrent events that lost, recorded
	SetAside  int64 // records written to dead-letter topics
	Rows      int64 // rows put, removed, added to or appended
}

// Counts returns what the instance has done so far.
func (i *Instance) Counts() Counts { return Counts(i.engine.Counts()) }

// Hash returns a hash of the service's tables that is equal wherever the same
// events were folded, whatever their delivery.
func (i *Instance) Hash(ctx context.Context) (string, error) { return i.store.Hash(ctx) }
