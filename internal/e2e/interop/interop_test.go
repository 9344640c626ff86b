// Package interop_test has other people's clients read what the producer writes,
// and write what the services read: Confluent's for Python, Kafka's console
// consumer with Apicurio's deserializer, kcat. They need a real cluster and a
// real registry, see docs/testing.md.
package interop_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
	"firehose/producer"
	"firehose/schemas"
)

func TestMain(m *testing.M) { os.Exit(shop.Main(m)) }

// order is what is compared of an order. Enums, numbers, nested records and
// timestamps are in it.
type order struct {
	Version   int64
	Status    string
	Skus      string
	Units     int64
	Cents     int64
	Channel   string
	UpdatedAt int64 // microseconds
}

// readOrder is an order as a client reads it, by its Avro names.
type readOrder struct {
	OrderID string `json:"order_id"`
	Version int64  `json:"version"`
	Status  string `json:"status"`
	Lines   []struct {
		SKU string `json:"sku"`
	} `json:"lines"`
	Units      int64           `json:"units"`
	TotalCents int64           `json:"total_cents"`
	Channel    string          `json:"channel"`
	UpdatedAt  json.RawMessage `json:"updated_at"` // RFC 3339 or microseconds
}

// orders are events by order and version.
type orders map[string]order

func (o orders) add(t *testing.T, text []byte) {
	t.Helper()
	var r readOrder
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	var skus []string
	for _, line := range r.Lines {
		skus = append(skus, line.SKU)
	}
	at, err := micros(r.UpdatedAt)
	if err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	id := fmt.Sprintf("%s@%d", r.OrderID, r.Version)
	if _, twice := o[id]; twice {
		t.Errorf("%s was read twice", id)
	}
	o[id] = order{Version: r.Version, Status: r.Status, Skus: strings.Join(skus, ","), Units: r.Units, Cents: r.TotalCents, Channel: r.Channel, UpdatedAt: at}
}

func micros(text json.RawMessage) (int64, error) {
	var at time.Time
	if json.Unmarshal(text, &at) == nil {
		return at.UnixMicro(), nil
	}
	return strconv.ParseInt(strings.Trim(string(text), `"`), 10, 64)
}

// ordersOf are those of a data set.
func ordersOf(t *testing.T, dataset string) orders {
	t.Helper()
	d, err := producer.DatasetNamed(dataset)
	if err != nil {
		t.Fatal(err)
	}
	want := orders{}
	for _, e := range d.Events() {
		v, ok := e.Data.(*schemas.Order)
		if !ok {
			continue
		}
		var skus []string
		for _, line := range v.Lines {
			skus = append(skus, line.SKU)
		}
		want[fmt.Sprintf("%s@%d", v.OrderID, v.Version)] = order{
			Version: v.Version, Status: string(v.Status), Skus: strings.Join(skus, ","), Units: int64(v.Units),
			Cents: v.TotalCents, Channel: string(v.Channel), UpdatedAt: v.UpdatedAt.UnixMicro(),
		}
	}
	return want
}

// replayed is a shop whose producer has sent a part of the data set.
type replayed struct {
	*shop.Shop
	cluster  *testbed.Cluster
	registry string
	want     orders
}

func replay(t *testing.T, dataset string) *replayed {
	t.Helper()
	r := &replayed{cluster: testbed.KafkaAlone(t), registry: testbed.Registry(t), want: ordersOf(t, dataset)}
	r.Shop = shop.New(t, shop.Config{Cluster: r.cluster, Registry: r.registry})
	r.Replay(dataset).WantDone()
	return r
}

func (r *replayed) brokers() string { return strings.Join(r.cluster.Brokers(), ",") }

func (r *replayed) wantSame(t *testing.T, got orders) {
	t.Helper()
	if diff := cmp.Diff(r.want, got); diff != "" {
		t.Errorf("orders (-want +got):\n%.2000s", diff)
	}
	t.Logf("%d events of orders read", len(got))
}

// Each client reads each version of each order as it was sent.
func TestOthersRead(t *testing.T) {
	r := replay(t, "cdnow:200")

	t.Run("confluent-kafka", func(t *testing.T) {
		got := orders{}
		r.ReadWithPython(schemas.TopicOrders, func(record shop.Read) {
			if record.Headers["ce_subject"] != record.Key || record.Headers["content-type"] != "application/vnd.confluent.avro" {
				t.Errorf("key %q, headers %v", record.Key, record.Headers)
			}
			got.add(t, record.Value)
		})
		r.wantSame(t, got)
	})

	t.Run("console consumer with Apicurio's deserializer", func(t *testing.T) {
		apicurio, ok := testbed.Apicurio(r.registry)
		if !ok {
			testbed.Skip(t, "registry", r.registry+" is not Apicurio's")
		}
		const avro = "io.apicurio.registry.serde.avro.AvroKafkaDeserializer"
		out := r.cluster.KafkaTool("org.apache.kafka.tools.consumer.ConsoleConsumer",
			[]string{testbed.Jars(t, filepath.Join("java", "pom.xml"))},
			"--topic", schemas.TopicOrders, "--from-beginning", "--max-messages", strconv.Itoa(len(r.want)), "--timeout-ms", "60000",
			"--formatter-property", "value.deserializer="+avro,
			"--formatter-property", "value.deserializer.apicurio.registry.url="+apicurio)
		got := orders{}
		for line := range strings.Lines(out) {
			got.add(t, []byte(line))
		}
		r.wantSame(t, got)
	})

	t.Run("kcat and firehose decode", func(t *testing.T) {
		if _, err := exec.LookPath("kcat"); err != nil {
			testbed.Skip(t, "kcat", "kcat is not installed (on Debian: apt-get install kcat)")
		}
		framed := r.output(t, nil, "kcat", "-C", "-e", "-q", "-b", r.brokers(), "-t", schemas.TopicOrders, "-f", "%R%s")
		out := r.output(t, strings.NewReader(framed), shop.Program(t, "firehose"), "decode", "--registry", r.registry)
		got := orders{}
		for line := range strings.Lines(out) {
			got.add(t, []byte(line))
		}
		r.wantSame(t, got)
	})
}

// output runs a program to its good end.
func (r *replayed) output(t *testing.T, in io.Reader, name string, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), name, args...)
	cmd.Stdin = in
	cmd.Env = shop.Environment()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("%s %q: %v\n%s", filepath.Base(name), args, err, stderr.String())
	}
	return string(out)
}
