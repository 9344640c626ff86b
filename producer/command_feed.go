package producer

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"

	"firehose/internal/service"
)

// feedCommand is what `producer replay` and `producer simulate` share.
type feedCommand struct {
	connection
	supervision
	log      service.Log
	asJSON   bool
	progress Progress

	stdout, stderr io.Writer
}

func (c *feedCommand) register(f *service.Flags) {
	c.connection.register(f)
	c.log.Register(f)
	c.admin.RegisterOff(f)
	c.shutdown.Register(f)
	f.BoolVar(&c.asJSON, "json", false, "print the summary as JSON")
	f.Short("J", "json")
}

// run connects, feeds, shows how far it is, and says in the end what was done.
func (c *feedCommand) run(ctx context.Context, feed func(context.Context, Publisher) (Summary, error)) error {
	metrics, log := service.NewMetrics(), c.log.Logger(c.stderr)
	open, err := c.open(ctx, metrics, log)
	if err != nil {
		return err
	}
	return c.supervision.run(ctx, open, metrics, log, func(ctx context.Context) error { return c.feed(ctx, open.publisher, feed) })
}

func (c *feedCommand) feed(ctx context.Context, pub Publisher, feed func(context.Context, Publisher) (Summary, error)) error {
	done := make(chan struct{})
	var shown sync.WaitGroup
	if service.IsTerminal(c.stderr) {
		shown.Go(func() { c.show(done) })
	}
	summary, err := feed(ctx, pub)
	close(done)
	shown.Wait()
	return errors.Join(err, c.print(summary))
}

// show rewrites the progress line until done.
func (c *feedCommand) show(done <-chan struct{}) {
	start := time.Now()
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	for last := false; !last; {
		select {
		case <-tick.C:
		case <-done:
			last = true
		}
		acknowledged := c.progress.Acknowledged.Load()
		of := ""
		if total := c.progress.Total.Load(); total > 0 {
			of = fmt.Sprintf(", at %d of %d", c.progress.Next.Load(), total)
		}
		// Nobody reads a progress line that cannot be written.
		_, _ = fmt.Fprintf(c.stderr, "\r\x1b[K%d acknowledged%s, %d sent again, %.0f/s",
			acknowledged, of, c.progress.Retried.Load(), float64(acknowledged)/time.Since(start).Seconds())
	}
	_, _ = fmt.Fprintln(c.stderr)
}

func (c *feedCommand) print(s Summary) error {
	if c.asJSON {
		return json.NewEncoder(c.stdout).Encode(s)
	}
	end := "done"
	if !s.Done {
		end = "stopped; the same command goes on from here"
	}
	_, err := fmt.Fprintf(c.stdout, "events %d to %d: %d acknowledged, %d sent again, in %s: %s\n",
		s.From, s.Next, s.Acknowledged, s.Retried, s.Elapsed.Round(time.Millisecond), end)
	return err
}

// replayCommand is `producer replay`.
func replayCommand(stdout, stderr io.Writer) *service.Command {
	c := &feedCommand{stdout: stdout, stderr: stderr}
	var cfg ReplayConfig
	return &service.Command{
		Name:      "replay",
		Summary:   "send a recorded data set as events",
		Arguments: "[cdnow]",
		Help: "cdnow is a record of 69,659 real purchases, from January 1997 to June 1998. A run\n" +
			"goes on where the last one stopped, as the checkpoint file remembers; what was\n" +
			"sent since it was last written is sent again under the same IDs.",
		Example: `producer replay cdnow --speed 86400
			producer replay cdnow --again`,
		Register: func(f *service.Flags) {
			c.register(f)
			f.Float64Var(&cfg.Rate, "rate", 0, "`events` per second; 0 is as fast as they are taken")
			f.Float64Var(&cfg.Speed, "speed", 0, "`times` the data set's own speed; 86400 is a day a second")
			f.BoolVar(&cfg.Again, "again", false, "send everything once more, under the same IDs")
			f.StringVar(&cfg.Checkpoint, "checkpoint", "replay.checkpoint", "`file` that remembers how far it got; empty is none")
			f.DurationVar(&cfg.GiveUp, "give-up", 5*time.Minute, "`time` without an acknowledgement after which to fail")
		},
		Run: func(ctx context.Context, args []string) (err error) {
			name := CDNOW().Name
			if len(args) > 0 {
				name = args[0]
			}
			if len(args) > 1 {
				return service.Usagef("unexpected argument %q", args[1])
			}
			if cfg.Dataset, err = DatasetNamed(name); err != nil {
				return &service.UsageError{Err: err}
			}
			if err := cfg.Validate(); err != nil {
				return &service.UsageError{Err: err}
			}
			cfg.Progress, cfg.Log = &c.progress, c.log.Logger(stderr)
			return c.run(ctx, func(ctx context.Context, pub Publisher) (Summary, error) { return Replay(ctx, pub, cfg) })
		},
	}
}

// simulateCommand is `producer simulate`.
func simulateCommand(stdout, stderr io.Writer) *service.Command {
	c := &feedCommand{stdout: stdout, stderr: stderr}
	var cfg SimulateConfig
	return &service.Command{
		Name:    "simulate",
		Summary: "send the events of an endless synthetic shop",
		Help: "The same seed makes the same shop. A run goes on with the sequence where the last\n" +
			"one stopped, as the checkpoint file remembers.",
		Example: "producer simulate --rate 200\nproducer simulate --rate 0 --count 100000 --checkpoint ''",
		Register: func(f *service.Flags) {
			c.register(f)
			f.Float64Var(&cfg.Rate, "rate", 100, "`events` per second; 0 is as fast as they are taken")
			f.Int64Var(&cfg.Count, "count", 0, "`events` to send in this run; 0 is no end")
			f.Uint64Var(&cfg.Shop.Seed, "seed", 1, "`number` that decides everything that happens")
			f.IntVar(&cfg.Shop.Products, "products", 0, "`number` of products; 0 is 1,000")
			f.IntVar(&cfg.Shop.MaxCustomers, "customers", 0, "`number` of customers; 0 is 5,000")
			f.StringVar(&cfg.Checkpoint, "checkpoint", "simulate.checkpoint", "`file` that remembers how far it got; empty is none")
			f.DurationVar(&cfg.GiveUp, "give-up", 5*time.Minute, "`time` without an acknowledgement after which to fail")
		},
		Run: func(ctx context.Context, _ []string) error {
			if err := cfg.Validate(); err != nil {
				return &service.UsageError{Err: err}
			}
			cfg.Progress, cfg.Log = &c.progress, c.log.Logger(stderr)
			return c.run(ctx, func(ctx context.Context, pub Publisher) (Summary, error) { return Simulate(ctx, pub, cfg) })
		},
	}
}
