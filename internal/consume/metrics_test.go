package consume_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"firehose/internal/consume"
	"firehose/internal/kafka"
)

// series are the values of a registry, by name and labels as Prometheus writes
// them; those of histograms are left out.
func series(t *testing.T, from prometheus.Gatherer) map[string]float64 {
	t.Helper()
	families, err := from.Gather()
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]float64{}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			var labels []string
			for _, l := range m.GetLabel() {
				labels = append(labels, fmt.Sprintf("%s=%q", l.GetName(), l.GetValue()))
			}
			if m.GetHistogram() == nil {
				out[f.GetName()+"{"+strings.Join(labels, ",")+"}"] = m.GetCounter().GetValue() + m.GetGauge().GetValue()
			}
		}
	}
	return out
}

func metered(reg *prometheus.Registry) func(*consume.Config) {
	return func(cfg *consume.Config) { cfg.Metrics = reg }
}

// What is exported is what the store holds, and each name, type and help is what
// Prometheus wants them to be.
func TestMetrics(t *testing.T) {
	b := newBank(t)
	reg := prometheus.NewRegistry()
	b.start(b.store, metered(reg))
	b.produce(b.entry("e1", "a", 5, 0), b.entry("e2", "a", 6, 1), b.entry("e3", "a", -666, 1), b.entry("e1", "a", 5, 0))
	b.caughtUp()
	want := map[string]float64{
		`firehose_events_applied_total{group="bank",partition="0",topic="bank.entries"}`:                        2,
		`firehose_events_applied_total{group="bank",partition="1",topic="bank.entries"}`:                        1,
		`firehose_events_skipped_total{group="bank",reason="duplicate"}`:                                        1,
		`firehose_events_skipped_total{group="bank",reason="stale"}`:                                            0,
		`firehose_dead_letters_total{class="projection_error",group="bank"}`:                                    1,
		`firehose_dead_letters_total{class="undecodable",group="bank"}`:                                         0,
		`firehose_conflicts_total{group="bank",outcome="kept",policy="seen"}`:                                   0,
		`firehose_partitions_assigned{group="bank"}`:                                                            4,
		`firehose_partition_state{group="bank",partition="1",state="active",topic="bank.entries"}`:              1,
		`firehose_lag_records{group="bank",partition="0",topic="bank.entries"}`:                                 0,
		`firehose_lag_seconds{group="bank",partition="0",topic="bank.entries"}`:                                 0,
		`kafka_consumergroup_lag{consumergroup="bank",partition="1",topic="bank.entries"}`:                      0,
		`firehose_kafka_fetch_records_total{client="consumer",group="bank",topic="bank.entries"}`:               4,
		`firehose_kafka_produce_records_total{client="deadletters",group="bank",topic="bank.entries.bank-dlt"}`: 1,
	}
	b.eventually("the metrics say what was done", func() error { // the position is committed a moment before it is counted
		got := series(t, reg)
		for name, value := range want {
			if at, ok := got[name]; !ok || at != value {
				return fmt.Errorf("%s is %v, there: %v; want %v", name, at, ok, value)
			}
		}
		return nil
	})
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		if !strings.HasPrefix(p.Metric, kafka.ClientMetricsPrefix) { // kprom has chosen those
			t.Errorf("%s: %s", p.Metric, p.Text)
		}
	}
}

// A conflict is counted once, whether the batch finds it or the store, with its
// policy and outcome, and not again when it comes again.
func TestConflictsAreCountedOnce(t *testing.T) {
	for name, adjust := range map[string]func(*consume.Config){"rows": asRows, "images": func(*consume.Config) {}} {
		t.Run(name, func(t *testing.T) {
			b := newBank(t)
			one := func(limit int64) func() {
				return func() {
					v := int64(1)
					b.produce(b.record("bank.accounts", 0, fmt.Sprintf("e%d", limit), "a", &account{ID: "a", Version: v, Limit: limit}, &v))
					b.caughtUp()
				}
			}
			reg := prometheus.NewRegistry()
			b.start(b.store, adjust, metered(reg))
			// The greater event ID wins: e7 over e3, then e5 comes too late.
			for _, step := range []func(){one(3), one(7), one(5), one(5), one(3)} {
				step()
			}
			b.produce(b.entry("same", "a", 1, 0))
			b.caughtUp()
			b.produce(b.entry("same", "a", 2, 0))
			b.caughtUp()
			b.eventually("the conflicts are counted", func() error {
				got := map[string]float64{}
				for series, value := range series(t, reg) {
					if strings.HasPrefix(series, "firehose_conflicts_total") && value > 0 {
						got[series] = value
					}
				}
				return different(map[string]float64{
					`firehose_conflicts_total{group="bank",outcome="replaced",policy="newest"}`: 1,
					`firehose_conflicts_total{group="bank",outcome="kept",policy="newest"}`:     1,
					`firehose_conflicts_total{group="bank",outcome="kept",policy="seen"}`:       1,
				}, got)
			})
			if n := b.query("SELECT count(*) FROM conflicts"); n != 3 {
				t.Errorf("the store has %d conflicts, want 3", n)
			}
		})
	}
}

func different(want, got any) error {
	if diff := cmp.Diff(want, got); diff != "" {
		return fmt.Errorf("-want +got:\n%s", diff)
	}
	return nil
}

// partitionSeries are the series of a registry that are about a partition.
func partitionSeries(t *testing.T, reg *prometheus.Registry) []string {
	var of []string
	for name := range series(t, reg) {
		if strings.Contains(name, "partition=") {
			of = append(of, name)
		}
	}
	slices.Sort(of)
	return of
}

// A member that comes takes partitions: their series are no longer at the first
// one, and all of them are at the two together, once.
func TestSeriesOfARevokedPartitionDisappear(t *testing.T) {
	b := newBank(t)
	first, second := prometheus.NewRegistry(), prometheus.NewRegistry()
	b.start(b.store, metered(first))
	for p := range int32(2) {
		b.produce(b.entry(fmt.Sprintf("e%d", p), "a", 1, p), b.account(fmt.Sprintf("a%d", p), 1, 10, p))
	}
	b.caughtUp()
	names := func(series []string) []string { // without the state, which may be any
		var of []string
		for _, s := range series {
			of = append(of, strings.Replace(s, `state="paused_store",`, `state="active",`, 1))
		}
		return of
	}
	whole := names(partitionSeries(t, first))
	if len(whole) != 4*5 {
		t.Fatalf("%d series of four partitions, want 20:\n%s", len(whole), strings.Join(whole, "\n"))
	}
	last := b.start(b.store, metered(second))
	b.eventually("two members share the partitions", func() error {
		one, other := names(partitionSeries(t, first)), names(partitionSeries(t, second))
		if len(other) == 0 {
			return fmt.Errorf("the second has none")
		}
		both := append(one, other...)
		slices.Sort(both)
		return different(whole, both)
	})
	if err := last.end(t); err != nil {
		t.Error(err)
	}
	if left := partitionSeries(t, second); len(left) > 0 {
		t.Errorf("a member that has left still exports\n%s", strings.Join(left, "\n"))
	}
}

// The lag of a partition that rests grows with its log, though nothing of it is
// fetched.
func TestLagOfAStoppedPartition(t *testing.T) {
	b := newBank(t)
	reg := prometheus.NewRegistry()
	b.produce(b.entry("e1", "a", 1, 0))
	m := b.start(b.store)
	b.caughtUp()
	if err := m.end(t); err != nil {
		t.Fatal(err)
	}
	b.write("UPDATE positions SET next = 50 WHERE topic = 'bank.entries' AND partition = 0")
	b.start(b.store, metered(reg), func(cfg *consume.Config) { cfg.EndsEvery = 5 * time.Millisecond })
	name := `firehose_lag_records{group="bank",partition="0",topic="bank.entries"}`
	b.eventually("it is stopped", func() error {
		s := `firehose_partition_state{group="bank",partition="0",state="stopped_past_end",topic="bank.entries"}`
		if series(t, reg)[s] != 1 {
			return fmt.Errorf("it is not stopped")
		}
		return nil
	})
	for i := range 60 {
		b.produce(b.entry(fmt.Sprintf("more-%d", i), "a", 1, 0))
	}
	b.eventually("its lag is what was written since", func() error {
		got := series(t, reg)
		if got[name] != 11 { // 1 + 60 records, position 50
			return fmt.Errorf("lag %v, want 11", got[name])
		}
		if age := got[strings.Replace(name, "records", "seconds", 1)]; age <= 0 {
			return fmt.Errorf("the oldest of them is %v s old", age)
		}
		return nil
	})
}
