package main

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"

	"firehose/internal/kafka"
	"firehose/loadtest"
)

// latency is `loadtest run` at a rate that is far from what can be done.
func latency(brokers, perSecond int, length time.Duration) func(context.Context, *bench, *row, string) (measured, error) {
	return func(ctx context.Context, b *bench, r *row, round string) (m measured, err error) {
		at := b.one
		if brokers == 3 {
			at = b.three
		}
		if b.shorter > 0 {
			length, perSecond = b.shorter, min(perSecond, 500)
		}
		schema, domain := "peers_"+round, "peers"+strings.ReplaceAll(round, "_", "")
		defer func() {
			err = errors.Join(err, b.exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE"), forget(ctx, at, domain+"."))
		}()
		out := filepath.Join(b.dir, "latency-"+round+".json")
		defer os.Remove(out) //nolint:errcheck // it is under the folder of this benchmark
		cmd := b.own("loadtest", "run", "--brokers", strings.Join(at, ","), "--registry", b.registry, "--store", b.postgres+"&search_path="+schema,
			"--serve", "1", "--rate", strconv.Itoa(perSecond), "--duration", length.String(), "--domain", domain, "--group", "peers-"+round, "--out", out)
		m, _, err = runProcess(ctx, cmd, nil)
		result, missing := loadtest.Read(out)
		switch {
		case missing != nil:
			return m, errors.Join(err, missing)
		case !result.Passed():
			return m, errors.New(strings.Join(result.Findings, "; "))
		case err != nil:
			return m, err
		}
		m.events = int(result.Events.Applied)
		m.Seconds = float64(result.Events.Applied) / result.Events.AppliedRate
		for _, u := range result.Usage {
			if u.Name == "service" {
				m.CPUSeconds, m.PeakMB, m.EndMB = u.CPU, u.MaxMemory, 0
			}
		}
		m.Figures = map[string]float64{ackedP50: result.Acked.P50, ackedP99: result.Acked.P99, appliedP50: result.Applied.P50, appliedP99: result.Applied.P99}
		return m, nil
	}
}

// forget deletes the topics whose names begin so.
func forget(ctx context.Context, brokers []string, prefix string) error {
	client, err := kafka.NewClient(kafka.Config{Brokers: brokers})
	if err != nil {
		return err
	}
	defer client.Close()
	admin := kadm.NewClient(client)
	topics, err := admin.ListTopics(ctx)
	if err != nil {
		return err
	}
	var names []string
	for _, name := range topics.Names() {
		if strings.HasPrefix(name, prefix) {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	deleted, err := admin.DeleteTopics(ctx, names...)
	return errors.Join(err, deleted.Error())
}
