package hostile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/kafka"
	"firehose/schemas"
)

// kcat runs kcat on the process's broker.
func (p *process) kcat(in io.Reader, args ...string) string {
	p.t.Helper()
	out, errs, code := p.run(in, "kcat", append([]string{"-q", "-b", p.broker}, args...)...)
	if code != 0 {
		p.t.Fatalf("kcat %q: exit code %d: %s", args, code, errs)
	}
	return out
}

// kcatRecord is a line of kcat -J.
type kcatRecord struct {
	Topic     string   `json:"topic"`
	Partition int32    `json:"partition"`
	Offset    int64    `json:"offset"`
	Headers   []string `json:"headers"` // name, value, name, value
	Key       string   `json:"key"`
}

func (p *process) kcatRead(topic string, args ...string) []kcatRecord {
	p.t.Helper()
	var records []kcatRecord
	for line := range strings.Lines(p.kcat(nil, append([]string{"-C", "-e", "-J", "-t", topic}, args...)...)) {
		var r kcatRecord
		if err := json.Unmarshal([]byte(line), &r); err != nil {
			p.t.Fatalf("%s: %v", line, err)
		}
		records = append(records, r)
	}
	return records
}

func (r kcatRecord) header(name string) string {
	if i := slices.Index(r.Headers, name); i >= 0 && i%2 == 0 {
		return r.Headers[i+1]
	}
	return ""
}

// murmur2 makes kcat choose partitions as the Java client and the producer do.
const murmur2 = "topic.partitioner=murmur2_random"

func startWithKcat(t *testing.T) *process {
	t.Helper()
	if _, err := exec.LookPath("kcat"); err != nil {
		t.Skip("kcat is not installed")
	}
	t.Parallel()
	return startDev(t)
}

func TestKcatReads(t *testing.T) {
	dev := startWithKcat(t)
	const data = `{"movement_id":"m-1","sku":"kcat-1","quantity":5,"reason":"RECEIVED","order_id":null,"moved_at":"2026-01-02T15:04:05Z"}`
	sent := dev.send(schemas.StockMoved, data)
	records := dev.kcatRead(schemas.TopicStockMovements)
	if len(records) != 1 {
		t.Fatalf("%d records, want 1", len(records))
	}
	got := records[0]
	if got.Key != "kcat-1" || got.Partition != sent.Partition || got.Offset != sent.Offset {
		t.Errorf("got %+v, want key kcat-1 at %d@%d", got, sent.Partition, sent.Offset)
	}
	for name, want := range map[string]string{
		"ce_specversion": "1.0", "ce_id": sent.ID, "ce_type": schemas.StockMoved, "ce_source": "/service/producer",
		"ce_subject": "kcat-1", "ce_time": "2026-01-02T15:04:05Z", "content-type": "application/vnd.confluent.avro",
	} {
		if value := got.header(name); value != want {
			t.Errorf("header %s: got %q, want %q", name, value, want)
		}
	}
	framed := dev.kcat(nil, "-C", "-e", "-t", schemas.TopicStockMovements, "-f", "%R%s")
	out, errs, code := dev.run(strings.NewReader(framed), program(t, "firehose"), "decode", "--registry", dev.registry)
	if code != 0 || out != data+"\n" {
		t.Errorf("firehose decode: exit code %d, got %s, want %s\n%s", code, out, data, errs)
	}
}

func TestKcatWrites(t *testing.T) {
	dev := startWithKcat(t)
	h := dev.hand()

	// Entities without any header, many keys: each goes where the producer put
	// the version before.
	var lines bytes.Buffer
	const delimiter = "<<end of record>>"
	want, got := map[string]int32{}, map[string]int32{}
	for i := range 40 {
		key := fmt.Sprintf("sku-%d-ü", i)
		want[key] = dev.send(schemas.ProductListed, fmt.Sprintf(`{"sku":%q,"version":1,"name":"x","category":"x","price_cents":1,
			"weight_kg":0.5,"rating":null,"active":true,"tags":[],"listed_at":"2026-01-02T15:04:05Z","updated_at":"2026-01-02T15:04:05Z"}`, key)).Partition
		product := attacked[1].data(key).(*schemas.Product)
		product.Version = 2
		fmt.Fprintf(&lines, "%s=%s%s", key, h.value(schemas.TopicProducts, product), delimiter)
	}
	dev.kcat(&lines, "-P", "-t", schemas.TopicProducts, "-X", murmur2, "-K", "=", "-D", delimiter)
	for _, r := range dev.kcatRead(schemas.TopicProducts) {
		if len(r.Headers) == 0 {
			got[r.Key] = r.Partition
		}
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("partitions of kcat's records (-producer +kcat):\n%s", diff)
	}
	until(t, "kcat's products to be applied", func() bool {
		return dev.number("replicator", "SELECT COUNT(*) FROM shop_products WHERE version = 2") == int64(len(want))
	})

	// A fact from a file, its ID in a header: twice, so that the ID counts.
	dev.send(schemas.StockMoved, movement("m-1", "kcat-1", 5))
	value := dev.kcat(nil, "-C", "-e", "-t", schemas.TopicStockMovements, "-c", "1", "-f", "%s")
	file := filepath.Join(t.TempDir(), "movement.avro")
	if err := os.WriteFile(file, []byte(value), 0o600); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		dev.kcat(nil, "-P", "-t", schemas.TopicStockMovements, "-X", murmur2, "-k", "kcat-1",
			"-H", "ce_id=from-kcat-1", "-H", "ce_type="+schemas.StockMoved, file)
	}
	// Plain text, a value of another topic, and a delete without a version.
	dev.kcat(strings.NewReader("kcat-1="+secret+"\n"), "-P", "-t", schemas.TopicStockMovements, "-X", murmur2, "-K", "=")
	dev.kcat(nil, "-P", "-t", schemas.TopicPayments, "-X", murmur2, "-k", "kcat-1", "-H", "ce_id=from-kcat-2", file)
	dev.kcat(strings.NewReader("sku-1-ü=\n"), "-P", "-Z", "-t", schemas.TopicProducts, "-X", murmur2, "-K", "=")
	// A delete with one.
	dev.kcat(strings.NewReader("sku-0-ü=\n"), "-P", "-Z", "-t", schemas.TopicProducts, "-X", murmur2, "-K", "=", "-H", "ce_sequence=00000000000000000003")
	dev.applied()

	if n := dev.number("inventory", "SELECT on_hand FROM stock WHERE sku = 'kcat-1'"); n != 10 {
		t.Errorf("on hand: %d, want the producer's 5 and kcat's", n)
	}
	if n := dev.number("replicator", "SELECT COUNT(*) FROM shop_products"); n != int64(len(want)-1) {
		t.Errorf("%d products, want %d: one is deleted", n, len(want)-1)
	}
	dev.wantCounts([]letterCount{
		{kafka.DeadLetterName(schemas.TopicPayments, "billing"), "incompatible", 1},
		{kafka.DeadLetterName(schemas.TopicProducts, "replicator"), "bad_version", 1},
		{kafka.DeadLetterName(schemas.TopicStockMovements, "inventory"), "undecodable", 1},
	})
	if status, body := dev.get("/readyz"); status != http.StatusOK {
		t.Errorf("/readyz: %d %s", status, body)
	}
}
