package main

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/testbed"
)

func TestMain(m *testing.M) {
	if len(os.Args) > 1 && os.Args[1] == "side" { // a contender is this program, called anew
		main()
	}
	goleak.VerifyTestMain(m)
}

// Ours and the bare programs do all of the work, on both stores; those that need
// a JVM are left out.
func TestRows(t *testing.T) {
	testbed.Integration(t)
	t.Parallel()
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	run(t, &bench{one: []string{broker.Addr()}, programs: build(t, "producer")}, "publish-1-none", "sqlite-spread", "facts-sqlite", "http")
}

// Raw franz-go sends what ours does, of the same size; only the IDs differ.
func TestRawSendsTheSame(t *testing.T) {
	t.Parallel()
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	registry, err := embedded.StartRegistry(embedded.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	s := &side{brokers: []string{broker.Addr()}, registry: registry.URL(), compression: "none", events: 10, senders: 1}
	client, err := kafka.NewClient(kafka.Config{Brokers: s.brokers}, kgo.ConsumeTopics(published))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	if _, err := prepare(t.Context(), client, s.registry, published, 1); err != nil {
		t.Fatal(err)
	}
	sent := map[string][]string{}
	for _, send := range []func(context.Context, *side) error{publishOurs, publishRaw} {
		if err := send(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		for n := 0; n < 11; { // the warm-up is one
			fetches := client.PollFetches(t.Context())
			if err := fetches.Err(); err != nil {
				t.Fatal(err)
			}
			for _, r := range fetches.Records() {
				n++
				record := fmt.Sprintf("%s %x", r.Key, r.Value)
				for _, h := range r.Headers {
					if h.Key == event.HeaderID {
						h.Value = make([]byte, len(h.Value))
					}
					record += fmt.Sprintf(" %s=%s", h.Key, h.Value)
				}
				sent[string(r.Key)] = append(sent[string(r.Key)], record)
			}
		}
	}
	for key, records := range sent {
		for _, record := range records {
			if record != records[0] {
				t.Errorf("key %s: %q, want %q", key, record, records[0])
			}
		}
	}
	if len(sent) != 10 {
		t.Errorf("%d keys, want 10", len(sent))
	}
}

func TestRowsInPostgres(t *testing.T) {
	t.Parallel()
	url := testbed.Postgres(t)
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	brokers := []string{broker.Addr()}
	rows := []string{"postgres-clustered", "facts-postgres"}
	if os.Getenv("FIREHOSE_INTEGRATION") != "" { // they take their time
		rows = append(rows, "latency", "idle", "steady", "instances")
	}
	run(t, &bench{one: brokers, three: brokers, postgres: url, programs: build(t, "loadtest")}, rows...)
}

// build builds some of the project's programs.
func build(t *testing.T, names ...string) string {
	t.Helper()
	dir := t.TempDir()
	for _, name := range names {
		cmd := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-o", dir+"/", "firehose/cmd/"+name)
		cmd.Env = append(os.Environ(), "CGO_ENABLED=0") // as make build does it, which may have compiled it
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("go build %s: %v\n%s", name, err, out)
		}
	}
	return dir
}

func run(t *testing.T, b *bench, names ...string) {
	t.Helper()
	b.dir, b.events, b.tails, b.shorter = t.TempDir(), 5000, map[string][]tail{}, time.Second
	rows, err := choose(names)
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	if err := b.measure(t.Context(), rows, 1, &out); err != nil {
		t.Log(err) // which is looked at below
	}
	results, err := readResults(&out)
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		for _, c := range row.contenders {
			if needsJVM(c.name) {
				continue
			}
			i := slices.IndexFunc(results, func(r result) bool { return r.Row == row.name && r.Contender == c.name })
			if i < 0 {
				t.Errorf("%s, %s: not measured", row.name, c.name)
				continue
			}
			r := results[i]
			if strings.HasPrefix(r.Problem, "the generator was the limit") {
				t.Logf("%s, %s: this machine is too busy: %s", row.name, c.name, r.Problem)
				continue
			}
			if r.Problem != "" || r.Seconds <= 0 || r.CPUSeconds <= 0 || r.Events == 0 {
				t.Errorf("%s, %s: %+v", r.Row, r.Contender, r)
			}
			for _, g := range row.goals { // a figure that is missing would hold
				if g.of == c.name || g.of == "" && row.contenders[0].name == c.name {
					if own := figuresOf(results, row.name, c.name, b.events); own.of(g.figure) <= 0 && g.figure != corePart {
						t.Errorf("%s, %s: %s is missing: %+v", r.Row, c.name, g.figure, r)
					}
				}
			}
		}
	}
	var page bytes.Buffer
	if err := writePage(&page, results); err != nil {
		t.Fatal(err)
	}
	for _, r := range rows {
		if !strings.Contains(page.String(), "make peers ROW="+r.name) {
			t.Errorf("the page does not say how to measure %s again", r.name)
		}
	}
}

// A contender that loses or doubles an event is not measured.
func TestWrongIsNoticed(t *testing.T) {
	for _, tt := range []struct {
		name      string
		rows, sum int64
		right     bool
	}{{"right", 10, 50, true}, {"a row less", 9, 50, false}, {"a row more", 11, 50, false}, {"an event less", 10, 49, false}, {"an event twice", 10, 51, false}} {
		held := table{rows: "orders", sum: "version", query: func(_ context.Context, query string, _ ...any) (int64, error) {
			if strings.Contains(query, "sum(") {
				return tt.sum, nil
			}
			return tt.rows, nil
		}}
		if err := held.right(t.Context(), 10, 50); (err == nil) != tt.right {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
}

// Each goal says what it is measured against, and a missed one is told.
func TestGoals(t *testing.T) {
	for _, r := range allRows() {
		if len(r.goals) == 0 {
			t.Errorf("%s: no goal", r.name)
		}
		for _, g := range r.goals {
			for _, name := range []string{g.of, g.against} {
				if name != "" && !slices.ContainsFunc(r.contenders, func(c contender) bool { return c.name == name }) {
					t.Errorf("%s: nobody is %q", r.name, name)
				}
			}
		}
	}
	own, other := &figures{rate: 100, memory: 10, cpu: 1, named: map[string]float64{"ms": 3}}, &figures{rate: 200, memory: 20, cpu: 2}
	for _, tt := range []struct {
		goal  goal
		holds bool
	}{
		{rate("x", 0.5), true}, {rate("x", 0.51), false}, {memory("x", 0.5), true}, {memory("x", 0.49), false}, {cpu("x", 0.5), true}, {cpu("x", 0.49), false},
		{goal{figure: "ms", most: 3}, true}, {goal{figure: "ms", most: 2.9}, false}, {goal{figure: "rate", least: 100}, true}, {goal{figure: "rate", least: 101}, false},
		{goal{figure: "cpu", against: "x", least: 0.4, most: 0.6}, true}, {goal{figure: "cpu", against: "x", least: 0.6, most: 0.7}, false},
	} {
		if text, holds := tt.goal.result(own, other); holds != tt.holds {
			t.Errorf("%+v: %s: %v, want %v", tt.goal, text, holds, tt.holds)
		}
	}
}

// The inputs are what the page says: five versions of each order, in order; close
// together or all of one version before the next.
func TestInputs(t *testing.T) {
	const n = versions * window * 3 / 2 // a window, and a part of one
	for _, topic := range []string{clustered, spread} {
		at, first, farthest := map[string]int64{}, map[string]int{}, 0
		i := 0
		if err := eachOrder(topic, n, func(o *order) error {
			if o.Version != at[o.OrderID]+1 {
				t.Fatalf("%s: version %d behind %d", topic, o.Version, at[o.OrderID])
			}
			at[o.OrderID] = o.Version
			if o.Version == 1 {
				first[o.OrderID] = i
			}
			farthest = max(farthest, i-first[o.OrderID])
			i++
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if i != n || len(at) != n/versions {
			t.Errorf("%s: %d events of %d orders, want %d of %d", topic, i, len(at), n, n/versions)
		}
		if near := farthest < versions*window; near != (topic == clustered) {
			t.Errorf("%s: an order's events are up to %d apart", topic, farthest)
		}
	}
}

// What Kafka's producer benchmark prints, its first fifth and its sum left out.
func TestPerfTime(t *testing.T) {
	var m measured
	err := perfTime([]string{
		"1000 records sent, 2000.0 records/sec (0.50 MB/sec), 1.0 ms avg latency, 2.0 ms max latency.",
		"8000 records sent, 16000.0 records/sec (4.00 MB/sec), 1.0 ms avg latency, 2.0 ms max latency.",
		"6000 records sent, 12000.0 records/sec (4.00 MB/sec), 1.0 ms avg latency, 2.0 ms max latency.",
		"15000 records sent, 10000.0 records/sec (2.0 MB/sec), 1.0 ms avg latency, 2.0 ms max latency, 1 ms 50th, 1 ms 95th, 1 ms 99th, 2 ms 99.9th.",
	}, 5000, &m)
	if want := 5000.0 / 14_000; err != nil || m.Seconds != want {
		t.Errorf("%v seconds, %v, want %v", m.Seconds, err, want)
	}
	if err := perfTime([]string{"0 records sent, NaN records/sec"}, 5000, &m); err == nil {
		t.Error("nothing sent: no error")
	}
}
