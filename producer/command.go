package producer

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/publish"
	"firehose/internal/service"
	"firehose/schemas"
)

// DefaultSource is the ce_source of events whose sender gives none.
const DefaultSource = "/service/producer"

// Command is the producer binary.
func Command() *service.Command { return newCommand(os.Stdin, os.Stdout, os.Stderr) }

func newCommand(stdin io.Reader, stdout, stderr io.Writer) *service.Command {
	return &service.Command{
		Name:    "producer",
		Summary: "take business events in and append them to their topics",
		Commands: []*service.Command{
			serveCommand(stderr), sendCommand(stdin, stdout, stderr),
			replayCommand(stdout, stderr), simulateCommand(stdout, stderr),
			manifestCommand(stdout), service.HealthCommand("producer"),
		},
	}
}

// connection is what every command needs to publish.
type connection struct {
	cluster     service.Cluster
	registry    service.Registry
	compression string
	schemas     string
	source      string
	timeout     time.Duration
}

func (c *connection) register(f *service.Flags) {
	c.cluster.Register(f)
	c.registry.Register(f)
	f.StringVar(&c.compression, "compression", "snappy", "`codec` of what is produced: none, gzip, snappy, lz4 or zstd; gzip and zstd are smaller and cost processor time")
	registerSchemas(f, &c.schemas)
	f.StringVar(&c.source, "source", DefaultSource, "`ce_source` of events that name none")
	f.DurationVar(&c.timeout, "timeout", 15*time.Second, "`time` after which an event's outcome is reported as unknown")
}

func registerSchemas(f *service.Flags, dir *string) {
	f.StringVar(dir, "schemas", "", "`directory` of .avsc files, one per topic and version; default is the shop's, built in")
}

// loadSchemas returns those of --schemas.
func loadSchemas(dir string) (*schemas.Set, error) {
	if dir == "" {
		return schemas.Shop(), nil
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, service.Usagef("--schemas: %w", err)
	} else if !info.IsDir() {
		return nil, service.Usagef("--schemas: %s: want a directory", dir)
	}
	set, err := schemas.Load(os.DirFS(dir))
	if err != nil {
		return nil, fmt.Errorf("--schemas: %w", err)
	}
	return set, nil
}

// opened is a publisher and what it stands on.
type opened struct {
	set       *schemas.Set
	publisher *publish.Publisher
	close     func(ctx context.Context) error // waits for what was published
}

// accessPatience is how long the brokers may take to say whether this producer
// may do its work.
const accessPatience = 5 * time.Second

// open makes the publisher. It does not wait for brokers or a registry that are
// away, they may come later; but brokers that refuse it end it. What is wrong
// without asking anybody is a UsageError.
func (c *connection) open(ctx context.Context, reg prometheus.Registerer, log *slog.Logger) (*opened, error) {
	set, err := loadSchemas(c.schemas)
	if err != nil {
		return nil, err
	}
	registry, err := codec.NewRegistry(c.registry.Config())
	if err != nil {
		return nil, service.Usagef("--registry: %w", err)
	}
	cfg := c.cluster.Config("firehose-producer", log)
	cfg.Compression = c.compression
	cfg.DeliveryTimeout = max(kafka.DefaultDeliveryTimeout, c.timeout) // the client gives up no sooner
	client, err := kafka.NewMeteredClient(cfg, reg, "producer")
	if err != nil {
		registry.Close()
		return nil, &service.UsageError{Err: err}
	}
	publisher, err := publish.New(client, registry, set, publish.Config{
		Source: c.source, Timeout: c.timeout, Metrics: reg, Log: log,
	})
	if err != nil {
		client.Close()
		registry.Close()
		return nil, &service.UsageError{Err: err}
	}
	o := &opened{set: set, publisher: publisher, close: func(ctx context.Context) error {
		err := publisher.Close(ctx)
		client.Close()
		registry.Close()
		return err
	}}
	topics := make([]string, 0, len(set.Topics()))
	for _, t := range set.Topics() {
		topics = append(topics, t.Topic)
	}
	if err := kafka.CheckProducer(ctx, client, topics, accessPatience); err != nil {
		return nil, errors.Join(err, o.close(ctx))
	}
	return o, nil
}

// ingest is the command `producer serve`.
type ingest struct {
	connection
	listen   string
	limits   Limits
	admin    service.Admin
	log      service.Log
	shutdown service.Shutdown
	stderr   io.Writer
}

func serveCommand(stderr io.Writer) *service.Command {
	c := &ingest{stderr: stderr}
	return &service.Command{
		Name:    "serve",
		Summary: "take events over HTTP",
		Help: "POST /v1/events/{type} takes one event: plain JSON, or CloudEvents in structured\n" +
			"or binary mode. POST /v1/events:batch takes NDJSON and answers each line. A\n" +
			"success is answered once the broker has acknowledged. GET /problems lists what\n" +
			"may be answered instead.",
		Example: `producer serve --listen 127.0.0.1:8080 &
			curl -H 'Content-Type: application/json' http://127.0.0.1:8080/v1/events/shop.stock.moved \
			  -d '{"movement_id":"m-1","sku":"sku-1","quantity":5,"reason":"RECEIVED","moved_at":"2026-01-02T15:04:05Z"}'`,
		Register: c.register,
		Run:      c.run,
	}
}

func (c *ingest) register(f *service.Flags) {
	c.connection.register(f)
	c.admin.Register(f)
	c.log.Register(f)
	c.shutdown.Register(f)
	f.StringVar(&c.listen, "listen", DefaultListen, "`address` of the HTTP door; port 0 takes a free one")
	d := Limits{}.withDefaults()
	f.IntVar(&c.limits.EventBytes, "max-event-bytes", d.EventBytes, "largest event, in `bytes` of JSON")
	f.Int64Var(&c.limits.BatchBytes, "max-batch-bytes", d.BatchBytes, "largest batch, in `bytes`, also when decompressed")
	f.IntVar(&c.limits.BatchLines, "max-batch-lines", d.BatchLines, "most `events` in a batch")
	f.Int64Var(&c.limits.InFlightBytes, "max-in-flight-bytes", d.InFlightBytes, "`bytes` of bodies, and of the events that are made of them, in memory before callers are refused")
	f.Int64Var(&c.limits.CallerBytes, "max-caller-bytes", 0, "the same of one address, in `bytes`; 0 is half of all")
	f.IntVar(&c.limits.Connections, "max-connections", d.Connections, "`connections` open at once")
	f.IntVar(&c.limits.CallerConnections, "max-caller-connections", 0, "`connections` of one address open at once; 0 is a quarter of all")
	f.DurationVar(&c.limits.ReadTimeout, "read-timeout", d.ReadTimeout, "`time` for a whole request to arrive")
}

func (c *ingest) run(ctx context.Context, _ []string) error {
	if err := c.limits.withDefaults().validate(); err != nil {
		return &service.UsageError{Err: fmt.Errorf("--%w", err)}
	}
	log := c.log.Logger(c.stderr)
	metrics := service.NewMetrics()
	group := service.NewGroup(ctx, c.shutdown.Grace)
	health := service.NewHealth()
	open, err := c.open(ctx, metrics, log)
	if err != nil {
		return err
	}
	server, err := NewServer(ctx, ServerConfig{Listen: c.listen, Handler: HandlerConfig{
		Publisher: open.publisher, Set: open.set, Limits: c.limits, Metrics: metrics, Log: log,
	}})
	if err != nil {
		return errors.Join(err, open.close(ctx))
	}
	if err := c.admin.Start(group, health, metrics, log); err != nil {
		return errors.Join(err, server.Close(), open.close(ctx))
	}
	log.Info("takes events", "addr", server.Addr())
	var prepared atomic.Bool
	health.Check("topics", func(context.Context) error {
		if !prepared.Load() {
			return errors.New("not every topic and schema has been found yet; the log says which")
		}
		return nil
	})
	group.Go("prepare", func(stop, _ context.Context) error {
		prepare(stop, open.publisher, log)
		prepared.Store(true)
		<-stop.Done()
		return nil
	})
	group.Go("http", func(stop, abort context.Context) error {
		return errors.Join(server.Run(stop, abort), open.close(abort))
	})
	return group.Wait()
}

// prepare looks the topics up, so that the first event of each need not wait,
// and goes on trying while the broker or the registry is away.
func prepare(ctx context.Context, publisher *publish.Publisher, log *slog.Logger) {
	for pause := 500 * time.Millisecond; ; pause = min(2*pause, 10*time.Second) {
		err := publisher.Prepare(ctx)
		if err == nil || ctx.Err() != nil {
			return
		}
		log.Warn("topics are not ready", "err", err)
		if !sleep(ctx, pause) {
			return
		}
	}
}

// send is the command `producer send`.
type send struct {
	connection
	supervision
	refused  string
	attempts int
	log      service.Log

	stdin          io.Reader
	stdout, stderr io.Writer
}

func sendCommand(stdin io.Reader, stdout, stderr io.Writer) *service.Command {
	c := &send{stdin: stdin, stdout: stdout, stderr: stderr}
	return &service.Command{
		Name:      "send",
		Summary:   "send the events of NDJSON files",
		Arguments: "FILE...|-",
		Help: "A line is {\"type\":…,\"data\":{…}} and may give id, source, time, subject,\n" +
			"correlationid, causationid and traceparent. Each is answered on standard output,\n" +
			"in input order: a receipt or a problem. Exit 1 when an event was refused or its\n" +
			"outcome stayed unknown. An interrupted run says where it stopped.",
		Example: `printf '%s\n' '{"type":"shop.stock.moved","data":{"movement_id":"m-1","sku":"sku-1","quantity":5,"reason":"RECEIVED","moved_at":"2026-01-02T15:04:05Z"}}' | producer send -`,
		Register: func(f *service.Flags) {
			c.connection.register(f)
			c.log.Register(f)
			c.shutdown.Register(f)
			f.StringVar(&c.refused, "refused", "", "write lines that were not acknowledged to `file`, to be mended and sent again; standard error names those that are too long to be kept")
			f.IntVar(&c.attempts, "attempts", 5, "`times` to send an event whose outcome is unknown or whose broker is away")
		},
		Run: c.run,
	}
}

func (c *send) run(ctx context.Context, args []string) error {
	switch {
	case len(args) == 0:
		return service.Usagef("which file? name one or more, or - for standard input")
	case c.attempts < 1:
		return service.Usagef("--attempts %d: want at least 1", c.attempts)
	}
	var inputs []Input
	for _, name := range args {
		if name == "-" {
			inputs = append(inputs, Input{Name: "standard input", Reader: c.stdin})
			continue
		}
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		defer file.Close()
		inputs = append(inputs, Input{Name: name, Reader: file})
	}
	log := c.log.Logger(c.stderr)
	if err := c.checkRefused(args); err != nil {
		return err
	}
	metrics := prometheus.NewRegistry()
	open, err := c.open(ctx, metrics, log)
	if err != nil {
		return err
	}
	return c.supervision.run(ctx, open, metrics, log, func(ctx context.Context) error {
		return c.send(ctx, open, log, inputs)
	})
}

// send sends the inputs and says how that ended.
func (c *send) send(ctx context.Context, open *opened, log *slog.Logger, inputs []Input) (failed error) {
	cfg := SendConfig{
		Publisher: open.publisher, Set: open.set, Out: c.stdout, Log: log, Attempts: c.attempts,
	}
	if service.IsTerminal(c.stderr) {
		cfg.Progress = c.stderr
	}
	if c.refused != "" {
		file, err := os.Create(c.refused)
		if err != nil {
			return fmt.Errorf("--refused: %w", err)
		}
		defer func() { failed = errors.Join(failed, file.Close()) }()
		cfg.Refused = file
	}
	sent, err := Send(ctx, cfg, inputs...)
	if err != nil {
		return err
	}
	if sent.Interrupted {
		where := sent.LastFile
		if where == "" {
			where = inputs[0].Name
		}
		return fmt.Errorf("interrupted: answered to line %d of %s, the rest was not read", sent.LastLine, where)
	}
	if sent.Refused+sent.Unknown > 0 {
		return service.ErrFailed
	}
	return nil
}

// checkRefused keeps the file for refused lines from being one that is read:
// creating it would empty it.
func (c *send) checkRefused(inputs []string) error {
	out, err := os.Stat(c.refused)
	if c.refused == "" || err != nil {
		return nil // nothing there to lose
	}
	for _, name := range inputs {
		if in, err := os.Stat(name); err == nil && os.SameFile(in, out) {
			return service.Usagef("--refused %s: is one of the inputs", c.refused)
		}
	}
	return nil
}
