package loadtest

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"firehose"
	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/publish"
	"firehose/internal/service"
	"firehose/loadtest/tally"
	"firehose/producer"
)

const withParentUsage = "stop when standard input closes: for a program that starts this one"

// serveCommand is the service under test as a process of its own.
func serveCommand(stdin io.Reader) *service.Command {
	var (
		domain string
		parent bool
	)
	c := firehose.Program{
		Name: tally.Name,
		Flags: func(f *flag.FlagSet) {
			f.StringVar(&domain, "domain", tally.DefaultDomain, "topics are `DOMAIN`.items and DOMAIN.ticks")
			f.BoolVar(&parent, "with-parent", false, withParentUsage)
		},
		Service: func() (firehose.Service, error) { return tally.Service(domain) },
	}.Command()
	c.Name = "serve"
	c.Summary = "the service that a run measures: start as many as are to share the work"
	c.Example = "loadtest serve --store sqlite:./loadtest.db"
	run := c.Run
	c.Run = func(ctx context.Context, args []string) error {
		if parent {
			var cancel context.CancelFunc
			ctx, cancel = withParent(ctx, stdin)
			defer cancel()
		}
		return run(ctx, args)
	}
	return c
}

// clusterCommand is an embedded broker and registry as a process of their own.
func clusterCommand(stdin io.Reader, stdout io.Writer) *service.Command {
	var (
		dir    string
		parent bool
	)
	return &service.Command{
		Name:    "cluster",
		Summary: "an embedded broker and registry, for trying things out",
		Help:    "Prints their addresses as one line of JSON.",
		Example: "loadtest cluster --dir /tmp/loadtest-cluster",
		Register: func(f *service.Flags) {
			f.StringVar(&dir, "dir", "", "`directory` of their data; default: in memory")
			f.BoolVar(&parent, "with-parent", false, withParentUsage)
		},
		Run: func(ctx context.Context, _ []string) (err error) {
			broker, registry := embedded.BrokerConfig{}, embedded.RegistryConfig{}
			if dir != "" {
				broker.Dir, registry.Dir = filepath.Join(dir, "kafka"), filepath.Join(dir, "registry")
			}
			b, err := embedded.StartBroker(broker)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, b.Close()) }()
			r, err := embedded.StartRegistry(registry)
			if err != nil {
				return err
			}
			defer func() { err = errors.Join(err, r.Close()) }()
			return announce(ctx, parent, stdin, stdout, first{Brokers: []string{b.Addr()}, Registry: []string{r.URL()}})
		},
	}
}

// announce prints where a part listens and waits until it is to stop.
func announce(ctx context.Context, parent bool, stdin io.Reader, stdout io.Writer, f first) error {
	if parent {
		var cancel context.CancelFunc
		ctx, cancel = withParent(ctx, stdin)
		defer cancel()
	}
	if err := json.NewEncoder(stdout).Encode(f); err != nil {
		return err
	}
	<-ctx.Done()
	return nil
}

// doorCommand is the HTTP door of the producer, for the load test's events.
func doorCommand(stdin io.Reader, stdout io.Writer) *service.Command {
	var (
		cluster     service.Cluster
		registry    service.Registry
		log         service.Log
		domain      string
		compression string
		listen      string
		parent      bool
	)
	return &service.Command{
		Name:    "door",
		Summary: "the HTTP door of `producer serve`, for the load test's events",
		Help:    "Prints its address as one line of JSON.",
		Example: "loadtest door --listen 127.0.0.1:8080",
		Register: func(f *service.Flags) {
			cluster.Register(f)
			registry.Register(f)
			log.Register(f)
			registerDomain(f, &domain)
			f.StringVar(&compression, "compression", "snappy", "`codec` of what is produced: none, gzip, snappy, lz4 or zstd")
			f.StringVar(&listen, "listen", producer.DefaultListen, "`address` of the door; port 0 takes a free one")
			f.BoolVar(&parent, "with-parent", false, withParentUsage)
		},
		Run: func(ctx context.Context, _ []string) (failed error) {
			set, err := tally.Set(domain)
			if err != nil {
				return &service.UsageError{Err: err}
			}
			schemas, err := codec.NewRegistry(registry.Config())
			if err != nil {
				return err
			}
			defer schemas.Close()
			cfg := cluster.Config("firehose-loadtest-door", log.Logger(os.Stderr))
			cfg.Compression = compression
			client, err := kafka.NewClient(cfg)
			if err != nil {
				return err
			}
			defer client.Close()
			publisher, err := publish.New(client, schemas, set, publish.Config{Source: "/loadtest/door"})
			if err != nil {
				return err
			}
			defer func() { failed = errors.Join(failed, publisher.Close(context.WithoutCancel(ctx))) }()
			server, err := producer.NewServer(ctx, producer.ServerConfig{Listen: listen, Handler: producer.HandlerConfig{
				Publisher: publisher, Set: set, Log: log.Logger(os.Stderr),
			}})
			if err != nil {
				return err
			}
			group := service.NewGroup(ctx, stopGrace)
			group.Go("http", server.Run)
			group.Go("stdin", func(stop, _ context.Context) error {
				return announce(stop, parent, stdin, stdout, first{Door: "http://" + server.Addr()})
			})
			return group.Wait()
		},
	}
}

func registerDomain(f *service.Flags, domain *string) {
	f.StringVar(domain, "domain", tally.DefaultDomain, "topics are `DOMAIN`.items and DOMAIN.ticks")
}

// schemasCommand writes the schemas to files, for a `producer serve` of one's own.
func schemasCommand() *service.Command {
	var domain string
	return &service.Command{
		Name:      "schemas",
		Summary:   "write the load test's schemas to a folder, for producer serve --schemas",
		Arguments: "FOLDER",
		Example:   "loadtest schemas /tmp/loadtest-schemas && producer serve --schemas /tmp/loadtest-schemas",
		Register: func(f *service.Flags) {
			registerDomain(f, &domain)
		},
		Run: func(_ context.Context, args []string) error {
			if len(args) != 1 {
				return service.Usagef("which folder? name one")
			}
			files, err := tally.Schemas(domain)
			if err != nil {
				return &service.UsageError{Err: err}
			}
			if err := os.MkdirAll(args[0], 0o755); err != nil {
				return err
			}
			for name, text := range files {
				if err := os.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return fmt.Errorf("write schema: %w", err)
				}
			}
			return nil
		},
	}
}
