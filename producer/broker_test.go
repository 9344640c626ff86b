package producer_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"firehose/producer"
)

// refusedWith checks that an answer is a problem that names the event.
func (a answer) refusedWith(t testing.TB, status int, typ, id string) {
	t.Helper()
	got := a.result(t)
	if a.status != status || got.Type != "/problems/"+typ || got.ID != id {
		t.Errorf("got %d %s, want %d %s with id %s", a.status, a.body, status, typ, id)
	}
	if retry := a.header.Get("Retry-After"); (retry != "") != (status == 503 || status == 429) {
		t.Errorf("Retry-After is %q", retry)
	}
}

func (d *door) postID(t testing.TB, id string) answer {
	t.Helper()
	h := contentType("application/json")
	h.Set("Ce-Id", id)
	return d.do(t, http.MethodPost, "/v1/events/shop.stock.moved", h, strings.NewReader(movement(id, "s-1")))
}

// A broker that was never there: certainly not written. One that goes away with
// the event: not known. Either way the answer names the ID, and the ID can be
// sent again.
func TestBrokerAway(t *testing.T) {
	b := startBackend(t, backendConfig{timeout: 300 * time.Millisecond})
	d := openDoor(t, b, producer.Limits{})
	if a := d.postID(t, "e-1"); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	restore := b.silenceProduce()
	d.postID(t, "e-2").refusedWith(t, 504, "outcome-unknown", "e-2")
	a := d.batch(t, movementLine("e-3", "s-1")+"\n"+movementLine("e-4", "s-1"))
	if got := results(t, a.body); a.status != 504 || len(got) != 2 || got[0].Status != 504 || got[0].ID != "e-3" || got[1].ID != "e-4" {
		t.Errorf("batch: got %d %s, want 504 for both lines", a.status, a.body)
	}
	restore()
	waitFor(t, "the same ID to be acknowledged", func() bool { return d.postID(t, "e-2").status == 200 })

	if err := b.broker.Close(); err != nil {
		t.Fatal(err)
	}
	d.postID(t, "e-5").refusedWith(t, 504, "outcome-unknown", "e-5")
	// Orders were never written by this process: nothing was sent.
	h := contentType("application/json")
	h.Set("Ce-Id", "e-6")
	a = d.do(t, http.MethodPost, "/v1/events/shop.order.placed", h, strings.NewReader(order("o-1", 1, oneLine)))
	a.refusedWith(t, 503, "broker-unavailable", "e-6")
}

// When as many events wait as may, further ones are refused, not queued.
func TestBrokerSlow(t *testing.T) {
	b := startBackend(t, backendConfig{maxRecords: 2})
	d := openDoor(t, b, producer.Limits{})
	if a := d.postID(t, "e-0"); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	restore := b.silenceProduce()
	waiting := make(chan answer, 2)
	for i := range 2 {
		go func() { waiting <- d.postID(t, fmt.Sprintf("e-%d", i+1)) }()
	}
	waitFor(t, "two events to wait", func() bool { return d.gauge(t, "firehose_producer_buffered_records") == 2 })
	d.postID(t, "e-3").refusedWith(t, 503, "overloaded", "e-3")
	restore()
	for range 2 {
		if a := <-waiting; a.status != 200 {
			t.Errorf("an event that had its place got %d %s", a.status, a.body)
		}
	}
}

func TestRegistryAway(t *testing.T) {
	b := startBackend(t, backendConfig{})
	d := openDoor(t, b, producer.Limits{})
	if a := d.postID(t, "e-1"); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	b.stop()
	if a := d.postID(t, "e-2"); a.status != 200 {
		t.Errorf("a type that was sent before: got %d %s, want it taken without the registry", a.status, a.body)
	}
	h := contentType("application/json")
	h.Set("Ce-Id", "e-3")
	a := d.do(t, http.MethodPost, "/v1/events/shop.order.placed", h, strings.NewReader(order("o-1", 1, oneLine)))
	a.refusedWith(t, 503, "registry-unavailable", "e-3")
}

func TestUnregistered(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{unregistered: true}), producer.Limits{})
	d.postID(t, "e-1").refusedWith(t, 409, "not-compatible", "e-1")
}

// A stop lets the request in flight be answered and refuses the next one.
func TestShutdown(t *testing.T) {
	b := startBackend(t, backendConfig{})
	d := openDoor(t, b, producer.Limits{})
	if a := d.postID(t, "e-0"); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	restore := b.silenceProduce()
	inFlight := make(chan answer, 1)
	go func() { inFlight <- d.postID(t, "e-1") }()
	waitFor(t, "the event to be on its way", func() bool { return d.gauge(t, "firehose_producer_buffered_records") == 1 })
	d.stop()
	waitFor(t, "new events to be refused", func() bool {
		a := d.postID(t, "e-2")
		if a.status == 503 {
			a.refusedWith(t, 503, "shutting-down", "e-2")
		}
		return a.status == 503
	})
	restore()
	if a := <-inFlight; a.status != 200 {
		t.Errorf("the event in flight got %d %s", a.status, a.body)
	}
	if err := <-d.result; err != nil {
		t.Errorf("Run returned %v", err)
	}
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, d.url+"/problems", nil)
	if err != nil {
		t.Fatal(err)
	}
	if resp, err := d.client.Do(req); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		t.Error("the address still answers")
	}
}
