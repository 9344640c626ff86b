package hostile_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// problem is what matters of a refusal, or of a line of a batch's answer.
type problem struct {
	Type   string `json:"type"`
	Status int    `json:"status"`
	Field  string `json:"field"`
	Line   int    `json:"line"`
}

// receipt is what matters of an acknowledgement.
type receipt struct {
	ID        string `json:"id"`
	Topic     string `json:"topic"`
	TopicID   string `json:"topic_id"`
	Partition int32  `json:"partition"`
	Offset    int64  `json:"offset"`
}

// request is one HTTP request. Headers are name, value, name, value.
type request struct {
	method, path string
	headers      []string
	body         io.Reader
}

func (p *process) do(r request) (status int, header http.Header, body string) {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), r.method, p.door+r.path, r.body)
	if err != nil {
		p.t.Fatal(err)
	}
	for i := 0; i < len(r.headers); i += 2 {
		req.Header.Add(r.headers[i], r.headers[i+1])
	}
	resp, err := oneShot.Do(req)
	if err != nil {
		p.t.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		p.t.Fatal(err)
	}
	return resp.StatusCode, resp.Header, string(text)
}

const isJSON = "application/json"

// send sends a good event.
func (p *process) send(eventType, data string) receipt {
	p.t.Helper()
	status, _, body := p.do(request{http.MethodPost, "/v1/events/" + eventType, []string{"Content-Type", isJSON}, strings.NewReader(data)})
	var r receipt
	if err := json.Unmarshal([]byte(body), &r); err != nil || status != http.StatusOK {
		p.t.Fatalf("%s: %d %s", eventType, status, body)
	}
	return r
}

// movement is a good fact.
func movement(id, sku string, quantity int) string {
	return fmt.Sprintf(`{"movement_id":%q,"sku":%q,"quantity":%d,"reason":"RECEIVED","order_id":%q,"moved_at":"2026-01-02T15:04:05Z"}`,
		id, sku, quantity, secret)
}

// order is a good entity, with everything a schema can have.
func order(id string, version int) string {
	return fmt.Sprintf(`{"order_id":%q,"version":%d,"customer_id":%q,"status":"PLACED",
		"lines":[{"sku":"sku-1","quantity":2,"unit_price_cents":50,"amount_cents":100}],"units":2,"total_cents":100,
		"currency":"USD","note":%q,"placed_at":"2026-01-02T15:04:05Z","updated_at":"2026-01-02T15:04:05Z","channel":"WEB"}`,
		id, version, person, secret)
}

// with is an order in which something is replaced.
func with(old, new string) string {
	good := order("o-bad", 1)
	if !strings.Contains(good, old) {
		panic("an order has no " + old)
	}
	return strings.Replace(good, old, new, 1)
}

// gzipBomb becomes n MiB. Compressing all of that would take the race detector half
// a minute: each block of zeros but the first is the same. It has no end, which
// nobody should come to.
func gzipBomb(n int) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	first := 0
	for range 2 {
		first = b.Len()
		_, _ = w.Write(make([]byte, 1<<20)) // into memory
		_ = w.Flush()
	}
	return append(b.Bytes(), bytes.Repeat(b.Bytes()[first:], n-2)...)
}

func TestBadRequests(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	const orders, batch = "/v1/events/shop.order.placed", "/v1/events:batch"
	bomb := gzipBomb(256)
	event := func(data string) request {
		return request{http.MethodPost, orders, []string{"Content-Type", isJSON}, strings.NewReader(data)}
	}
	tests := []struct {
		name string
		request
		want problem
	}{
		{"not JSON", event(`{"order_id":"o-bad","note":"` + secret), problem{"/problems/malformed", 400, "note", 0}},
		{"JSON, but no object", event(`["` + secret + `"]`), problem{"/problems/invalid-data", 422, "", 0}},
		{"two values", event(order("o-bad", 1) + order("o-bad", 2)), problem{"/problems/malformed", 400, "", 0}},
		{"no body", event(""), problem{"/problems/malformed", 400, "", 0}},
		{"unknown type", request{http.MethodPost, "/v1/events/shop.order.eaten", []string{"Content-Type", isJSON},
			strings.NewReader(order("o-bad", 1))}, problem{"/problems/unknown-type", 404, "type", 0}},
		{"missing field", event(with(`"currency":"USD",`, "")), problem{"/problems/invalid-data", 422, "currency", 0}},
		{"missing field of a line", event(with(`"sku":"sku-1",`, "")), problem{"/problems/invalid-data", 422, "lines[0].sku", 0}},
		{"unknown field", event(with(`"units":2`, `"units":2,"unit":"`+secret+`"`)), problem{"/problems/invalid-data", 422, "unit", 0}},
		{"wrong type", event(with(`"units":2`, `"units":"`+secret+`"`)), problem{"/problems/invalid-data", 422, "units", 0}},
		{"wrong type in a line", event(with(`"sku":"sku-1"`, `"sku":{"`+secret+`":1}`)), problem{"/problems/invalid-data", 422, "lines[0].sku", 0}},
		{"null where there must be a value", event(with(`"currency":"USD"`, `"currency":null`)), problem{"/problems/invalid-data", 422, "currency", 0}},
		{"int out of range", event(with(`"quantity":2`, `"quantity":2147483648`)), problem{"/problems/invalid-data", 422, "lines[0].quantity", 0}},
		{"long out of range", event(with(`"total_cents":100`, `"total_cents":9223372036854775808`)), problem{"/problems/invalid-data", 422, "total_cents", 0}},
		{"fraction where there must be a whole number", event(with(`"units":2`, `"units":2.5`)), problem{"/problems/invalid-data", 422, "units", 0}},
		{"not a number", event(with(`"units":2`, `"units":NaN`)), problem{"/problems/malformed", 400, "units", 0}},
		{"unknown enum symbol", event(with(`"PLACED"`, `"`+secret+`"`)), problem{"/problems/invalid-data", 422, "status", 0}},
		{"not a time", event(with(`"2026-01-02T15:04:05Z"`, `"`+person+`"`)), problem{"/problems/invalid-data", 422, "placed_at", 0}},
		{"invalid UTF-8", event(with(secret, secret+"\xff")), problem{"/problems/malformed", 400, "note", 0}},
		{"half a surrogate pair", event(with(secret, secret+`\ud800`)), problem{"/problems/invalid-data", 422, "note", 0}},
		{"U+0000", event(with(secret, secret+`\u0000`)), problem{"/problems/invalid-data", 422, "note", 0}},
		{"empty key", event(order("", 1)), problem{"/problems/invalid-data", 422, "order_id", 0}},
		{"too deep", event(with(`"USD"`, strings.Repeat("[", 100_000))), problem{"/problems/malformed", 400, "currency", 0}},
		{"over the size limit", event(with(secret, strings.Repeat(secret, 40_000))), problem{"/problems/too-large", 413, "", 0}},
		{"a gzip bomb", request{http.MethodPost, orders, []string{"Content-Type", isJSON, "Content-Encoding", "gzip"},
			bytes.NewReader(bomb)}, problem{"/problems/too-large", 413, "", 0}},
		{"a gzip bomb as a batch", request{http.MethodPost, batch, []string{"Content-Type", "application/x-ndjson", "Content-Encoding", "gzip"},
			bytes.NewReader(bomb)}, problem{"/problems/too-large", 413, "", 0}},
		{"gzip that is none", request{http.MethodPost, orders, []string{"Content-Type", isJSON, "Content-Encoding", "gzip"},
			strings.NewReader(order("o-bad", 1))}, problem{"/problems/malformed", 400, "", 0}},
		{"wrong method", request{http.MethodGet, orders, nil, nil}, problem{"/problems/method-not-allowed", 405, "", 0}},
		{"wrong method of a batch", request{http.MethodPut, batch, []string{"Content-Type", "application/x-ndjson"},
			strings.NewReader(secret)}, problem{"/problems/method-not-allowed", 405, "", 0}},
		{"wrong content type", request{http.MethodPost, orders, []string{"Content-Type", "text/plain"},
			strings.NewReader(order("o-bad", 1))}, problem{"/problems/unsupported-media-type", 415, "Content-Type", 0}},
		{"no content type", request{http.MethodPost, orders, nil,
			strings.NewReader(order("o-bad", 1))}, problem{"/problems/unsupported-media-type", 415, "Content-Type", 0}},
		{"wrong content type of a batch", request{http.MethodPost, batch, []string{"Content-Type", isJSON},
			strings.NewReader(secret)}, problem{"/problems/unsupported-media-type", 415, "Content-Type", 0}},
		{"wrong encoding", request{http.MethodPost, orders, []string{"Content-Type", isJSON, "Content-Encoding", "br"},
			strings.NewReader(secret)}, problem{"/problems/unsupported-media-type", 415, "Content-Encoding", 0}},
		{"another key than the data's", request{http.MethodPost, orders, []string{"Content-Type", isJSON, "Ce-Subject", secret},
			strings.NewReader(order("o-bad", 1))}, problem{"/problems/invalid-data", 422, "subject", 0}},
		{"an attribute that is not what it says", request{http.MethodPost, orders, []string{"Content-Type", isJSON, "Ce-Time", secret},
			strings.NewReader(order("o-bad", 1))}, problem{"/problems/bad-attribute", 400, "ce-time", 0}},
		{"no such path", request{http.MethodPost, "/v1/" + secret, []string{"Content-Type", isJSON},
			strings.NewReader(order("o-bad", 1))}, problem{"/problems/not-found", 404, "", 0}},
		{"a batch of nothing", request{http.MethodPost, batch, []string{"Content-Type", "application/x-ndjson"},
			strings.NewReader("\n\n")}, problem{"/problems/malformed", 400, "", 0}},
	}
	dev.send("shop.stock.moved", movement("warm", "sku-0", 1))
	// A body is at most 16 MiB, and the buffer that it grows in half of that again.
	dev.wantFlat(96<<20, func() {
		for i, tt := range tests {
			t.Run(tt.name, func(t *testing.T) {
				status, header, body := dev.do(tt.request)
				var got problem
				if err := json.Unmarshal([]byte(body), &got); err != nil {
					t.Fatalf("%d %s: %v", status, body, err)
				}
				if diff := cmp.Diff(tt.want, got); diff != "" || status != tt.want.Status {
					t.Errorf("status %d, problem (-want +got):\n%s%s", status, diff, body)
				}
				if got := header.Get("Content-Type"); got != "application/problem+json" {
					t.Errorf("content type %q", got)
				}
				if allow := header.Get("Allow"); (allow == "POST") != (status == http.StatusMethodNotAllowed) {
					t.Errorf("status %d, Allow %q", status, allow)
				}
				wantNoCanary(t, "answer", body)
				dev.send("shop.stock.moved", movement(fmt.Sprintf("after-%d", i), "sku-1", 1))
			})
		}
	})
	dev.endless(t)
	dev.send("shop.stock.moved", movement("after-all", "sku-1", 1))
	want := int64(len(tests) + 1)
	until(t, "the good events to be applied", func() bool {
		return dev.number("inventory", "SELECT SUM(on_hand) FROM stock WHERE sku = 'sku-1'") == want
	})
	if n := dev.number("replicator", "SELECT COUNT(*) FROM firehose_shop_orders"); n != 0 {
		t.Errorf("%d bad orders were applied", n)
	}
	if panics := strings.Count(dev.log.String(), "panic"); panics > 0 {
		t.Errorf("%d panics in the log", panics)
	}
}

// endless sends a body that never ends: as fast as it can, and drop by drop to a
// producer that does not wait long.
func (p *process) endless(t *testing.T) {
	ingest := start(t, "producer", "serve", "--listen", "127.0.0.1:0", "--admin", "", "--read-timeout", "500ms",
		"--brokers", p.broker, "--registry", p.registry)
	address := ingest.listens()
	const head = "POST /v1/events/shop.order.placed HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
	for _, tt := range []struct {
		name, address string
		chunk         string
		again         bool
		want          problem
	}{
		{"a body that never ends", strings.TrimPrefix(p.door, "http://"), strings.Repeat(secret, 1000), true, problem{"/problems/too-large", 413, "", 0}},
		{"a body that stands still", address, secret, false, problem{"/problems/body-timeout", 408, "", 0}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := (&net.Dialer{}).DialContext(t.Context(), "tcp", tt.address)
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			chunk := fmt.Sprintf("%x\r\n%s\r\n", len(tt.chunk), tt.chunk)
			written := make(chan struct{})
			go func() {
				defer close(written)
				_, err := io.WriteString(conn, head+chunk)
				for err == nil && tt.again {
					_, err = io.WriteString(conn, chunk)
				}
			}()
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatal(err)
			}
			defer resp.Body.Close()
			body, err := io.ReadAll(resp.Body)
			if err != nil {
				t.Fatal(err)
			}
			var got problem
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatalf("%d %s: %v", resp.StatusCode, body, err)
			}
			if diff := cmp.Diff(tt.want, got); diff != "" {
				t.Errorf("problem (-want +got):\n%s", diff)
			}
			wantNoCanary(t, "answer", string(body))
			<-written // the server has closed the connection, or all is sent
		})
	}
}

// listens waits until producer serve says where.
func (p *process) listens() (address string) {
	p.t.Helper()
	until(p.t, "producer serve to listen", func() bool {
		_, rest, ok := strings.Cut(p.log.String(), `"takes events","addr":"`)
		address, _, _ = strings.Cut(rest, `"`)
		return ok
	})
	return address
}

// Line 3 is bad: the others are acknowledged and applied, the answer says which.
func TestBatchWithBadLine(t *testing.T) {
	t.Parallel()
	dev := startDev(t)
	line := func(i, quantity int) string {
		return fmt.Sprintf(`{"type":"shop.stock.moved","data":%s}`, movement(fmt.Sprintf("m-%d", i), "sku-1", quantity))
	}
	bad := strings.Replace(line(3, 100), `"RECEIVED"`, `"`+secret+`"`, 1)
	batch := strings.Join([]string{line(1, 1), line(2, 10), bad, line(4, 1000), line(5, 10000)}, "\n")
	status, _, body := dev.do(request{http.MethodPost, "/v1/events:batch", []string{"Content-Type", "application/x-ndjson"}, strings.NewReader(batch)})
	if status != http.StatusMultiStatus {
		t.Errorf("status %d, want %d", status, http.StatusMultiStatus)
	}
	wantNoCanary(t, "answer", body)
	var acknowledged []int
	var problems []problem
	for text := range strings.Lines(body) {
		var a struct {
			problem
			Topic string `json:"topic"`
		}
		if err := json.Unmarshal([]byte(text), &a); err != nil {
			t.Fatal(err)
		}
		if a.Topic == "shop.stock-movements" {
			acknowledged = append(acknowledged, a.Line)
		} else {
			problems = append(problems, a.problem)
		}
	}
	if diff := cmp.Diff([]int{1, 2, 4, 5}, acknowledged); diff != "" {
		t.Errorf("acknowledged lines (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]problem{{"/problems/invalid-data", 422, "reason", 3}}, problems); diff != "" {
		t.Errorf("refused lines (-want +got):\n%s", diff)
	}
	until(t, "the good lines to be applied", func() bool {
		return dev.number("inventory", "SELECT SUM(on_hand) FROM stock") == 11011
	})

	// The same through producer send, whose exit code says that one was refused.
	out, errs, code := dev.run(strings.NewReader(batch), program(t, "producer"), "send", "-", "--brokers", dev.broker, "--registry", dev.registry)
	wantNoCanary(t, "producer send", out+errs)
	if code != 1 {
		t.Errorf("producer send: exit code %d, want 1", code)
	}
	if lines := strings.Split(strings.TrimSpace(out), "\n"); len(lines) != 5 || !strings.Contains(lines[2], `"field":"reason"`) {
		t.Errorf("producer send: got %s", out)
	}
	until(t, "what producer send sent to be applied", func() bool {
		return dev.number("inventory", "SELECT SUM(on_hand) FROM stock") == 22022
	})
}
