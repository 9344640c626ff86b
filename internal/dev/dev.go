// Package dev is `firehose dev`: the whole system in one process, on data kept
// in one directory. Broker, schema registry, HTTP door and the three services
// are the very code that their own binaries run; only the addresses are chosen
// here.
//
//	sources ── publisher ── broker ── replicator, inventory, billing ── stores
//	HTTP, replay,             registry
//	simulator
//
// A stop goes through them from left to right: the sources first, then what was
// published is waited for, the services finish their transactions, the stores
// are closed, the registry, the broker last.
//
//	DIR/broker, DIR/registry       what the embedded ones keep
//	DIR/replicator.db, inventory.db, billing.db
//	DIR/replay-NAME.checkpoint     how far a replay got
//	DIR/simulate.checkpoint        how far the simulated shop got
package dev

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/failpoint"
	"firehose/internal/service"
	"firehose/producer"
)

// command is `firehose dev`.
type command struct {
	dir            string
	listen         string
	kafkaListen    string
	registryListen string
	replay         string
	rate           float64
	simulate       float64
	exitWhenIdle   bool
	asJSON         bool
	breakerPause   time.Duration
	schemaPatience time.Duration
	admin          service.Admin
	shutdown       service.Shutdown
	log            service.Log

	dataset        *producer.Dataset // what --replay names
	stdout, stderr io.Writer
}

// Command returns the command `dev`.
func Command() *service.Command {
	c := &command{stdout: os.Stdout, stderr: os.Stderr}
	return &service.Command{
		Name:    "dev",
		Summary: "run the whole system in one process: broker, registry, ingest, three services",
		Help: "Everything is kept below --dir, and starting again goes on from there: what was\n" +
			"sent is not sent twice. --replay cdnow feeds 69,659 real purchases (cdnow:1000 the\n" +
			"first 1,000 of them), --simulate goes on with an endless synthetic shop. Ctrl-C\n" +
			"stops in good order.",
		Example: "firehose dev --replay cdnow --simulate 50\n" +
			"firehose dev --dir /tmp/cdnow --replay cdnow --exit-when-idle -J",
		Env:      failpoint.Env,
		Register: c.register,
		Run:      c.run,
	}
}

func (c *command) register(f *service.Flags) {
	f.StringVar(&c.dir, "dir", "./firehose-data", "`directory` that holds all data")
	f.StringVar(&c.listen, "listen", producer.DefaultListen, "`address` of the HTTP door; port 0 takes a free one, here and below")
	f.StringVar(&c.kafkaListen, "kafka-listen", service.DefaultBrokers, "`address` of the broker")
	f.StringVar(&c.registryListen, "registry-listen", strings.TrimPrefix(service.DefaultRegistry, "http://"), "`address` of the schema registry")
	f.StringVar(&c.replay, "replay", "", "feed the `data set`: cdnow, or cdnow:N for its first N purchases")
	f.Float64Var(&c.rate, "rate", 0, "replay so many `events` a second; 0 is as fast as they are taken")
	f.Float64Var(&c.simulate, "simulate", 0, "after the replay, simulate a shop of so many `events` a second, endlessly; 0 is none")
	f.BoolVar(&c.exitWhenIdle, "exit-when-idle", false, "stop once everything sent has been applied by every service")
	f.BoolVar(&c.asJSON, "json", false, "print the summary as JSON, on standard output, which has nothing else then")
	f.Short("J", "json")
	f.DurationVar(&c.breakerPause, "breaker-pause", 30*time.Second, "`rest` of a partition on which too many records in a row were set aside")
	f.DurationVar(&c.schemaPatience, "schema-patience", 5*time.Second, "`time` to ask again for a schema that the registry does not know")
	c.admin.Register(f)
	c.shutdown.Register(f)
	c.log.Register(f)
}

func (c *command) validate() error {
	switch {
	case c.dir == "":
		return service.Usagef("--dir: want a directory")
	case !(c.rate >= 0 && c.rate <= math.MaxInt32):
		return service.Usagef("--rate %v: want a positive number of events a second", c.rate)
	case !(c.simulate >= 0 && c.simulate <= math.MaxInt32):
		return service.Usagef("--simulate %v: want a positive number of events a second", c.simulate)
	case c.rate > 0 && c.replay == "":
		return service.Usagef("--rate: is the replay's, and there is no --replay")
	case c.exitWhenIdle && c.simulate > 0:
		return service.Usagef("--exit-when-idle: --simulate never ends; give one of them")
	}
	// On loopback unless told otherwise: ":8080" names no host.
	for _, addr := range []*string{&c.listen, &c.kafkaListen, &c.registryListen, &c.admin.Addr} {
		if strings.HasPrefix(*addr, ":") {
			*addr = "127.0.0.1" + *addr
		}
	}
	if c.replay != "" {
		d, err := producer.DatasetNamed(c.replay)
		if err != nil {
			return service.Usagef("--replay: %w", err)
		}
		c.dataset = &d
	}
	return nil
}

func (c *command) run(parent context.Context, _ []string) error {
	if err := c.validate(); err != nil {
		return err
	}
	text := c.stdout
	if c.asJSON {
		text = c.stderr
	}
	fmt.Fprintf(text, "firehose dev: starting on %s; Ctrl-C stops\n", c.dir)

	screen := &console{w: c.stderr, terminal: service.IsTerminal(c.stderr)}
	if c.log.Format == "auto" && screen.terminal {
		c.log.Format = "text"
	}
	log := c.log.Logger(screen)
	ctx, stop := context.WithCancel(parent)
	defer stop()
	group := service.NewGroup(ctx, c.shutdown.Grace)
	s, err := start(ctx, c, stop, log)
	if err != nil {
		if parent.Err() != nil && errors.Is(err, context.Canceled) {
			return nil // asked to stop before it had begun
		}
		return err
	}
	health := service.NewHealth()
	sources := prometheus.Gatherers{service.NewMetrics(), s.producing}
	for _, m := range s.members {
		health.Check(m.name, func(context.Context) error { return m.instance.Ready() })
		sources = append(sources, m.metrics)
	}
	if err := c.admin.Start(group, health, sources, log); err != nil {
		return errors.Join(err, s.server.Close(), s.close())
	}
	s.printStart(text, c.admin.Addr)

	var idle bool
	began := time.Now()
	group.Go("dev", s.run)
	group.Attend("status", func(ctx context.Context) error {
		s.showStatus(ctx, screen, log)
		return nil
	})
	if c.exitWhenIdle {
		group.Go("idle", func(stop, _ context.Context) (err error) {
			idle, err = s.untilIdle(stop)
			return err
		})
	}
	err = group.Wait()
	if errors.Is(err, service.ErrAborted) {
		return err // something may still be running: its figures would not be the last
	}
	return errors.Join(err, s.summary(time.Since(began), idle).print(c.stdout, c.asJSON))
}

// path is where something is kept.
func (c *command) path(name string) string { return filepath.Join(c.dir, name) }
