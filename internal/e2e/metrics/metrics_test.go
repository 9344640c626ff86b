// Package metrics_test has a real Prometheus scrape the real programs while they
// work, and compares what it says with what the stores hold.
package metrics_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/consume"
	"firehose/internal/kafka"
	"firehose/internal/manual"
	"firehose/internal/metric"
	"firehose/internal/publish"
	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
	"firehose/producer"
)

func TestMain(m *testing.M) { os.Exit(shop.Main(m)) }

// inTrouble are metrics that have a series only once something went wrong.
var inTrouble = map[string]bool{
	"firehose_http_shed_total":                 true,
	"firehose_kafka_connect_errors_total":      true,
	"firehose_kafka_write_errors_total":        true,
	"firehose_kafka_read_errors_total":         true,
	"firehose_kafka_disconnects_total":         true,
	"firehose_kafka_request_throttled_seconds": true,
}

func TestPrometheusSaysWhatTheStoresHold(t *testing.T) {
	program, err := exec.LookPath("prometheus")
	if err != nil {
		testbed.Skip(t, "prometheus", "it is not installed (Debian: prometheus)")
	}
	cluster := testbed.KafkaAlone(t)
	s := shop.New(t, shop.Config{Cluster: cluster, Registry: testbed.Registry(t)})
	door, address := s.Serve()
	programs := []*shop.Process{door}
	for _, name := range shop.Services() {
		programs = append(programs, s.Start(name, "--breaker-pause", "10m"))
	}
	p := startPrometheus(t, program, manual.Rules(), programs...)

	s.Replay("cdnow:2000").WantDone()
	movement := `{"movement_id":"m-%d","sku":"sku-1","quantity":5,"reason":"RECEIVED","moved_at":"2026-01-02T15:04:05Z"}`
	for i := range 10 {
		post(t, address, "shop.stock.moved", fmt.Sprintf("move-%d", i), fmt.Sprintf(movement, i), http.StatusOK)
	}
	post(t, address, "shop.stock.moved", "move-0", fmt.Sprintf(movement, 0), http.StatusOK)  // sent twice
	post(t, address, "shop.stock.moved", "move-1", fmt.Sprintf(movement, 99), http.StatusOK) // another body under its ID
	post(t, address, "shop.stock.moved", "none", `{"movement_id":"m"}`, http.StatusUnprocessableEntity)
	garbage := &kgo.Record{Topic: "shop.stock-movements", Key: []byte("k"), Value: []byte("garbage")}
	if err := cluster.Client().ProduceSync(t.Context(), garbage).FirstErr(); err != nil {
		t.Fatal(err)
	}
	s.AwaitApplied()

	t.Run("numbers", func(t *testing.T) { wantNumbers(t, p.in(t), s.In(t)) })
	t.Run("every metric", func(t *testing.T) { wantEveryMetric(t, p.in(t)) })
	t.Run("names", func(t *testing.T) { wantGoodNames(t, programs) })
	t.Run("alerts", func(t *testing.T) { wantAlerts(t, p.in(t)) })
	t.Run("no lag in Kafka's own tool", func(t *testing.T) { s.In(t).WantNoLag() })
	t.Run("lag", func(t *testing.T) { wantOneLag(t, p.in(t), s.In(t), cluster) })
}

func (p *prometheus) in(t *testing.T) *prometheus { return &prometheus{t: t, addr: p.addr} }

// post sends an event through the door.
func post(t *testing.T, door, kind, id, body string, want int) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, door+"/v1/events/"+kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	for name, value := range map[string]string{
		"Content-Type": "application/json", "ce-specversion": "1.0", "ce-id": id, "ce-source": "/test", "ce-type": kind,
	} {
		req.Header.Set(name, value)
	}
	resp, err := client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	if resp.StatusCode/100 != want/100 {
		t.Fatalf("POST %s %s: %s, want %d", kind, id, resp.Status, want)
	}
}

// wantNumbers compares the counters with the stores.
func wantNumbers(t *testing.T, p *prometheus, s *shop.Shop) {
	p.wantSum(`sum(firehose_producer_acknowledged_total{job="producer"})`, 12)
	p.wantSum(`sum(firehose_producer_accepted_total{job="producer"})`, 12)
	p.wantSum(`firehose_http_events_total{job="producer",result="acknowledged"}`, 12)
	p.wantSum(`firehose_http_events_total{job="producer",result="refused"}`, 1)
	p.wantSum(`firehose_producer_ack_seconds_count{job="producer"}`, 12)
	p.wantSum(`sum(firehose_producer_unknown_total{job="producer"})`, 0)
	p.wantSum(`firehose_producer_buffered_bytes{job="producer"}`, 0)
	for _, name := range shop.Services() {
		at, err := s.Positions(name)
		if err != nil {
			t.Fatal(err)
		}
		var records int64 // each topic was read from offset 0, and nothing is compacted yet
		for _, next := range at {
			records += next
		}
		aside := s.Number(name, "SELECT count(*) FROM firehose_dead_letters")
		job := `{job="` + name + `"}`
		p.wantSum("sum(firehose_events_applied_total"+job+")", float64(records-aside))
		p.wantSum("sum(firehose_dead_letters_total"+job+")", float64(aside))
		p.wantSum("sum(firehose_conflicts_total"+job+")", float64(s.Number(name, "SELECT count(*) FROM conflicts")))
		p.wantSum("sum(firehose_lag_records"+job+")", 0)
		p.wantSum("sum(firehose_lag_seconds"+job+")", 0)
		p.wantSum("firehose_partitions_assigned"+job, float64(len(at)))
		p.wantSum(`count(firehose_partition_state{job="`+name+`",state="active"} == 1)`, float64(len(at)))
		p.wantSum(`count(kafka_consumergroup_lag{consumergroup="`+name+`"} == 0)`, float64(len(at)))
		p.wantSum(`sum(firehose_kafka_fetch_records_total{client="consumer",job="`+name+`"})`, float64(records))
		for _, histogram := range []string{"firehose_batch_events", "firehose_apply_seconds", "firehose_end_to_end_seconds"} {
			if n := p.sum(histogram + "_count" + job); n < 1 {
				t.Errorf("%s of %s counts %v", histogram, name, n)
			}
		}
		t.Logf("%s: %d records, %d set aside", name, records, aside)
	}
	p.wantSum(`firehose_dead_letters_total{job="inventory",class="undecodable"}`, 1)
	p.wantSum(`firehose_conflicts_total{job="inventory",policy="seen",outcome="kept"}`, 1)
	p.wantSum(`firehose_events_skipped_total{job="inventory",reason="duplicate"}`, 1)
	// 11 of the movements count: ten, and one under an ID that was taken.
	p.wantSum("sum(firehose_producer_rejected_total)", p.sum(`sum(firehose_producer_rejected_total{reason="data"})`))
}

// wantOneLag has a partition rest, and checks that everybody who is asked for the
// lag of each partition says the same: Prometheus, firehose lag, Kafka's tool.
func wantOneLag(t *testing.T, p *prometheus, s *shop.Shop, cluster *testbed.Cluster) {
	const unusable = 150 // the breaker trips at 100
	garbage := make([]*kgo.Record, unusable)
	for i := range garbage {
		garbage[i] = &kgo.Record{Topic: "shop.stock-movements", Key: []byte("k"), Value: []byte("garbage")}
	}
	if err := cluster.Client().ProduceSync(t.Context(), garbage...).FirstErr(); err != nil {
		t.Fatal(err)
	}
	p.wantSum(`sum(firehose_partition_state{job="inventory",state="paused_breaker"})`, 1)
	at, err := s.Positions("inventory")
	if err != nil {
		t.Fatal(err)
	}
	ends, err := s.Ends("inventory")
	if err != nil {
		t.Fatal(err)
	}
	want, behind := map[shop.Partition]float64{}, 0.0
	for partition, end := range ends {
		want[partition] = float64(end - at[partition])
		behind += want[partition]
	}
	if behind < 1 || behind >= unusable {
		t.Fatalf("%v records behind, want some of %d", behind, unusable)
	}
	p.wantSum(`sum(firehose_lag_records{job="inventory"})`, behind)
	for _, query := range []string{`firehose_lag_records{group="inventory"}`, `kafka_consumergroup_lag{consumergroup="inventory"}`} {
		got := map[shop.Partition]float64{}
		for _, found := range p.vector(query) {
			got[partitionOf(t, found.labels["topic"], found.labels["partition"])] = found.value
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Errorf("%s (-store +got):\n%s", query, diff)
		}
	}
	if p.sum(`max(firehose_lag_seconds{job="inventory"})`) <= 0 {
		t.Error("the oldest of them has no age")
	}
	committed := func() map[shop.Partition]float64 { // by firehose lag
		got := map[shop.Partition]float64{}
		out := s.Run(nil, "firehose", "lag", "--brokers", strings.Join(cluster.Brokers(), ","), "--group", "inventory", "-J")
		for line := range strings.Lines(out) {
			var of struct {
				Topic     string
				Partition int32
				Lag       float64
			}
			if err := json.Unmarshal([]byte(line), &of); err != nil {
				t.Fatalf("firehose lag: %q: %v", line, err)
			}
			got[shop.Partition{Topic: of.Topic, ID: of.Partition}] = of.Lag
		}
		return got
	}
	shop.Until(t, "the commits follow", func() bool { return cmp.Equal(want, committed()) })
	out := cluster.KafkaTool("org.apache.kafka.tools.consumer.group.ConsumerGroupCommand", nil, "--describe", "--group", "inventory")
	got := map[shop.Partition]float64{}
	for line := range strings.Lines(out) {
		columns := strings.Fields(line) // GROUP TOPIC PARTITION CURRENT-OFFSET LOG-END-OFFSET LAG ...
		if len(columns) > 5 && columns[0] == "inventory" {
			lag, err := strconv.ParseFloat(columns[5], 64)
			if err != nil {
				t.Fatalf("consumer-groups: %s: %v", line, err)
			}
			got[partitionOf(t, columns[1], columns[2])] = lag
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("consumer-groups --describe (-store +got):\n%s", diff)
	}
	t.Logf("%v records behind, everybody says", behind)
}

func partitionOf(t *testing.T, topic, id string) shop.Partition {
	t.Helper()
	n, err := strconv.ParseInt(id, 10, 32)
	if err != nil {
		t.Fatalf("partition %q: %v", id, err)
	}
	return shop.Partition{Topic: topic, ID: int32(n)}
}

// wantEveryMetric asks for each metric that is defined, and for its type.
func wantEveryMetric(t *testing.T, p *prometheus) {
	ofClient, err := kafka.ClientMetrics()
	if err != nil {
		t.Fatal(err)
	}
	var types map[string][]struct{ Type string }
	if !p.get("metadata", url.Values{}, &types) {
		t.Fatal("prometheus does not answer")
	}
	exists := func(d metric.Definition, job string) {
		if inTrouble[d.Name] {
			return
		}
		name := d.Name
		if d.Kind == metric.Histogram {
			name += "_count"
		}
		if n := p.sum(fmt.Sprintf("count(%s{job=%q})", name, job)); n < 1 {
			t.Errorf("%s does not export %s", job, d.Name)
		}
		if of := types[d.Name]; len(of) != 1 || of[0].Type != string(d.Kind) {
			t.Errorf("%s has the type %v, want %s", d.Name, of, d.Kind)
		}
	}
	for _, service := range shop.Services() {
		for _, d := range consume.Metrics() {
			exists(d, service)
		}
	}
	for _, d := range append(publish.Metrics(), producer.Metrics()...) {
		exists(d, "producer")
	}
	for _, d := range ofClient {
		job := "inventory" // which fetches, and produces dead letters
		exists(d, job)
	}
	for _, job := range append(shop.Services(), "producer") {
		for _, name := range []string{"go_goroutines", "process_resident_memory_bytes", "go_build_info"} {
			if p.sum(fmt.Sprintf("count(%s{job=%q})", name, job)) != 1 {
				t.Errorf("%s does not export %s", job, name)
			}
		}
	}
}

// wantGoodNames asks Prometheus' linter about all that the programs export.
func wantGoodNames(t *testing.T, programs []*shop.Process) {
	for _, program := range programs {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+program.Admin()+"/metrics", nil)
		if err != nil {
			t.Fatal(err)
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		problems, err := promlint.New(resp.Body).Lint()
		resp.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		for _, problem := range problems {
			if !strings.HasPrefix(problem.Metric, kafka.ClientMetricsPrefix) { // kprom has chosen those
				t.Errorf("%s: %s: %s", program.Name(), problem.Metric, problem.Text)
			}
		}
	}
}

// wantAlerts checks that Prometheus can judge all of the rules, and that what
// happened here fires the alerts that it should and no other.
func wantAlerts(t *testing.T, p *prometheus) {
	firing := map[string]bool{"FirehoseRecordsSetAside": true, "FirehoseConflicts": true}
	var judged struct {
		Groups []struct {
			Rules []struct{ Name, State, Health, LastError string }
		}
	}
	last := "no answer"
	defer func() {
		if last != "" {
			t.Logf("rules that are not as they should be:\n%s", last)
		}
	}()
	shop.Until(t, "the rules are judged", func() bool {
		if !p.get("rules", url.Values{}, &judged) || len(judged.Groups) != 1 {
			return false
		}
		last = ""
		for _, r := range judged.Groups[0].Rules {
			switch {
			case r.Health == "err":
				t.Fatalf("rule %s: %s", r.Name, r.LastError)
			case r.Health != "ok", (r.State == "firing") != firing[r.Name]:
				last += fmt.Sprintf("%+v\n", r)
			}
		}
		return last == ""
	})
}
