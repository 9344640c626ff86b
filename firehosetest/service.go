package firehosetest

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"firehose"
	"firehose/internal/deadletter"
	"firehose/internal/kafka"
)

// Service is one running instance of a service.
type Service struct {
	t        testing.TB
	cluster  *Cluster
	service  firehose.Service
	cfg      firehose.Config
	instance *firehose.Instance
	logs     *logs
	cancel   context.CancelFunc
	done     chan struct{} // closed when Run has returned
	err      error         // what it returned, once done is closed
	stop     sync.Once
}

// Run starts a service, with its dead-letter topics created, on a SQLite file of
// the test's: run again under the same name, after Stop, it goes on where it
// was. adjust may change the configuration before.
func (c *Cluster) Run(s firehose.Service, adjust ...func(*firehose.Config)) *Service {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	r := &Service{
		t: c.t, cluster: c, service: s, logs: &logs{}, done: make(chan struct{}),
	}
	r.cfg = firehose.Config{
		Brokers: c.Brokers(), Registry: c.Registry(), Group: s.Name,
		SchemaPatience: 100 * time.Millisecond, BreakerPause: 300 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(r.logs, nil)),
	}
	for _, f := range adjust {
		f(&r.cfg)
	}
	if r.cfg.Store == "" {
		r.cfg.Store = "sqlite:" + filepath.Join(c.dir, s.Name+".db")
	}
	var topics []kafka.Topic
	for _, name := range s.Topics() {
		contract, ok := c.contract(name)
		if !ok {
			c.t.Fatalf("service %s: its topic %s was not added to the cluster", s.Name, name)
		}
		topics = append(topics, kafka.DeadLetterTopic(kafka.EventTopic(contract, 1), r.cfg.Group))
	}
	c.apply(ctx, topics)

	var err error
	if r.instance, err = s.Open(ctx, r.cfg); err != nil {
		c.t.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(c.t.Context()))
	r.cancel = stop
	go func() {
		defer close(r.done)
		r.err = r.instance.Run(running, nil)
	}()
	c.t.Cleanup(r.Stop)
	return r
}

// Instance returns the running instance itself.
func (s *Service) Instance() *firehose.Instance { return s.instance }

// Stop stops the service as SIGTERM does and closes its store. The test fails
// when it does not end, or ends with an error.
func (s *Service) Stop() {
	s.t.Helper()
	s.stop.Do(func() {
		s.cancel()
		select {
		case <-s.done:
		case <-time.After(patience):
			s.t.Errorf("service %s: does not stop\n%s", s.service.Name, s.logs)
			return
		}
		if err := errors.Join(s.err, s.instance.Close()); err != nil {
			s.t.Errorf("service %s: %v\n%s", s.service.Name, err, s.logs)
		}
	})
}

// Wait waits until the service has applied, or set aside, everything that its
// topics hold now.
func (s *Service) Wait() {
	s.t.Helper()
	ctx, cancel := s.cluster.context()
	defer cancel()
	infos, err := kafka.DescribeTopics(ctx, s.cluster.client, s.service.Topics()...)
	if err != nil {
		s.t.Fatal(err)
	}
	s.Until("everything sent is applied", func() error {
		at := map[string]int64{}
		rows, err := s.read(ctx, "SELECT topic || '/' || partition, next FROM positions")
		if err != nil {
			return err
		}
		for _, row := range rows {
			at[row[0].(string)] = row[1].(int64)
		}
		for _, topic := range infos {
			for _, p := range topic.Partitions {
				name := fmt.Sprintf("%s/%d", topic.Name, p.ID)
				if next, ok := at[name]; p.StableEnd > 0 && (!ok || next < p.StableEnd) {
					return fmt.Errorf("%s: at %d of %d", name, next, p.StableEnd)
				}
			}
		}
		return nil
	})
}

// Until waits until holds returns nil. It fails the test when that takes too
// long, or when the service ends meanwhile.
func (s *Service) Until(what string, holds func() error) {
	s.t.Helper()
	late := time.NewTimer(patience)
	defer late.Stop()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-tick.C:
		case <-s.done:
			s.t.Fatalf("service %s: ended (%v) before %s: %v\n%s", s.service.Name, s.err, what, err, s.logs)
		case <-late.C:
			s.t.Fatalf("service %s: waited %s until %s: %v\n%+v\n%s", s.service.Name, patience, what, err, s.instance.Status(), s.logs)
		}
	}
}

// Query returns the rows that an SQL query of the service's store gives:
// integers and booleans as int64, times, decimals and JSON as text.
func (s *Service) Query(query string, args ...any) [][]any {
	s.t.Helper()
	ctx, cancel := s.cluster.context()
	defer cancel()
	rows, err := s.read(ctx, query, args...)
	if err != nil {
		s.t.Fatalf("%s: %v", query, err)
	}
	return rows
}

// Value returns the only value of the only row of a query.
func (s *Service) Value(query string, args ...any) any {
	s.t.Helper()
	rows := s.Query(query, args...)
	if len(rows) != 1 || len(rows[0]) != 1 {
		s.t.Fatalf("%s: got %v, want one row of one value", query, rows)
	}
	return rows[0][0]
}

// Hash returns the hash of the service's tables, equal wherever the same events
// were folded.
func (s *Service) Hash() string {
	s.t.Helper()
	ctx, cancel := s.cluster.context()
	defer cancel()
	h, err := s.instance.Hash(ctx)
	if err != nil {
		s.t.Fatal(err)
	}
	return h
}

// DeadLetter is a record that the service set aside.
type DeadLetter struct {
	Topic     string // it came from
	Partition int32
	Offset    int64
	Class     string // short, stable: "undecodable", "value_refused", ...
	Message   string
	Key       string
	Value     []byte
}

// DeadLetters returns what the service's dead-letter topics hold, each record
// once, however often it was written, by topic, partition and offset.
func (s *Service) DeadLetters() []DeadLetter {
	s.t.Helper()
	ctx, cancel := s.cluster.context()
	defer cancel()
	found := map[deadletter.ID]DeadLetter{}
	for _, topic := range s.service.Topics() {
		rc := kafka.ReadConfig{Topic: kafka.DeadLetterName(topic, s.cfg.Group)}
		err := kafka.Read(ctx, s.cluster.kafka(), rc, func(r *kafka.Record) (bool, error) {
			why, err := deadletter.ParseHeaders(r.Headers)
			if err != nil {
				return false, err
			}
			found[why.ID()] = DeadLetter{
				Topic: why.Topic, Partition: why.Partition, Offset: why.Offset, Class: why.Class, Message: why.Message,
				Key: string(r.Key), Value: r.Value,
			}
			return true, nil
		})
		if err != nil {
			s.t.Fatal(err)
		}
	}
	out := make([]DeadLetter, 0, len(found))
	for _, d := range found {
		out = append(out, d)
	}
	slices.SortFunc(out, func(a, b DeadLetter) int {
		return cmp.Or(cmp.Compare(a.Topic, b.Topic), cmp.Compare(a.Partition, b.Partition), cmp.Compare(a.Offset, b.Offset))
	})
	return out
}

// Log returns what the service has logged.
func (s *Service) Log() string { return s.logs.String() }

// logs keeps log lines until the test fails and wants to show them.
type logs struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *logs) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}
