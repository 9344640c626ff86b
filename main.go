package firehose

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"firehose/internal/failpoint"
	"firehose/internal/kafka"
	"firehose/internal/service"
)

// Main runs a service as the whole process, with flags, environment and a
// configuration file, metrics and health, and exits. It has garbage collected more
// often than Go does (60 percent), unless GOGC or the program says otherwise. "NAME manifest" prints what
// the service needs of a cluster.
func Main(s Service) { run(Command(s)) }

func run(cmd *service.Command) {
	service.CollectEarlier()
	os.Exit(service.Main(context.Background(), cmd))
}

// Command returns the command line of a service, for a program that holds it
// among others.
func Command(s Service) *service.Command {
	return Program{
		Name:    s.Name,
		Summary: "the consumer group " + s.Name + ", reading " + strings.Join(s.Topics(), ", "),
		Service: func() (Service, error) { return s, nil },
	}.Command()
}

// Program is the command line of a service that depends on flags of its own.
type Program struct {
	Name    string                  // of the service, and of the command
	Summary string                  // one line, for help
	Flags   func(f *flag.FlagSet)   // declares the flags; may be called more than once
	Service func() (Service, error) // makes the service once they are set; an error means wrong usage
}

// Main runs the program as Main runs a service, and exits.
func (p Program) Main() { run(p.Command()) }

// Command returns the program's command line, for a program that holds it among
// others.
func (p Program) Command() *service.Command {
	var (
		cluster  service.Cluster
		registry service.Registry
		admin    service.Admin
		shutdown service.Shutdown
		log      service.Log
		cfg      Config
	)
	flags := func(f *service.Flags) {
		cluster.Register(f)
		registry.Register(f)
		f.StringVar(&cfg.Kafka.Rack, "rack", "", "`zone` of this instance, so that it reads from the closest replica: cheaper across zones, a little later")
		f.StringVar(&cfg.Kafka.GroupProtocol, "group-protocol", kafka.ClassicGroup,
			"`protocol` of the group: classic, or consumer (KIP-848, Kafka 4.0 and later: rebalances stop nobody else, and take at least a heartbeat of 5 s)")
		f.StringVar(&cfg.Group, "group", p.Name, "consumer `group`, and so the names of its dead-letter topics")
		f.Short("G", "group")
		if p.Flags != nil {
			p.Flags(f.FlagSet)
		}
	}
	made := func() (Service, error) {
		cfg.Brokers, cfg.Registry = cluster.Brokers, registry.URLs
		cfg.Kafka.ClientID, cfg.Kafka.TLS, cfg.Kafka.SASL = cluster.ClientID, TLS(cluster.TLS), SASL(cluster.SASL)
		cfg.RegistryAccess = RegistryAccess(registry.Access)
		s, err := p.Service()
		if err != nil {
			return Service{}, &service.UsageError{Err: err}
		}
		return s, nil
	}
	var asJSON bool
	manifest := &service.Command{
		Name:    "manifest",
		Summary: "print the topics, group and permissions that the service needs",
		Example: p.Name + " manifest -J | firehose topics apply -",
		Register: func(f *service.Flags) {
			flags(f)
			f.BoolVar(&asJSON, "json", false, "print JSON")
			f.Short("J", "json")
		},
		Run: func(ctx context.Context, _ []string) error {
			s, err := made()
			if err != nil {
				return err
			}
			m, err := s.Manifest(ctx, cfg)
			if err != nil {
				return err
			}
			return m.print(os.Stdout, asJSON)
		},
	}
	return &service.Command{
		Name:    p.Name,
		Summary: p.Summary,
		Example: p.Name + " --store sqlite:./" + p.Name + ".db",
		Env:     failpoint.Env,
		Register: func(f *service.Flags) {
			flags(f)
			admin.Register(f)
			shutdown.Register(f)
			log.Register(f)
			f.StringVar(&cfg.Store, "store", "sqlite:"+p.Name+".db",
				"`database` of the service: sqlite:PATH for a single instance, or postgres://USER@HOST:PORT/DATABASE?search_path=SCHEMA, which instances share")
			f.StringVar(&cfg.StorePasswordFile, "store-password-file", "", "`file` that holds PostgreSQL's password, read again for each connection")
			f.IntVar(&cfg.MaxBatch, "max-batch", 20_000, "`events` in one transaction, at most")
			f.IntVar(&cfg.MaxQueueBytes, "max-queue-bytes", 24<<20, "`bytes` of memory that events read ahead may take, over all partitions")
			f.DurationVar(&cfg.BreakerPause, "breaker-pause", 30*time.Second, "`rest` of a partition on which too many records in a row were set aside")
			f.DurationVar(&cfg.SchemaPatience, "schema-patience", 5*time.Second, "`time` to ask again for a schema that the registry does not know")
		},
		Run: func(ctx context.Context, _ []string) error {
			s, err := made()
			if err != nil {
				return err
			}
			return s.serve(ctx, cfg, admin, shutdown, log)
		},
		Commands: []*service.Command{manifest, service.HealthCommand(p.Name)},
	}
}

// serve runs one instance with its admin server.
func (s *Service) serve(ctx context.Context, cfg Config, admin service.Admin, shutdown service.Shutdown, log service.Log) error {
	cfg.Log = log.Logger(os.Stderr)
	metrics := service.NewMetrics()
	cfg.Metrics = metrics
	group := service.NewGroup(ctx, shutdown.Grace)
	health := service.NewHealth()
	instance, err := s.Open(ctx, cfg)
	if err != nil {
		return err
	}
	health.Check("consume", func(context.Context) error { return instance.Ready() })
	if err := admin.Start(group, health, metrics, cfg.Log); err != nil {
		return fmt.Errorf("%w", closeWith(instance, err))
	}
	group.Go("consume", instance.Run)
	return closeWith(instance, group.Wait())
}

// closeWith closes the instance and keeps the first error.
func closeWith(i *Instance, err error) error {
	if cerr := i.Close(); err == nil {
		return cerr
	}
	return err
}

// print writes the manifest for people or for machines.
func (m *Manifest) print(w io.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(w)
		enc.SetIndent("", "  ")
		return enc.Encode(m)
	}
	var b strings.Builder
	fmt.Fprintf(&b, "service  %s\ngroup    %s\nreads    %s\n\ntopics of the group\n", m.Service, m.Group, strings.Join(m.Reads, " "))
	for _, t := range m.Topics {
		fmt.Fprintf(&b, "  %-40s %d partitions, dead letters of %s\n", t.Name, t.Partitions, t.For)
	}
	b.WriteString("\npermissions, on literal names\n")
	for _, a := range m.ACLs {
		fmt.Fprintf(&b, "  %-5s %-40s %s\n", a.Resource, a.Name, strings.Join(a.Operations, " "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}
