package producer_test

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"firehose/producer"
)

// Most clients send all of a request before they read the answer. A refusal of a
// body that is too large has to reach them too.
func TestRefusalReachesWhoSendsFirst(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{EventBytes: 64 << 10, BatchBytes: 256 << 10})
	body := bytes.Repeat([]byte("x"), 12<<20) // more than sockets hold
	chunk := func(b []byte) string { return fmt.Sprintf("%x\r\n%s\r\n", len(b), b) }
	for _, tt := range []struct {
		name, path, media, length string
		body                      io.Reader
	}{
		{"event", "/v1/events/shop.stock.moved", "application/json", "Content-Length: 12582912", bytes.NewReader(body)},
		{"batch", "/v1/events:batch", "application/x-ndjson", "Content-Length: 12582912", bytes.NewReader(body)},
		{"batch of unknown length", "/v1/events:batch", "application/x-ndjson", "Transfer-Encoding: chunked",
			strings.NewReader(chunk(body) + chunk(nil))},
	} {
		t.Run(tt.name, func(t *testing.T) {
			conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = conn.Close() }()
			if err := conn.SetDeadline(time.Now().Add(time.Minute)); err != nil {
				t.Fatal(err)
			}
			head := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: door\r\nContent-Type: %s\r\n%s\r\n\r\n", tt.path, tt.media, tt.length)
			if _, err := io.Copy(conn, io.MultiReader(strings.NewReader(head), tt.body)); err != nil {
				t.Fatalf("sending: %v", err)
			}
			resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
			if err != nil {
				t.Fatalf("reading the answer: %v", err)
			}
			defer func() { _ = resp.Body.Close() }()
			if resp.StatusCode != http.StatusRequestEntityTooLarge {
				t.Errorf("got %s, want 413", resp.Status)
			}
		})
	}
}
