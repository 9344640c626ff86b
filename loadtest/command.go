package loadtest

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"firehose/internal/service"
	"firehose/loadtest/tally"
)

// Command is the loadtest binary, with further commands.
func Command(more ...*service.Command) *service.Command {
	return newCommand(os.Stdin, os.Stdout, os.Stderr, more...)
}

func newCommand(stdin io.Reader, stdout, stderr io.Writer, more ...*service.Command) *service.Command {
	return &service.Command{
		Name:    "loadtest",
		Summary: "load, with the truth about what became of it",
		Commands: append([]*service.Command{
			runCommand(stdout, stderr), serveCommand(stdin),
			clusterCommand(stdin, stdout), doorCommand(stdin, stdout), schemasCommand(),
		}, more...),
	}
}

// runFlags is the command `loadtest run`.
type runFlags struct {
	flags *service.Flags

	cluster     service.Cluster
	registry    service.Registry
	log         service.Log
	compression string
	target      TargetConfig

	embedded bool
	serve    int
	http     bool
	dir      string

	rate           float64
	duration       time.Duration
	load           string
	size           string
	plan           Plan
	findMax        bool
	search         Search
	watches        []string
	actions        []string
	out            string
	asJSON         bool
	stdout, stderr io.Writer
}

func runCommand(stdout, stderr io.Writer) *service.Command {
	c := &runFlags{stdout: stdout, stderr: stderr}
	return &service.Command{
		Name:    "run",
		Summary: "send events at a given rate, whatever the system does, and check what becomes of each",
		Help: "--embedded starts a broker, a registry and the service beside the generator, each\n" +
			"in a process of its own: all that a first try needs. Without it the run uses the\n" +
			"cluster and the service (loadtest serve) that the flags name, or, with --serve N,\n" +
			"starts N instances of the service.\n\n" +
			"Latencies count from when an event was due, not from when it was sent. Exit 1:\n" +
			"an acknowledged event was not applied exactly once and in order, a wanted latency\n" +
			"was missed, or the generator itself was the limit.",
		Example: "loadtest run --embedded --rate 2000 --duration 20s --out result.json && loadtest report --out report.html result.json\n" +
			"loadtest run --embedded --load 1000:10s,10000:3s,1000:20s\n" +
			"loadtest run --embedded --find-max",
		Register: c.register,
		Run:      c.run,
	}
}

func (c *runFlags) register(f *service.Flags) {
	c.flags = f
	c.cluster.Register(f)
	c.registry.Register(f)
	c.log.Register(f)
	t := &c.target
	f.StringVar(&c.compression, "compression", "snappy", "`codec` of what is produced: none, gzip, snappy, lz4 or zstd")
	f.StringVar(&t.Store, "store", "", "`database` of the service, as its own --store: it is looked into; with --embedded a SQLite file by default")
	f.StringVar(&t.StorePasswordFile, "store-password-file", "", "`file` that holds PostgreSQL's password")
	registerDomain(f, &t.Domain)
	f.StringVar(&t.Group, "group", tally.Name, "consumer `group` of the service")
	f.IntVar(&t.Partitions, "partitions", 8, "`partitions` of the topics, where they are made")
	f.IntVar(&t.Replication, "replication", -1, "`replicas` of the topics, where they are made; -1 is the cluster's default")
	f.StringVar(&t.Door, "door", "", "`URL` of an HTTP door to send through; default: Kafka")
	f.DurationVar(&t.Patience, "patience", time.Minute, "`time` to wait for the service before the run")

	f.BoolVar(&c.embedded, "embedded", false, "start an embedded broker and registry, and one instance of the service")
	f.IntVar(&c.serve, "serve", 0, "`instances` of the service to start; more than one need PostgreSQL")
	f.BoolVar(&c.http, "http", false, "start an HTTP door and send through it")
	f.StringVar(&c.dir, "dir", "", "`directory` of the data and logs of what is started; default: a temporary one")

	f.Float64Var(&c.rate, "rate", 1000, "`events` a second; the first one that --find-max tries")
	f.DurationVar(&c.duration, "duration", 30*time.Second, "`time` to send at that rate")
	f.StringVar(&c.load, "load", "", "`stages` instead of a rate and a duration: RATE:TIME or FROM-TO:TIME, comma-separated")
	p := &c.plan
	f.DurationVar(&p.WarmUp, "warm-up", 5*time.Second, "`time` at the first rate before it, not measured")
	f.IntVar(&p.Traffic.Keys, "keys", 100_000, "`keys` of each topic")
	f.Float64Var(&p.Traffic.Skew, "skew", 0, "`exponent` of a Zipf distribution over the keys, above 1; 0: all are equally likely")
	f.Float64Var(&p.Traffic.Facts, "facts", 0.5, "`part` of the events that are facts; the others are states of entities")
	f.StringVar(&c.size, "size", "100", "`bytes` of padding in an event, or a range such as 50-500")
	f.Uint64Var(&p.Traffic.Seed, "seed", 1, "`number` that keys and sizes follow from")
	f.IntVar(&p.Workers, "workers", 0, "`senders`; default one per processor, at most 4; 32 at an HTTP door")
	f.DurationVar(&p.Observe, "observe", 5*time.Millisecond, "`time` between two looks at the store: as much too long may applied latencies be")
	f.DurationVar(&p.Drain, "drain", time.Minute, "`time` for the service to apply the rest")
	f.IntVar(&p.MaxBehind, "max-behind", 20_000_000, "`events` not applied after which sending stops; 16 bytes of memory each")
	f.DurationVar(&p.WantAcked, "want-acknowledged", 0, "fail when 1 % of the events take more than this `time` to be acknowledged")
	f.DurationVar(&p.WantApplied, "want-applied", 0, "fail when 1 % of the events take more than this `time` to be applied")
	f.StringVar(&p.Name, "name", "", "what to call the run in the report, a `text`")
	f.Repeated(&c.watches, "watch", "take down processor time and memory of processes: `NAME=PID,PID`, and their children")
	f.Repeated(&c.actions, "at", "`TIME:COMMAND`: what a shell is to do in the middle of the run, to be marked in the report")

	f.BoolVar(&c.findMax, "find-max", false, "look for the highest rate that the whole pipeline holds")
	f.Float64Var(&c.search.Most, "max-rate", 1e7, "`events` a second above which --find-max does not go")
	f.DurationVar(&c.search.Step, "step", 20*time.Second, "`time` that --find-max holds each rate")
	f.DurationVar(&c.search.Confirm, "confirm", time.Minute, "`time` that it holds the one that it found")
	f.StringVar(&c.out, "out", "", "write the result as JSON to `file`, for loadtest report")
	f.BoolVar(&c.asJSON, "json", false, "print the result as JSON")
	f.Short("J", "json")
}

// check reads what flags hold as text.
func (c *runFlags) check() (err error) {
	if c.load == "" {
		c.load = fmt.Sprintf("%g:%s", c.rate, c.duration)
	}
	if c.plan.Load, err = ParseLoad(c.load); err != nil {
		return service.Usagef("--load: %w", err)
	}
	if c.plan.Traffic.MinBytes, c.plan.Traffic.MaxBytes, err = parseSize(c.size); err != nil {
		return service.Usagef("--size: %w", err)
	}
	for _, text := range c.watches {
		w, err := ParseWatch(text)
		if err != nil {
			return service.Usagef("--%w", err)
		}
		c.target.Watches = append(c.target.Watches, w)
	}
	for _, text := range c.actions {
		a, err := ParseAction(text)
		if err != nil {
			return service.Usagef("--at: %w", err)
		}
		c.plan.Actions = append(c.plan.Actions, a)
	}
	if c.embedded && c.serve == 0 {
		c.serve = 1
	}
	switch {
	case c.target.Store == "" && !c.embedded:
		return service.Usagef("--store: want the service's, to look into it, or --embedded for a try")
	case c.target.Partitions < 1 || c.target.Partitions > 10_000:
		return service.Usagef("--partitions %d: want 1 to 10,000", c.target.Partitions)
	case c.serve < 0 || c.serve > 64:
		return service.Usagef("--serve %d: want at most 64", c.serve)
	case c.serve > 1 && !strings.HasPrefix(c.target.Store, "postgres"):
		return service.Usagef("--serve %d: instances share a store of PostgreSQL only", c.serve)
	case c.findMax && !(c.search.Most >= 1 && c.rate >= 1):
		return service.Usagef("--find-max: want a --rate and a --max-rate of at least 1")
	case c.http && c.target.Door != "":
		return service.Usagef("--http: starts a door, and --door names one")
	}
	plan := c.plan
	plan.setDefaults(c.http || c.target.Door != "")
	if err := plan.validate(); err != nil {
		return &service.UsageError{Err: err}
	}
	return nil
}

func (c *runFlags) run(parent context.Context, _ []string) (failed error) {
	if err := c.check(); err != nil {
		return err
	}
	ctx, fail := context.WithCancelCause(parent)
	defer fail(nil)
	s := &system{dir: c.dir, fail: fail}
	var err error
	if s.program, err = os.Executable(); err != nil {
		return err
	}
	if s.dir == "" {
		if s.dir, err = os.MkdirTemp("", "loadtest-"); err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, os.RemoveAll(s.dir)) }()
	} else if err := os.MkdirAll(s.dir, 0o755); err != nil {
		return fmt.Errorf("--dir: %w", err)
	}
	defer func() { failed = errors.Join(failed, s.stop()) }()
	result, err := c.measure(ctx, s)
	if err != nil {
		if cause := context.Cause(ctx); cause != nil && parent.Err() == nil {
			return cause // a child that has ended
		}
		return err
	}
	return c.tell(result)
}

// measure starts what is to be started, and runs.
func (c *runFlags) measure(ctx context.Context, s *system) (_ *Result, failed error) {
	if err := c.startCluster(ctx, s); err != nil {
		return nil, err
	}
	log := c.log.Logger(c.stderr)
	c.target.Log = log
	c.target.Kafka = c.cluster.Config("firehose-loadtest", log)
	c.target.Kafka.Compression = c.compression
	c.target.Registry = c.registry.Config()
	target, err := OpenTarget(ctx, c.target)
	if err != nil {
		return nil, err
	}
	defer func() { failed = errors.Join(failed, target.Close()) }()
	for i := range c.serve {
		args := append([]string{"serve", "--with-parent"}, c.passed("store", "store-password-file", "group", "domain")...)
		if _, err := s.start(ctx, fmt.Sprintf("service-%d", i+1), false, args...); err != nil {
			return nil, err
		}
	}
	if c.http {
		args := append([]string{"door", "--with-parent", "--listen", "127.0.0.1:0"}, c.passed("domain", "compression")...)
		f, err := s.start(ctx, "door", true, args...)
		if err != nil {
			return nil, err
		}
		target.cfg.Door = f.Door
	}
	target.cfg.Watches = append(target.cfg.Watches, s.watches()...)
	c.plan.Progress = c.stderr
	if c.findMax {
		c.search.First = c.rate
		c.plan.Report = func(a Attempt) { fmt.Fprintln(c.stderr, attemptLine(a)) }
		return target.Search(ctx, c.plan, c.search)
	}
	return target.Run(ctx, c.plan)
}

// startCluster starts what --embedded means.
func (c *runFlags) startCluster(ctx context.Context, s *system) error {
	if !c.embedded {
		return nil
	}
	f, err := s.start(ctx, "broker", true, "cluster", "--with-parent", "--dir", filepath.Join(s.dir, "cluster"))
	if err != nil {
		return err
	}
	if c.target.Store == "" {
		c.target.Store = "sqlite:" + filepath.Join(s.dir, "loadtest.db")
	}
	// So that they are passed on as if they had been given.
	for name, value := range map[string]string{
		"brokers": strings.Join(f.Brokers, ","), "registry": strings.Join(f.Registry, ","), "store": c.target.Store,
	} {
		if err := c.flags.Set(name, value); err != nil {
			return err
		}
	}
	c.cluster.Brokers, c.registry.URLs = f.Brokers, f.Registry
	return nil
}

// passed returns those of the flags that were given which a child needs: how to
// reach cluster and registry, and the named ones.
func (c *runFlags) passed(names ...string) []string {
	var args []string
	c.flags.Visit(func(f *flag.Flag) {
		if len(f.Name) == 1 {
			return // the long name is there, too
		}
		for _, prefix := range []string{"brokers", "tls", "sasl", "insecure-sasl", "registry"} {
			if f.Name == prefix || strings.HasPrefix(f.Name, prefix+"-") {
				args = append(args, "--"+f.Name+"="+f.Value.String())
				return
			}
		}
		if slices.Contains(names, f.Name) {
			args = append(args, "--"+f.Name+"="+f.Value.String())
		}
	})
	return args
}

// tell prints the result and says how it ended.
func (c *runFlags) tell(r *Result) (failed error) {
	r.Settings.Instances = c.serve
	if c.out != "" {
		file, err := os.Create(c.out)
		if err != nil {
			return fmt.Errorf("--out: %w", err)
		}
		defer func() { failed = errors.Join(failed, file.Close()) }()
		if err := r.Write(file); err != nil {
			return fmt.Errorf("--out: %w", err)
		}
	}
	if c.asJSON {
		if err := r.Write(c.stdout); err != nil {
			return err
		}
	} else {
		r.print(c.stdout)
	}
	if !r.Passed() {
		return service.ErrFailed
	}
	return nil
}
