package interop_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/e2e/figures"
	"firehose/internal/testbed"
	"firehose/internal/testbed/shop"
	"firehose/schemas"
)

// What a Python service writes is applied as what ours writes, and both put an
// order on the same partition: else nothing would keep its events in order.
func TestOthersWrite(t *testing.T) {
	const count = 100
	r := &replayed{cluster: testbed.KafkaAlone(t), registry: testbed.Registry(t)}
	r.Shop = shop.New(t, shop.Config{Cluster: r.cluster, Registry: r.registry})
	r.Start("replicator")

	theirs := map[string]int32{}
	for line := range strings.Lines(r.Python("write.py", r.brokers(), r.registry, schemas.TopicOrders, fmt.Sprint(count))) {
		var record struct {
			Key       string
			Partition int32
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		theirs[record.Key] = record.Partition
	}
	r.AwaitAppliedBy("replicator")
	want := map[string]row{}
	for n := range count {
		want[fmt.Sprintf("python-%d", n+1)] = row{Version: 1, Status: "PLACED", Units: int64(n) + 1, Cents: 250 * (int64(n) + 1), Note: n%2 == 0}
	}
	if diff := cmp.Diff(want, rows(t, r.Store("replicator"))); diff != "" {
		t.Errorf("shop_orders of what Python wrote (-want +got):\n%.2000s", diff)
	}

	// The next version of each comes from our producer.
	var events strings.Builder
	for key, was := range want {
		fmt.Fprintf(&events, `{"type":"shop.order.paid","data":{"order_id":%q,"version":2,"customer_id":"c","status":"PAID","lines":[],"units":%d,`+
			`"total_cents":%d,"currency":"EUR","note":null,"placed_at":"2026-01-02T15:04:05Z","updated_at":"2026-01-02T15:04:06Z","channel":"APP"}}`+"\n",
			key, was.Units, was.Cents)
		want[key] = row{Version: 2, Status: "PAID", Units: was.Units, Cents: was.Cents}
	}
	answers := r.Run([]byte(events.String()), "producer", "send", "-", "--brokers", r.brokers(), "--registry", r.registry)
	r.AwaitAppliedBy("replicator")
	if diff := cmp.Diff(want, rows(t, r.Store("replicator"))); diff != "" {
		t.Errorf("shop_orders after our producer's next versions (-want +got):\n%.2000s", diff)
	}
	if n := strings.Count(answers, `"partition"`); n != count {
		t.Fatalf("%d receipts, want %d:\n%.500s", n, count, answers)
	}
	ours := map[string]int32{}
	for line := range strings.Lines(r.output(t, nil, shop.Program(t, "firehose"), "tail", schemas.TopicOrders, "-J", "-o", "beginning",
		"--brokers", r.brokers(), "--registry", r.registry)) {
		var record struct {
			Key       string
			Partition int32
			Value     struct{ Version int64 }
		}
		if err := json.Unmarshal([]byte(line), &record); err != nil {
			t.Fatalf("%s: %v", line, err)
		}
		if record.Value.Version == 2 {
			ours[record.Key] = record.Partition
		}
	}
	if diff := cmp.Diff(theirs, ours); diff != "" || len(theirs) != count {
		t.Errorf("partitions of %d keys (-Python's +ours):\n%s", len(theirs), diff)
	}
}

// row is what is compared of a replica's row.
type row struct {
	Version      int64
	Status       string
	Units, Cents int64
	Note         bool // whether it is the one of write.py
}

func rows(t *testing.T, store string) map[string]row {
	t.Helper()
	db := figures.Open(t, store)
	defer db.Close()
	found, err := db.QueryContext(t.Context(), `SELECT order_id, version, status, units, total_cents,
		CASE WHEN note = 'schön verpackt 🎁' THEN 1 ELSE 0 END FROM shop_orders`)
	if err != nil {
		t.Fatal(err)
	}
	defer found.Close()
	out := map[string]row{}
	for found.Next() {
		var key string
		var r row
		if err := found.Scan(&key, &r.Version, &r.Status, &r.Units, &r.Cents, &r.Note); err != nil {
			t.Fatal(err)
		}
		out[key] = r
	}
	if err := found.Err(); err != nil {
		t.Fatal(err)
	}
	return out
}
