package producer_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/producer"
)

func (d *door) batch(t testing.TB, body string) answer {
	t.Helper()
	return d.do(t, http.MethodPost, "/v1/events:batch", contentType("application/x-ndjson"), strings.NewReader(body))
}

func TestBatch(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	a := d.batch(t, strings.Join([]string{
		movementLine("m-1", "s-1"),
		movementLine("m-2", "s-2"),
		`{"type":"shop.stock.moved","id":"m-3","data":{"movement_id":"` + canary + `","sku":"s-3","quantity":"five"}}`,
		"",
		movementLine("m-5", "s-1") + "\r",
		canary,
		`{"type":"shop.nothing.happened","id":"m-7","data":{}}`,
		`{"id":"m-8","data":{}}`,
		`{"type":"shop.stock.moved","id":"m-9","topic":"shop.orders","data":` + movement("m-9", "s-9") + `}`,
		` {"data":` + movement("m-10", "s-10") + `,"type":"shop.stock.moved","specversion":"1.0","source":"/s"} `,
	}, "\n"))
	if a.status != http.StatusMultiStatus || a.header.Get("Content-Type") != "application/x-ndjson" {
		t.Fatalf("got %d %s, want 207 application/x-ndjson: %s", a.status, a.header.Get("Content-Type"), a.body)
	}
	type row struct {
		Line   int
		ID     string
		Status int // 0 for a receipt
		Type   string
		Field  string
	}
	var got []row
	for _, r := range results(t, a.body) {
		if r.Type == "" && (r.Topic != "shop.stock-movements" || len(r.TopicID) != 32) {
			t.Errorf("line %d: neither receipt nor problem: %+v", r.Line, r)
		}
		if r.Line == 10 {
			if len(r.ID) != 36 {
				t.Errorf("line 10: id %q, want the one that was made", r.ID)
			}
			r.ID = "made"
		}
		got = append(got, row{r.Line, r.ID, r.Status, strings.TrimPrefix(r.Type, "/problems/"), r.Field})
	}
	want := []row{
		{1, "m-1", 0, "", ""},
		{2, "m-2", 0, "", ""},
		{3, "m-3", 422, "invalid-data", "quantity"},
		{5, "m-5", 0, "", ""},
		{6, "", 400, "malformed", ""},
		{7, "m-7", 404, "unknown-type", "type"},
		{8, "m-8", 400, "bad-attribute", "type"},
		{9, "m-9", 400, "reserved-attribute", "topic"},
		{10, "made", 0, "", ""},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if strings.Contains(a.body, "canary") {
		t.Errorf("the answer repeats the payload: %s", a.body)
	}
	if records := d.records(t); len(records) != 4 {
		t.Errorf("%d records, want the 4 acknowledged ones", len(records))
	}
}

// A success status is never given for nothing.
func TestBatchStatus(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	good := movementLine("m-1", "s-1") + "\n"
	malformed := "{\n"
	invalid := `{"type":"shop.stock.moved","data":{}}` + "\n"
	for _, tt := range []struct {
		name, body string
		want       int
	}{
		{"all acknowledged", good + good, 200},
		{"some", good + invalid, 207},
		{"none", invalid + malformed, 422},
		{"none, not even JSON", malformed, 400},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if a := d.batch(t, tt.body); a.status != tt.want {
				t.Errorf("got %d, want %d: %s", a.status, tt.want, a.body)
			}
		})
	}
}

func TestBatchKeepsOrder(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	const events = 3000
	var body strings.Builder
	for i := range events {
		// Events of very different cost, so that parsing in parallel would
		// overtake if it could.
		note := strings.Repeat("x", (i%7)*500)
		fmt.Fprintf(&body, `{"type":"shop.stock.moved","id":"m-%d","data":{"movement_id":"m-%d","sku":"s-%d","order_id":"%s",`+
			`"quantity":1,"reason":"SOLD","moved_at":1767366245000000}}`+"\n", i, i, i%3, note)
	}
	a := d.batch(t, body.String())
	if a.status != http.StatusOK {
		t.Fatalf("got %d: %.300s", a.status, a.body)
	}
	for i, r := range results(t, a.body) {
		if r.Line != i+1 || r.ID != fmt.Sprintf("m-%d", i) {
			t.Fatalf("answer %d is of line %d, event %s", i, r.Line, r.ID)
		}
	}
	last := map[string]int{}
	for _, r := range d.records(t) {
		var n int
		if _, err := fmt.Sscanf(header(r, "ce_id"), "m-%d", &n); err != nil {
			t.Fatal(err)
		}
		if before, ok := last[string(r.Key)]; ok && n <= before {
			t.Fatalf("key %s: event %d after event %d", r.Key, n, before)
		}
		last[string(r.Key)] = n
	}
}

// A batch over a limit is refused whole: nothing of it is written.
func TestBatchLimits(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{
		BatchLines: 3, BatchBytes: 64 << 10, EventBytes: 4 << 10,
	})
	line := movementLine("m-1", "s-1") + "\n"
	for _, tt := range []struct {
		name, body, typ string
	}{
		{"lines", strings.Repeat(line, 4), "too-many-lines"},
		{"bytes", line + strings.Repeat(" ", 64<<10), "too-large"},
	} {
		a := d.batch(t, tt.body)
		if got := a.result(t); a.status != 413 || got.Type != "/problems/"+tt.typ {
			t.Errorf("%s: got %d %s, want 413 %s", tt.name, a.status, a.body, tt.typ)
		}
	}
	if records := d.records(t); len(records) != 0 {
		t.Errorf("%d records, want none", len(records))
	}
	// One event over the limit costs its own line only.
	long := strings.Replace(movementLine("m-2", "s-2"), `"quantity"`, `"order_id":"`+strings.Repeat("x", 5<<10)+`","quantity"`, 1)
	veryLong := strings.Replace(movementLine("m-3", "s-3"), `"quantity"`, `"order_id":"`+strings.Repeat("x", 30<<10)+`","quantity"`, 1)
	a := d.batch(t, line+long+"\n"+veryLong+"\n")
	got := results(t, a.body)
	if a.status != 207 || len(got) != 3 || got[0].Status != 0 || got[1].Status != 413 || got[2].Status != 413 {
		t.Errorf("got %d %s, want the first line acknowledged, the others 413", a.status, a.body)
	}
}

// A batch that is not handed to the broker in its time is answered all the same,
// each line of it, by its ID: what was not published is refused.
func TestBatchOutOfTime(t *testing.T) {
	b := startBackend(t, backendConfig{maxRecords: 2, timeout: time.Second})
	d := openDoor(t, b, producer.Limits{BatchTimeout: 50 * time.Millisecond})
	if a := d.postID(t, "e-0"); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	b.silenceProduce()
	const lines = 5000
	var body strings.Builder
	for i := range lines {
		fmt.Fprintln(&body, movementLine(fmt.Sprintf("m-%d", i), "s-1"))
	}
	a := d.batch(t, body.String())
	got := results(t, a.body)
	if len(got) != lines {
		t.Fatalf("%d answers for %d lines, status %d", len(got), lines, a.status)
	}
	unknown := 0
	for i, r := range got {
		switch r.Type {
		case "/problems/outcome-unknown":
			unknown++
		case "/problems/overloaded":
		default:
			t.Fatalf("line %d: %+v, want it unknown or refused", i+1, r)
		}
		if r.Line != i+1 || r.ID != fmt.Sprintf("m-%d", i) {
			t.Fatalf("answer %d is of line %d, event %q", i, r.Line, r.ID)
		}
	}
	if unknown != 2 || a.status != http.StatusGatewayTimeout {
		t.Errorf("status %d with %d unknown, want 504 and the 2 that found room", a.status, unknown)
	}
}
