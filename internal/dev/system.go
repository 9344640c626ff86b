package dev

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"golang.org/x/sync/errgroup"

	"firehose"
	"firehose/consumers/billing"
	"firehose/consumers/inventory"
	"firehose/consumers/replicator"
	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/publish"
	"firehose/producer"
	"firehose/producer/shop"
	"firehose/schemas"
)

// system is everything that runs.
type system struct {
	cfg     *command
	log     *slog.Logger
	stopAll func()

	broker    *embedded.Broker
	registry  *embedded.Registry
	client    *kafka.Client
	publisher *publish.Publisher
	server    *producer.Server
	members   []*member

	producing *prometheus.Registry // the publisher's and the door's metrics
	replayed  producer.Progress
	simulated producer.Progress
	fed       chan struct{} // closed when the replay is done and nothing is simulated

	finallySent atomic.Pointer[map[string]int64]

	closers []func() error // in the order of opening
}

// member is one service with its store.
type member struct {
	name     string
	topics   []string
	store    string // path of its database
	instance *firehose.Instance
	metrics  *prometheus.Registry // of its own: services export the same names
}

// start opens everything and feeds nothing yet. When it fails, what it opened is
// closed again.
func start(ctx context.Context, cfg *command, stopAll func(), log *slog.Logger) (_ *system, err error) {
	s := &system{cfg: cfg, log: log, stopAll: stopAll, producing: prometheus.NewRegistry(), fed: make(chan struct{})}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.close())
		}
	}()
	if err := os.MkdirAll(cfg.dir, 0o755); err != nil {
		return nil, fmt.Errorf("--dir: %w", err)
	}
	for _, step := range []func(context.Context) error{
		s.startBroker, s.startRegistry, s.connect, s.declare, s.openServices, s.openDoor,
	} {
		if err := step(ctx); err != nil {
			return nil, err
		}
	}
	return s, nil
}

func (s *system) onClose(f func() error) { s.closers = append(s.closers, f) }

// close closes what was opened, the last first.
func (s *system) close() error {
	var err error
	for _, f := range slices.Backward(s.closers) {
		err = errors.Join(err, f())
	}
	s.closers = nil
	return err
}

func (s *system) startBroker(context.Context) (err error) {
	s.broker, err = embedded.StartBroker(embedded.BrokerConfig{Dir: s.cfg.path("broker"), Addr: s.cfg.kafkaListen, Log: s.log})
	if err != nil {
		return s.explain(err, "kafka-listen", s.cfg.kafkaListen)
	}
	s.onClose(s.broker.Close)
	return nil
}

func (s *system) startRegistry(context.Context) (err error) {
	s.registry, err = embedded.StartRegistry(embedded.RegistryConfig{Dir: s.cfg.path("registry"), Addr: s.cfg.registryListen, Log: s.log})
	if err != nil {
		return s.explain(err, "registry-listen", s.cfg.registryListen)
	}
	s.onClose(s.registry.Close)
	return nil
}

// explain names the flag that an embedded server's error is about.
func (s *system) explain(err error, flag, addr string) error {
	switch {
	case errors.Is(err, embedded.ErrDirTaken):
		return fmt.Errorf("--dir %s: another firehose dev runs on it: stop that one, or choose another directory", s.cfg.dir)
	case errors.Is(err, embedded.ErrAddrTaken):
		return fmt.Errorf("--%s %s: the address is in use: stop what listens there, or choose another (port 0 takes a free one)", flag, addr)
	}
	return err
}

// connect makes the publisher and what it stands on.
func (s *system) connect(context.Context) error {
	reg, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{s.registry.URL()}})
	if err != nil {
		return err
	}
	s.onClose(func() error { reg.Close(); return nil })
	s.client, err = kafka.NewMeteredClient(kafka.Config{Brokers: []string{s.broker.Addr()}, ClientID: "firehose-dev", Log: s.log}, s.producing, "producer")
	if err != nil {
		return err
	}
	s.onClose(func() error { s.client.Close(); return nil })
	s.publisher, err = publish.New(s.client, reg, schemas.Shop(), publish.Config{
		Source: producer.DefaultSource, Metrics: s.producing, Log: s.log,
	})
	if err != nil {
		return err
	}
	// Closed in run, before anything that it needs; here for a start that failed.
	s.onClose(func() error { return s.publisher.Close(context.Background()) })
	return nil
}

// declare applies the event topics and registers their schemas.
func (s *system) declare(ctx context.Context) error {
	reg, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{s.registry.URL()}})
	if err != nil {
		return err
	}
	defer reg.Close()
	var topics []kafka.Topic
	for _, t := range schemas.Shop().Topics() {
		topics = append(topics, kafka.EventTopic(t.Contract, -1))
		if _, err := reg.Register(ctx, t); err != nil {
			return fmt.Errorf("register schemas of %s: %w", t.Topic, err)
		}
	}
	if _, err := kafka.ApplyTopics(ctx, s.client, topics); err != nil {
		return fmt.Errorf("apply topics: %w", err)
	}
	return nil
}

// openServices applies the services' dead-letter topics and opens their stores.
func (s *system) openServices(ctx context.Context) error {
	for _, svc := range []firehose.Service{replicator.Service(), inventory.Service(), billing.Service()} {
		m := &member{name: svc.Name, topics: svc.Topics(), store: s.cfg.path(svc.Name + ".db"), metrics: prometheus.NewRegistry()}
		cfg := firehose.Config{
			Brokers: []string{s.broker.Addr()}, Registry: []string{s.registry.URL()},
			Store: "sqlite:" + m.store, Log: s.log, Metrics: m.metrics,
			BreakerPause: s.cfg.breakerPause, SchemaPatience: s.cfg.schemaPatience,
		}
		manifest, err := svc.Manifest(ctx, cfg)
		if err != nil {
			return err
		}
		var topics []kafka.Topic
		for _, t := range manifest.Topics {
			topics = append(topics, kafka.Topic{Name: t.Name, Partitions: t.Partitions, Replication: -1, Configs: t.Configs})
		}
		if _, err := kafka.ApplyTopics(ctx, s.client, topics); err != nil {
			return fmt.Errorf("apply topics of %s: %w", svc.Name, err)
		}
		if m.instance, err = svc.Open(ctx, cfg); err != nil {
			return err
		}
		s.onClose(m.instance.Close)
		s.members = append(s.members, m)
	}
	return nil
}

func (s *system) openDoor(ctx context.Context) (err error) {
	s.server, err = producer.NewServer(ctx, producer.ServerConfig{Listen: s.cfg.listen, Handler: producer.HandlerConfig{
		Publisher: s.publisher, Set: schemas.Shop(), Metrics: s.producing, Log: s.log,
	}})
	return err
}

// run is the system's life: from the first event to the broker's end.
func (s *system) run(stop, abort context.Context) error {
	consuming, stopConsuming := context.WithCancel(context.WithoutCancel(stop))
	defer stopConsuming()
	var services, sources errgroup.Group
	for _, m := range s.members {
		services.Go(func() error {
			defer s.stopAll() // without one of them the system is none
			if err := m.instance.Run(consuming, abort); err != nil {
				return fmt.Errorf("%s: %w", m.name, err)
			}
			return nil
		})
	}
	sources.Go(func() error {
		defer s.stopAll()
		return s.server.Run(stop, abort)
	})
	sources.Go(func() error {
		err := s.feed(stop)
		if err != nil {
			s.stopAll()
		}
		return err
	})
	err := sources.Wait()
	err = errors.Join(err, s.publisher.Flush(abort))
	s.finallySent.Store(new(s.sent())) // a closed publisher has no metrics
	err = errors.Join(err, s.publisher.Close(abort))
	stopConsuming()
	err = errors.Join(err, services.Wait())
	return errors.Join(err, s.close())
}

// feed replays and simulates what was asked for.
func (s *system) feed(ctx context.Context) error {
	if d := s.cfg.dataset; d != nil {
		done, err := producer.Replay(ctx, s.publisher, producer.ReplayConfig{
			Dataset: *d, Rate: s.cfg.rate, Checkpoint: s.cfg.path("replay-" + strings.ReplaceAll(d.Name, ":", "-") + ".checkpoint"),
			Progress: &s.replayed, Log: s.log,
		})
		if err != nil {
			return err
		}
		if !done.Done {
			return nil
		}
		s.log.Info("replayed", "data_set", d.Name, "events", done.Acknowledged, "seconds", done.Elapsed.Round(time.Millisecond).Seconds())
	}
	if s.cfg.simulate > 0 {
		_, err := producer.Simulate(ctx, s.publisher, producer.SimulateConfig{
			Shop: shop.Config{Seed: 1}, Rate: s.cfg.simulate, Checkpoint: s.cfg.path("simulate.checkpoint"),
			Progress: &s.simulated, Log: s.log,
		})
		return err
	}
	close(s.fed)
	return nil
}
