package hostile_test

import (
	"encoding/binary"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/schemas"
)

// A thousand bad records in a row: the partition pauses and says so wherever one
// looks, the others go on, and by itself it gets to the end with nothing lost.
func TestBreaker(t *testing.T) {
	t.Parallel()
	// A probe every 3 ms.
	dev := startDev(t, "--breaker-pause", "90ms")
	h := dev.hand()
	const topic, partition, other, bad = schemas.TopicStockMovements, 3, 4, 1000
	good := func(partition int32, id string) *kgo.Record {
		return &kgo.Record{Topic: topic, Partition: partition, Key: []byte(id), Value: h.value(topic, attacked[4].data(id)),
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}}}
	}
	records := []*kgo.Record{good(partition, "before")}
	framed := records[0].Value
	kinds := [][]byte{
		{}, []byte(secret), framed[:4], framed[:len(framed)-1], append(slices.Clone(framed), person...),
		append(slices.Clone(framed[:5]), 0xfe, 0xff, 0xff, 0xff, 0x0f), // a string of 2 GiB, it says
	}
	for i := range bad {
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Key: []byte(person), Value: kinds[i%len(kinds)]})
	}
	records = append(records, good(partition, "after"))
	onHand := func() int64 { return dev.number("inventory", "SELECT SUM(on_hand) FROM stock") }

	dev.wantFlat(64<<20, func() {
		h.write(records...)
		until(t, "firehose lag to say that the partition is paused", func() bool {
			for _, l := range firehose[groupLag](dev, "lag") {
				if l.Group == "inventory" && l.Topic == topic && l.Partition == partition {
					return l.State == "paused_breaker" && l.Records > 0
				}
			}
			return false
		})
		status, ready := dev.get("/readyz")
		if want := fmt.Sprintf("%s/%d paused_breaker", topic, partition); status != http.StatusServiceUnavailable || !strings.Contains(ready, want) {
			t.Errorf("/readyz: %d %s, want 503 and %q", status, ready, want)
		}
		if status, body := dev.get("/healthz"); status != http.StatusOK {
			t.Errorf("/healthz: %d %s", status, body)
		}
		wantNoCanary(t, "/readyz", ready)
		h.write(good(other, "meanwhile"))
		until(t, "another partition's event to be applied", func() bool { return onHand() >= 2 })
		if got := onHand(); got != 2 {
			t.Errorf("on hand while it pauses: %d, want before and meanwhile", got)
		}
		dev.applied()
	})

	if got := onHand(); got != 3 {
		t.Errorf("on hand in the end: %d, want 3", got)
	}
	until(t, "/readyz to be ready again", func() bool { status, _ := dev.get("/readyz"); return status == http.StatusOK })
	if n := len(h.letters(dev, kafka.DeadLetterName(topic, "inventory"))); n != bad {
		t.Errorf("%d records are set aside, want %d", n, bad)
	}
	dev.wantCounts([]letterCount{{kafka.DeadLetterName(topic, "inventory"), "undecodable", bad}})
	dev.wantLogged("partition paused", `"state":"paused_breaker"`, `"partition":3`)
	dev.wantLogged("partition goes on", `"was":"paused_breaker"`, `"partition":3`)
}

// A burst of one unknown schema, as a registry makes that lost it: all but the
// first few wait, and are applied once it is there.
func TestBurstOfUnknownSchema(t *testing.T) {
	t.Parallel()
	// Longer than it is remembered that the registry does not know a schema (10 s).
	dev := startDev(t, "--breaker-pause", "11s", "--schema-patience", "100ms")
	h := dev.hand()
	const topic, partition, burst = schemas.TopicStockMovements, 3, 200
	next := h.register("foreign-value", foreign) + 1
	var records []*kgo.Record
	for i := range burst {
		id := fmt.Sprint(i)
		value := h.value(topic, attacked[4].data(id))
		binary.BigEndian.PutUint32(value[1:5], uint32(next))
		records = append(records, &kgo.Record{Topic: topic, Partition: partition, Key: []byte(id), Value: value,
			Headers: []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}}})
	}
	h.write(records...)
	until(t, "the partition to pause", func() bool {
		_, ready := dev.get("/readyz")
		return strings.Contains(ready, fmt.Sprintf("%s/%d paused_schema", topic, partition))
	})
	dev.wantLogged("partition paused", `"state":"paused_schema"`)
	aside := len(h.letters(dev, kafka.DeadLetterName(topic, "inventory")))
	if aside == 0 || aside > 10 {
		t.Errorf("%d of %d records of an unknown schema are set aside, want a few", aside, burst)
	}
	if got := dev.number("inventory", "SELECT COUNT(*) FROM stock"); got != 0 {
		t.Errorf("%d rows, want none", got)
	}

	movements, _ := schemas.Shop().Topic(topic)
	found := strings.Replace(movements.Latest().Text, `"doc": "`, `"doc": "Found again. `, 1)
	if id := h.register("found-value", found); id != next {
		t.Fatalf("registered as %d, want %d", id, next)
	}
	dev.applied()
	aside = len(h.letters(dev, kafka.DeadLetterName(topic, "inventory")))
	if rows := dev.number("inventory", "SELECT COUNT(*) FROM stock"); aside > 10 || rows != int64(burst-aside) {
		t.Errorf("of %d events %d are applied and %d set aside, want a few of these and the rest of those", burst, rows, aside)
	}
}

// wantLogged waits for a line of the log that has all of these: it comes through a
// pipe, after what the state is asked for.
func (p *process) wantLogged(words ...string) {
	p.t.Helper()
	until(p.t, fmt.Sprintf("a line of the log with %q", words), func() bool {
	lines:
		for line := range strings.Lines(p.log.String()) {
			for _, word := range words {
				if !strings.Contains(line, word) {
					continue lines
				}
			}
			return true
		}
		return false
	})
}
