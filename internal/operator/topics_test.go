package operator_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/internal/service"
	"firehose/schemas"
)

const manifests = `{"service":"billing","group":"billing","topics":[
  {"name":"shop.orders.billing-dlt","for":"shop.orders","partitions":8,"configs":{"retention.ms":"-1"}}]}
{"service":"inventory","group":"stock","topics":[
  {"name":"shop.stock-movements.stock-dlt","for":"shop.stock-movements","partitions":8,"configs":{}}]}`

func TestTopicsApply(t *testing.T) {
	w := newWorld(t)
	got := w.run(manifests, "topics", "apply", "-")
	want := `TOPIC                           OUTCOME  WHAT
shop.customers                  created  8 partitions
shop.orders                     created  8 partitions
shop.payments                   created  8 partitions
shop.products                   created  8 partitions
shop.shipments                  created  8 partitions
shop.stock-movements            created  8 partitions
shop.orders.billing-dlt         created  8 partitions
shop.stock-movements.stock-dlt  created  8 partitions
`
	if diff := cmp.Diff(call{stdout: want}, got, cmp.AllowUnexported(call{})); diff != "" {
		t.Fatalf("first (-want +got):\n%s", diff)
	}
	if got := w.run(manifests, "topics", "apply", "-"); strings.Count(got.stdout, "unchanged") != 8 {
		t.Errorf("again: got\n%s", got.stdout)
	}

	// What differs is put right; where that would move keys it is only said.
	admin := kadm.NewClient(w.client)
	hour := "3600000"
	if _, err := admin.AlterTopicConfigs(t.Context(), []kadm.AlterConfig{{Name: "retention.ms", Value: &hour}}, "shop.payments"); err != nil {
		t.Fatal(err)
	}
	if _, err := admin.CreatePartitions(t.Context(), 2, "shop.orders"); err != nil {
		t.Fatal(err)
	}
	out := w.run(manifests, "topics", "apply", "-", "-J")
	type line struct {
		Topic, Outcome string
		Partitions     int
		Changes        []struct{ Key, From, To string }
	}
	var lines []line
	for text := range strings.Lines(out.stdout) {
		var l line
		if err := json.Unmarshal([]byte(text), &l); err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		if l.Outcome != "unchanged" {
			lines = append(lines, l)
		}
	}
	type change = struct{ Key, From, To string }
	wantLines := []line{
		{"shop.orders", "differs", 8, []change{{"partitions", "10", "8"}}},
		{"shop.payments", "configured", 8, []change{{"retention.ms", "3600000", "-1"}}},
		// As many as its source, so that a dead letter keeps its number; there
		// are fewer, which is said.
		{"shop.orders.billing-dlt", "differs", 10, []change{{"partitions", "8", "10"}}},
	}
	if diff := cmp.Diff(wantLines, lines); diff != "" {
		t.Errorf("changed (-want +got):\n%s\nstderr: %s", diff, out.stderr)
	}
}

// Copies that are not there are said, topic by topic: what is acknowledged may be
// lost with a broker.
func TestTopicsApplyTellsOfMissingCopies(t *testing.T) {
	w := newWorld(t)
	w.ok("topics", "apply")
	out := w.ok("topics", "apply", "--replication", "3")
	if got := strings.Count(out, "differs  replication: 1, declared 3; left as it is\n"); got != 6 {
		t.Errorf("told of %d topics, want all 6:\n%s", got, out)
	}
	settings, err := kafka.TopicSetting(t.Context(), w.client, "min.insync.replicas", schemas.TopicOrders)
	if err != nil {
		t.Fatal(err)
	}
	if got := settings[schemas.TopicOrders]; got != "1" {
		t.Errorf("min.insync.replicas is %s, want 1: nobody could write", got)
	}
}

func TestTopicsApplyFiles(t *testing.T) {
	w := newWorld(t)
	file := filepath.Join(t.TempDir(), "manifests.json")
	if err := os.WriteFile(file, []byte(manifests), 0o600); err != nil {
		t.Fatal(err)
	}
	if out := w.ok("topics", "apply", file); strings.Count(out, "created") != 8 {
		t.Errorf("got\n%s", out)
	}
	for _, test := range []struct {
		name, stdin string
		args        []string
		code        int
		says        string
	}{
		{"no manifest", "", []string{"-"}, service.ExitFailed, "standard input: no manifest in it"},
		{"not JSON", "service billing", []string{"-"}, service.ExitFailed, "manifest 1:"},
		{"something else", `{"name":"x"}`, []string{"-"}, service.ExitFailed, "names no service"},
		{"Kafka's own topic", `{"service":"a","group":"a","topics":[{"name":"__x","for":"y","partitions":1}]}`, []string{"-"}, service.ExitFailed, `topic "__x"`},
		{"no file", "", []string{"missing.json"}, service.ExitFailed, "missing.json"},
		{"replication", "", []string{"--replication", "0"}, service.ExitUsage, "--replication 0"},
		{"no schemas", "", []string{"--schemas", t.TempDir()}, service.ExitFailed, "no .avsc file"},
		{"no directory", "", []string{"--schemas", "missing"}, service.ExitUsage, "--schemas"},
	} {
		t.Run(test.name, func(t *testing.T) {
			got := w.run(test.stdin, append([]string{"topics", "apply"}, test.args...)...)
			if got.code != test.code || !strings.Contains(got.stderr, test.says) || got.stdout != "" {
				t.Errorf("got %d, %q, %q, want %d, %q", got.code, got.stdout, got.stderr, test.code, test.says)
			}
		})
	}
}

func TestTopicsList(t *testing.T) {
	w := ready(t)
	w.run(manifests, "topics", "apply", "-")
	if _, err := kadm.NewClient(w.client).CreateTopic(t.Context(), 1, 1, nil, "theirs"); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		w.produce(&kgo.Record{Topic: schemas.TopicPayments, Value: []byte("x")})
	}
	want := `TOPIC                           KIND          PARTITIONS  RECORDS  CLEANUP
shop.customers                  entity        8           0        compact
shop.orders                     entity        8           0        compact
shop.orders.billing-dlt         dead letters  8           0        delete
shop.payments                   fact          8           3        delete
shop.products                   entity        8           0        compact
shop.shipments                  fact          8           0        delete
shop.stock-movements            fact          8           0        delete
shop.stock-movements.stock-dlt  dead letters  8           0        delete
theirs                          -             1           0        delete
`
	if diff := cmp.Diff(want, w.ok("topics", "list")); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	// Topics that the files do not know have their contract at the registry.
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "other.things.v1.avsc"), []byte(thingSchema(`""`)), 0o600); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, w.ok("topics", "list", "--schemas", dir)); diff != "" {
		t.Errorf("other schemas (-want +got):\n%s", diff)
	}
}

func TestNobodyThere(t *testing.T) {
	for _, args := range [][]string{{"topics", "apply"}, {"topics", "list"}, {"lag"}, {"dlq", "list"}, {"tail", "x"}} {
		got := execute(t.Context(), nil, append(args, "-b", "127.0.0.1:1")...)
		if got.code != service.ExitFailed || !strings.Contains(got.stderr, "brokers 127.0.0.1:1: ") {
			t.Errorf("%v: got %d, %q", args, got.code, got.stderr)
		}
	}
}

// Addresses that are none are a wrong call, whatever the brokers would say.
func TestNoAddresses(t *testing.T) {
	for _, args := range [][]string{{"topics", "list", "--registry", "http://127.0.0.1:1"}, {"lag"}} {
		c := execute(t.Context(), strings.NewReader(""), append(args, "--brokers", "x:y:z")...)
		if c.code != service.ExitUsage || !strings.Contains(c.stderr, "x:y:z") {
			t.Errorf("%v: exit %d, %s", args, c.code, c.stderr)
		}
	}
}
