package main

import (
	"context"
	"log/slog"
	"os"
	"os/exec"
	"strings"
	"syscall"

	"golang.org/x/sync/errgroup"

	"firehose"
	"firehose/internal/service"
)

// replicateOurs is the service that keeps a replica of the topic, until it is
// stopped: what the public door gives to anybody.
func replicateOurs(ctx context.Context, s *side) error {
	set, err := contracts()
	if err != nil {
		return err
	}
	return s.serve(ctx, firehose.Service{Name: "replica", Schemas: set, Projections: []firehose.Projection{firehose.Replica(s.topic)}})
}

// countOurs is the service that counts facts, each once.
func countOurs(ctx context.Context, s *side) error {
	set, err := contracts()
	if err != nil {
		return err
	}
	stock := firehose.Counters("stock", firehose.Key{firehose.Text("sku")}, "n")
	return s.serve(ctx, firehose.Service{Name: "counter", Schemas: set, Tables: []*firehose.Table{stock},
		Projections: []firehose.Projection{firehose.OnFact(facts, func(e firehose.Event[movement], c *firehose.Changes) error {
			c.Add(stock, firehose.Row{e.Data.SKU}, e.Data.Quantity)
			return nil
		})}})
}

// severalOurs runs instances of replicateOurs, each a process of its own.
func severalOurs(ctx context.Context, s *side) error {
	program, err := os.Executable()
	if err != nil {
		return err
	}
	g, ctx := errgroup.WithContext(ctx)
	for range s.instances {
		cmd := exec.CommandContext(ctx, program, "side", "replicate-ours", "--brokers", strings.Join(s.brokers, ","), "--registry", s.registry,
			"--topic", s.topic, "--store", s.store, "--group", s.group)
		cmd.Stderr = os.Stderr
		cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
		g.Go(func() error {
			if err := cmd.Run(); ctx.Err() == nil {
				return err
			}
			return nil
		})
	}
	return g.Wait()
}

func (s *side) serve(ctx context.Context, ours firehose.Service) error {
	service.CollectEarlier() // as firehose.Main does
	instance, err := ours.Open(ctx, firehose.Config{
		Brokers: s.brokers, Registry: []string{s.registry}, Store: s.store, Group: s.group,
		Log: slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelWarn})),
	})
	if err != nil {
		return err
	}
	err = instance.Run(ctx, nil)
	if cerr := instance.Close(); err == nil {
		err = cerr
	}
	return err
}
