package stores_test

import (
	"context"
	"fmt"
	"net/url"
	"os"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose"
	"firehose/firehosetest"
	"firehose/internal/codec"
	"firehose/internal/testbed"
	"firehose/schemas"
)

// hit is a fact of which all add to one row.
type hit struct {
	ID   string `avro:"hit_id"`
	Page string `avro:"page"`
}

const hits = `{"type":"record","name":"Hit","namespace":"t","firehose":{"topic":"t.hits","kind":"fact",
	"key":"hit_id","types":["t.hit.made"]},"fields":[{"name":"hit_id","type":"string"},{"name":"page","type":"string"}]}`

// Instances that add to one row wait for one another from the row's lock until
// the answer to COMMIT, which takes the longer the further away the database is.
// A sharded counter is many rows.
func TestHotCounter(t *testing.T) {
	testbed.Postgres(t) // without one nothing is measured
	n := 100_000
	if os.Getenv("E2E_FULL") != "" {
		n = 1_000_000
	}
	s, err := schemas.Parse(hits, 1)
	if err != nil {
		t.Fatal(err)
	}
	set, err := schemas.NewSet(s)
	if err != nil {
		t.Fatal(err)
	}
	seconds := map[string]float64{}
	// Full transactions keep two cores busy with one instance, small ones leave
	// them waiting for the database, which is what more instances are for.
	const full, small = 20_000, 1000
	run := func(name string, sharded bool, instances, batch int) {
		t.Run(name, func(t *testing.T) {
			count := firehose.Counters("hits", firehose.Key{firehose.Text("page")}, "n")
			if sharded {
				count = count.Sharded()
			}
			service := firehose.Service{Name: "hot", Schemas: set, Tables: []*firehose.Table{count},
				Projections: []firehose.Projection{firehose.OnFact("t.hits", func(e firehose.Event[hit], c *firehose.Changes) error {
					c.Add(count, firehose.Row{e.Data.Page}, 1)
					return nil
				})}}
			cluster := firehosetest.Start(t, set)
			begin := prepare(t, cluster, s, n)
			near, err := url.Parse(testbed.Postgres(t))
			if err != nil {
				t.Fatal(err)
			}
			far := *near
			far.Host = testbed.Slow(t, near.Host, 5*time.Millisecond)
			var running []*firehosetest.Service
			for range instances {
				running = append(running, cluster.Run(service, func(c *firehose.Config) { c.Store, c.MaxBatch = far.String(), batch }))
			}
			for _, r := range running {
				r.Until("it has its share of the partitions", func() error {
					if got, want := len(r.Instance().Status()), 8/instances; got != want {
						return fmt.Errorf("%d partitions, want %d", got, want)
					}
					return nil
				})
			}
			start := time.Now()
			begin()
			for total := int64(0); total < int64(n); {
				running[0].Until("more is counted", func() error {
					rows := running[0].Query("SELECT coalesce(sum(n), 0)::bigint FROM hits")
					if now := rows[0][0].(int64); now > total {
						total = now
						return nil
					}
					return fmt.Errorf("%d", total)
				})
			}
			seconds[name] = time.Since(start).Seconds()
			for _, r := range running {
				r.Stop()
			}
			if rows := running[0].Query("SELECT sum(n)::bigint FROM hits"); rows[0][0] != int64(n) {
				t.Errorf("counted %v, want %d", rows[0][0], n)
			}
		})
	}
	for _, batch := range []int{full, small} {
		for _, kind := range []string{"sharded", "not sharded"} {
			name := fmt.Sprintf("%s, transactions of up to %d", kind, batch)
			run("one, "+name, kind == "sharded", 1, batch)
			run("two, "+name, kind == "sharded", 2, batch)
			one, two := seconds["one, "+name], seconds["two, "+name]
			t.Logf("%d facts, %s: one instance %.1f s, two %.1f s: %.2f times as fast", n, name, one, two, one/two)
		}
	}
}

// prepare writes n facts in a transaction, and returns what ends it: until then
// no consumer sees one of them.
func prepare(t *testing.T, cluster *firehosetest.Cluster, s *schemas.Schema, n int) func() {
	t.Helper()
	producer, err := kgo.NewClient(kgo.SeedBrokers(cluster.Brokers()...), kgo.TransactionalID("hits"), kgo.MaxBufferedRecords(n))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(producer.Close)
	if err := producer.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	now := []byte(time.Now().UTC().Format(time.RFC3339Nano))
	encoder := codec.NewEncoder(s, cluster.SchemaID("t.hits"))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for i := range n {
		value, err := encoder.AppendEncode(nil, &hit{fmt.Sprintf("hit-%d", i), "home"})
		if err != nil {
			t.Fatal(err)
		}
		id := fmt.Appendf(nil, "hit-%d", i)
		producer.Produce(ctx, &kgo.Record{Topic: "t.hits", Key: id, Value: value, Headers: []kgo.RecordHeader{
			{Key: "ce_specversion", Value: []byte("1.0")}, {Key: "ce_id", Value: id}, {Key: "ce_source", Value: []byte("/t")},
			{Key: "ce_type", Value: []byte("t.hit.made")}, {Key: "ce_time", Value: now},
		}}, nil)
	}
	if err := producer.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	return func() {
		if err := producer.EndTransaction(t.Context(), kgo.TryCommit); err != nil {
			t.Fatal(err)
		}
	}
}
