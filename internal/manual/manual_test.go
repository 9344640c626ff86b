package manual_test

import (
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"firehose"
	"firehose/consumers/billing"
	"firehose/consumers/inventory"
	"firehose/consumers/replicator"
	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/kafka"
	"firehose/internal/manual"
	"firehose/internal/metric"
	"firehose/internal/publish"
	"firehose/internal/service"
	"firehose/producer"
	"firehose/schemas"
)

// What is committed is what the code says.
func TestFilesAreUpToDate(t *testing.T) {
	files, err := manual.Files()
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		got, err := os.ReadFile(filepath.Join("..", "..", filepath.FromSlash(name)))
		if err != nil {
			t.Error(err)
			continue
		}
		if diff := cmp.Diff(string(want), string(got)); diff != "" {
			t.Errorf("%s is out of date: go run ./internal/manual/generate . (-generated +committed):\n%s", name, diff)
		}
	}
}

func definitions(t *testing.T) []metric.Definition {
	t.Helper()
	client, err := kafka.ClientMetrics()
	if err != nil {
		t.Fatal(err)
	}
	return slices.Concat(consume.Metrics(), publish.Metrics(), producer.Metrics(), client)
}

// The page shows the replicator's settings for all services: the others have the
// same ones, but for its topics.
func TestServicesHaveTheSameSettings(t *testing.T) {
	settings := func(c *service.Command, name string) map[string][]service.Setting {
		all := map[string][]service.Setting{}
		c.Walk(func(words []string, c *service.Command) {
			for _, s := range c.Settings() {
				if s.Name != "topics" {
					s.Default = strings.ReplaceAll(s.Default, name, "NAME")
					all[strings.Join(words[1:], " ")] = append(all[strings.Join(words[1:], " ")], s)
				}
			}
		})
		return all
	}
	want := settings(replicator.Program().Command(), "replicator")
	for _, s := range []firehose.Service{inventory.Service(), billing.Service()} {
		if diff := cmp.Diff(want, settings(firehose.Command(s), s.Name)); diff != "" {
			t.Errorf("%s (-replicator +%s):\n%s", s.Name, s.Name, diff)
		}
	}
}

// Each metric is named as Prometheus wants it, has help, a unit that its name
// shows where it has one, and labels that say what bounds them.
func TestDefinitions(t *testing.T) {
	seen := map[string]bool{}
	for _, d := range definitions(t) {
		if seen[d.Name] {
			t.Errorf("%s is defined twice", d.Name)
		}
		seen[d.Name] = true
		if !strings.HasPrefix(d.Name, "firehose_") && d.Name != "kafka_consumergroup_lag" {
			t.Errorf("%s: want the prefix firehose_", d.Name)
		}
		if d.Unit == "" || !strings.HasSuffix(d.Help, ".") {
			t.Errorf("%s: unit %q, help %q", d.Name, d.Unit, d.Help)
		}
		if (d.Unit == "seconds" || d.Unit == "bytes") && !strings.HasSuffix(strings.TrimSuffix(d.Name, "_total"), "_"+d.Unit) {
			t.Errorf("%s: does not end with its unit, %s", d.Name, d.Unit)
		}
		for _, l := range d.Labels {
			if l.Values == "" && len(l.Of) == 0 {
				t.Errorf("%s: label %s: nothing says what bounds its values", d.Name, l.Name)
			}
		}
		if !strings.HasPrefix(d.Name, kafka.ClientMetricsPrefix) { // kprom has chosen those
			lint(t, d)
		}
	}
}

// lint makes one series of a metric and asks Prometheus' own linter.
func lint(t *testing.T, d metric.Definition) {
	t.Helper()
	reg := prometheus.NewRegistry()
	values := make([]string, len(d.Labels))
	for i := range values {
		values[i] = "any"
	}
	switch d.Kind {
	case metric.Counter:
		d.Labels = append(d.Labels, metric.OneOf("more")) // so that no series is there yet
		v := d.CounterVec()
		v.WithLabelValues(append(values, "x")...)
		reg.MustRegister(v)
	case metric.Gauge:
		reg.MustRegister(d.Gauge())
	case metric.Histogram:
		v := d.HistogramVec()
		v.WithLabelValues(values...)
		reg.MustRegister(v)
	default:
		t.Errorf("%s: kind %q", d.Name, d.Kind)
	}
	problems, err := testutil.GatherAndLint(reg)
	if err != nil {
		t.Errorf("%s: %v", d.Name, err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
}

// descriptions of what was registered, as the registry has them.
var described = regexp.MustCompile(`fqName: "(.*?)", help: "(.*?)",.*constLabels: \{(.*?)\}, variableLabels: \{(.*?)\}`)

// What the programs register is what is defined, with its help and labels, and
// all of it: nothing is exported that the page does not tell of.
func TestProgramsExportWhatIsDefined(t *testing.T) {
	want := map[string]metric.Definition{}
	for _, d := range definitions(t) {
		want[d.Name] = d
	}
	got := map[string]bool{}
	check := func(reg *prometheus.Registry) {
		descs := make(chan *prometheus.Desc)
		go func() {
			defer close(descs)
			reg.Describe(descs)
		}()
		for desc := range descs {
			parts := described.FindStringSubmatch(desc.String())
			if parts == nil {
				t.Errorf("cannot read %s", desc)
				continue
			}
			d, ok := want[parts[1]]
			if !ok {
				if !strings.HasPrefix(parts[1], kafka.ClientMetricsPrefix) { // histograms that are not switched on
					t.Errorf("%s is exported and not defined", parts[1])
				}
				continue
			}
			got[d.Name] = true
			var labels, defined []string
			for label := range strings.SplitSeq(parts[3]+","+parts[4], ",") {
				if name, _, _ := strings.Cut(label, "="); name != "" {
					labels = append(labels, name)
				}
			}
			for _, l := range d.Labels {
				defined = append(defined, l.Name)
			}
			slices.Sort(labels)
			slices.Sort(defined)
			if diff := cmp.Diff(defined, labels); diff != "" {
				t.Errorf("%s: labels (-defined +exported):\n%s", d.Name, diff)
			}
			if help := strings.TrimSuffix(parts[2], ".") + "."; help != d.Help {
				t.Errorf("%s: help %q, defined %q", d.Name, help, d.Help)
			}
		}
	}
	for _, s := range []firehose.Service{replicator.Service(), inventory.Service(), billing.Service()} {
		reg := prometheus.NewRegistry()
		instance, err := s.Open(t.Context(), firehose.Config{Store: "sqlite:" + filepath.Join(t.TempDir(), "any.db"), Metrics: reg})
		if err != nil {
			t.Fatal(err)
		}
		check(reg)
		if err := instance.Close(); err != nil {
			t.Error(err)
		}
	}
	reg := prometheus.NewRegistry()
	registry, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{"http://127.0.0.1:1"}})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	client, err := kafka.NewMeteredClient(kafka.Config{}, reg, "producer")
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	p, err := publish.New(client, registry, schemas.Shop(), publish.Config{Source: "/service/any", Metrics: reg})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := producer.NewHandler(producer.HandlerConfig{Publisher: p, Set: schemas.Shop(), Metrics: reg}); err != nil {
		t.Fatal(err)
	}
	check(reg)
	if err := p.Close(t.Context()); err != nil {
		t.Error(err)
	}
	for name := range want {
		if !got[name] {
			t.Errorf("%s is defined, and no program exports it", name)
		}
	}
}

// An alert asks for metrics and labels that exist.
func TestAlertsAskForWhatIsThere(t *testing.T) {
	known := map[string]metric.Definition{}
	for _, d := range definitions(t) {
		known[d.Name] = d
	}
	rules := string(manual.Rules())
	asked := regexp.MustCompile(`(firehose_\w+)(?:\{(\w+)=~"([^"]*)"\})?`).FindAllStringSubmatch(rules, -1)
	if len(asked) < 11 {
		t.Fatalf("%d metrics in\n%s", len(asked), rules)
	}
	for _, m := range asked {
		d, ok := known[m[1]]
		if !ok {
			t.Errorf("no metric %s", m[1])
			continue
		}
		if m[2] == "" {
			continue
		}
		i := slices.IndexFunc(d.Labels, func(l metric.Label) bool { return l.Name == m[2] })
		if i < 0 {
			t.Errorf("%s has no label %s", m[1], m[2])
			continue
		}
		for value := range strings.SplitSeq(m[3], "|") {
			if !slices.ContainsFunc(d.Labels[i].Of, regexp.MustCompile("^(?:"+value+")$").MatchString) {
				t.Errorf("%s: label %s is never %s", m[1], m[2], value)
			}
		}
	}
}
