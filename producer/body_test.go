package producer_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"firehose/producer"
)

func gzipped(t testing.TB, text string) []byte {
	t.Helper()
	var buf bytes.Buffer
	w := gzip.NewWriter(&buf)
	if _, err := io.WriteString(w, text); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return buf.Bytes()
}

func TestGzip(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{})
	good := gzipped(t, movement("m-1", "s-1"))
	h := contentType("application/json")
	h.Set("Content-Encoding", "gzip")
	if a := d.do(t, "POST", "/v1/events/shop.stock.moved", h, bytes.NewReader(good)); a.status != 200 {
		t.Errorf("gzip: got %d %s", a.status, a.body)
	}
	cut := d.do(t, "POST", "/v1/events/shop.stock.moved", h, bytes.NewReader(good[:len(good)-4]))
	if got := cut.result(t); cut.status != 400 || got.Type != "/problems/malformed" {
		t.Errorf("gzip cut off: got %d %s", cut.status, cut.body)
	}
	h = contentType("application/x-ndjson")
	h.Set("Content-Encoding", "gzip")
	batch := gzipped(t, movementLine("m-2", "s-1")+"\n"+movementLine("m-3", "s-1"))
	if a := d.do(t, "POST", "/v1/events:batch", h, bytes.NewReader(batch)); a.status != 200 {
		t.Errorf("gzip batch: got %d %s", a.status, a.body)
	}
	if records := d.records(t); len(records) != 3 {
		t.Errorf("%d records, want 3", len(records))
	}
}

// heap runs f and returns by how many bytes memory taken from the system for
// the heap grew meanwhile at most.
func heap(f func()) uint64 {
	runtime.GC()
	var before, now runtime.MemStats
	runtime.ReadMemStats(&before)
	stop, done := make(chan struct{}), make(chan uint64)
	go func() {
		var most uint64
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		for {
			runtime.ReadMemStats(&now)
			if now.HeapInuse > before.HeapInuse {
				most = max(most, now.HeapInuse-before.HeapInuse)
			}
			select {
			case <-stop:
				done <- most
				return
			case <-tick.C:
			}
		}
	}()
	f()
	close(stop)
	return <-done
}

// A bomb costs the limit, not the 128 MiB that it decompresses to.
func TestGzipBomb(t *testing.T) {
	var bomb bytes.Buffer
	w, err := gzip.NewWriterLevel(&bomb, gzip.BestSpeed)
	if err != nil {
		t.Fatal(err)
	}
	zeros := make([]byte, 1<<20)
	for range 128 {
		if _, err := w.Write(zeros); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{BatchBytes: 4 << 20})
	for _, tt := range []struct{ name, path, media string }{
		{"event", "/v1/events/shop.stock.moved", "application/json"},
		{"batch", "/v1/events:batch", "application/x-ndjson"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := contentType(tt.media)
			h.Set("Content-Encoding", "gzip")
			var a answer
			grew := heap(func() {
				for range 10 {
					a = d.do(t, "POST", tt.path, h, bytes.NewReader(bomb.Bytes()))
				}
			})
			if got := a.result(t); a.status != 413 || got.Type != "/problems/too-large" {
				t.Errorf("got %d %s, want 413", a.status, a.body)
			}
			const most = 48 << 20 // ten times at most 4 MiB and its half, before it is collected
			if grew > most {
				t.Errorf("heap grew by %d MiB, want at most %d", grew>>20, most>>20)
			}
			t.Logf("%d KiB of bomb, 10 times: heap grew by %d KiB at most", bomb.Len()>>10, grew>>10)
		})
	}
	if a := d.post(t, "shop.stock.moved", movement("m-1", "s-1")); a.status != 200 {
		t.Errorf("afterwards: %d %s", a.status, a.body)
	}
}

// raw opens a connection and writes text to it.
func (d *door) raw(t testing.TB, text string) (net.Conn, *bufio.Reader) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if _, err := io.WriteString(conn, text); err != nil {
		t.Fatal(err)
	}
	return conn, bufio.NewReader(conn)
}

func readResponse(t testing.TB, r *bufio.Reader) answer {
	t.Helper()
	resp, err := http.ReadResponse(r, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

const head = "POST /v1/events/shop.stock.moved HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nce-id: event-1\r\n"

func TestEndlessBody(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{EventBytes: 64 << 10})
	conn, r := d.raw(t, head+"Transfer-Encoding: chunked\r\n\r\n")
	// The server stops reading and closes: the writer ends with an error.
	go func() {
		chunk := fmt.Sprintf("%x\r\n%s\r\n", 4096, strings.Repeat(" ", 4096))
		for {
			if _, err := io.WriteString(conn, chunk); err != nil {
				return
			}
		}
	}()
	a := readResponse(t, r)
	if got := a.result(t); a.status != 413 || got.Type != "/problems/too-large" || got.ID != "event-1" {
		t.Errorf("got %d %s, want 413", a.status, a.body)
	}
	if _, err := r.ReadByte(); err == nil {
		t.Error("the connection stays open")
	}
}

func TestSlowBody(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{ReadTimeout: 300 * time.Millisecond})
	_, r := d.raw(t, head+"Content-Length: 100\r\n\r\n{")
	a := readResponse(t, r)
	if got := a.result(t); a.status != 408 || got.Type != "/problems/body-timeout" || got.ID != "event-1" {
		t.Errorf("got %d %s, want 408", a.status, a.body)
	}
}

func TestSlowHeaders(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{HeaderTimeout: 200 * time.Millisecond})
	_, r := d.raw(t, "POST /v1/events/shop.stock.moved HTTP/1.1\r\nHost")
	if text, err := io.ReadAll(r); err != nil || strings.Contains(string(text), " 200 ") {
		t.Errorf("got %q, %v, want the connection closed", text, err)
	}
}

// While a caller holds all that it may, further requests are refused before
// their body is read; when it is done, they are taken again.
func TestInFlightBytes(t *testing.T) {
	const body = 9 * 64 << 10 // what holds one of 64 KiB, and the event that it will be
	limits := producer.Limits{
		EventBytes: 64 << 10, BatchBytes: 64 << 10, BatchLines: 10,
		InFlightBytes: 4 * body, CallerBytes: 2 * body,
	}
	for _, tt := range []struct {
		name   string
		caller int64
		status int
		typ    string
	}{
		{"one caller", 2 * body, 429, "too-many-bytes-in-flight"},
		{"all callers", 4 * body, 503, "overloaded"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			limits.CallerBytes = tt.caller
			d := openDoor(t, startBackend(t, backendConfig{}), limits)
			text := movement("m-1", "s-1")
			var open []net.Conn
			var readers []*bufio.Reader
			// Each holds 64 KiB of a body whose last bytes do not come yet.
			for range tt.caller / body {
				conn, r := d.raw(t, head+fmt.Sprintf("Content-Length: %d\r\n\r\n%s", 60<<10, strings.Repeat(" ", 60<<10-len(text))))
				open, readers = append(open, conn), append(readers, r)
			}
			held := func() bool { return d.gauge(t, "firehose_http_in_flight_bytes") == float64(tt.caller) }
			waitFor(t, "the bodies to be held", held)
			// The body is announced and never sent: the answer must not wait for it.
			_, r := d.raw(t, head+"Content-Length: 5000\r\n\r\n")
			a := readResponse(t, r)
			if got := a.result(t); a.status != tt.status || got.Type != "/problems/"+tt.typ || got.ID != "event-1" {
				t.Errorf("got %d %s, want %d %s", a.status, a.body, tt.status, tt.typ)
			}
			if a.header.Get("Retry-After") == "" {
				t.Error("no Retry-After")
			}
			for i, conn := range open {
				if _, err := io.WriteString(conn, text); err != nil {
					t.Fatal(err)
				}
				if a := readResponse(t, readers[i]); a.status != 200 {
					t.Errorf("a request that was in flight got %d %s", a.status, a.body)
				}
			}
			if a := d.post(t, "shop.stock.moved", text); a.status != 200 {
				t.Errorf("afterwards: %d %s", a.status, a.body)
			}
			waitFor(t, "nothing to be held", func() bool { return d.gauge(t, "firehose_http_in_flight_bytes") == 0 })
		})
	}
}

// gauge reads a metric without labels.
func (d *door) gauge(t testing.TB, name string) float64 {
	t.Helper()
	families, err := d.metrics.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			return f.GetMetric()[0].GetGauge().GetValue()
		}
	}
	t.Fatalf("no metric %s", name)
	return 0
}

// waitFor waits until the condition holds.
func waitFor(t testing.TB, what string, holds func() bool) {
	t.Helper()
	deadline := time.NewTimer(20 * time.Second)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !holds() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited too long for %s", what)
		}
	}
}
