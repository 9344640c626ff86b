package shop

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose"
	"firehose/consumers/billing"
	"firehose/consumers/inventory"
	"firehose/consumers/replicator"
	"firehose/internal/e2e/figures"
	"firehose/internal/kafka"
	"firehose/internal/offsets"
)

// Partition names one.
type Partition struct {
	Topic string
	ID    int32
}

// service returns one of the shop's.
func service(t *testing.T, name string) firehose.Service {
	t.Helper()
	for _, s := range []firehose.Service{replicator.Service(), inventory.Service(), billing.Service()} {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("the shop has no service %q", name)
	return firehose.Service{}
}

// Ends are the last stable offsets of all topics of a service.
func (s *Shop) Ends(name string) (map[Partition]int64, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	of := service(s.t, name)
	infos, err := kafka.DescribeTopics(ctx, s.cfg.Cluster.Client(), of.Topics()...)
	if err != nil {
		return nil, err
	}
	ends := map[Partition]int64{}
	for _, topic := range infos {
		for _, p := range topic.Partitions {
			ends[Partition{topic.Name, p.ID}] = p.StableEnd
		}
	}
	return ends, nil
}

// Positions are those in a service's store.
func (s *Shop) Positions(service string) (map[Partition]int64, error) {
	db := figures.Open(s.t, s.stores[service])
	defer db.Close()
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	rows, err := db.QueryContext(ctx, "SELECT topic, partition, next FROM positions")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	positions := map[Partition]int64{}
	for rows.Next() {
		var p Partition
		var next int64
		if err := rows.Scan(&p.Topic, &p.ID, &next); err != nil {
			return nil, err
		}
		positions[p] = next
	}
	return positions, rows.Err()
}

// Committed are the offsets of a service's group, each of which must have our
// mark.
func (s *Shop) Committed(service string) (map[Partition]int64, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), 20*time.Second)
	defer cancel()
	answers, err := s.cfg.Cluster.Admin().FetchOffsets(ctx, service)
	if err != nil {
		return nil, err
	}
	committed := map[Partition]int64{}
	for _, o := range answers.Sorted() {
		if _, ours := offsets.ParseMark(o.Metadata); o.Err != nil || !ours {
			return nil, fmt.Errorf("group %s: %s/%d: committed %d with mark %q: %w", service, o.Topic, o.Partition, o.At, o.Metadata, o.Err)
		}
		committed[Partition{o.Topic, o.Partition}] = o.At
	}
	return committed, nil
}

// AwaitApplied waits until the positions of all services are the ends of their
// logs, and the committed offsets, too.
func (s *Shop) AwaitApplied() {
	s.t.Helper()
	for _, name := range Services() {
		s.AwaitAppliedBy(name)
	}
}

// AwaitAppliedBy waits for one service.
func (s *Shop) AwaitAppliedBy(name string) {
	s.t.Helper()
	s.await(name+": its positions at the ends of the logs", name, s.Positions)
	s.await(name+": its committed offsets at the ends of the logs", name, s.Committed)
}

func (s *Shop) await(what, service string, at func(string) (map[Partition]int64, error)) {
	s.t.Helper()
	var last string
	defer func() {
		if s.t.Failed() {
			s.t.Logf("%s: %s", what, last)
		}
	}()
	Until(s.t, what, func() bool {
		ends, err := s.Ends(service)
		if err != nil {
			last = err.Error()
			return false
		}
		got, err := at(service)
		if err != nil {
			last = err.Error()
			return false
		}
		last = "(-ends +got):\n" + cmp.Diff(ends, got)
		return cmp.Equal(ends, got)
	})
}

// WantRebuiltAlike checks that a new store of each service, in SQLite, built from
// the logs alone, has the same rows as the one that was there for everything that
// happened. No instance may run.
func (s *Shop) WantRebuiltAlike() {
	s.t.Helper()
	for _, name := range Services() {
		old := s.stores[name]
		s.stores[name] = "sqlite:" + filepath.Join(s.t.TempDir(), name+".db")
		instance := s.Start(name)
		s.await(name+", built anew: its positions at the ends of the logs", name, s.Positions)
		instance.Terminate()
		if was, now := hash(s.t, name, old), hash(s.t, name, s.stores[name]); was != now {
			s.t.Errorf("%s: its rows have hash %s, those of a store built anew %s", name, was, now)
		}
		s.stores[name] = old
	}
}

// hash is that of the rows in a service's store, whichever it is.
func hash(t *testing.T, name, store string) string {
	t.Helper()
	of := service(t, name)
	instance, err := of.Open(t.Context(), firehose.Config{Store: store})
	if err != nil {
		t.Fatal(err)
	}
	hash, err := instance.Hash(t.Context())
	if err := errors.Join(err, instance.Close()); err != nil {
		t.Fatal(err)
	}
	return hash
}

// WantFigures compares what the stores say with the data set folded by hand.
func (s *Shop) WantFigures(dataset string) {
	s.t.Helper()
	got := figures.Read(s.t, s.Store)
	if diff := cmp.Diff(figures.Of(s.t, dataset), got); diff != "" {
		s.t.Errorf("figures (-want +got):\n%s", diff)
	}
	s.t.Logf("%s: %d orders at version 3, %d units sold, revenue %d, receivable %d",
		dataset, got.OrdersShipped, got.UnitsSold, got.Revenue, got.Receivable)
}

// Number is the one number that a query of a service's store gives.
func (s *Shop) Number(service, query string) int64 {
	s.t.Helper()
	db := figures.Open(s.t, s.stores[service])
	defer db.Close()
	var n int64
	if err := db.QueryRowContext(s.t.Context(), query).Scan(&n); err != nil {
		s.t.Fatalf("%s: %s: %v", service, query, err)
	}
	return n
}
