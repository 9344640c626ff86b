package producer_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"firehose/producer"
	"firehose/schemas"
)

// A connection beyond the limit waits until another one ends.
func TestConnections(t *testing.T) {
	d := openDoor(t, startBackend(t, backendConfig{}), producer.Limits{Connections: 1})
	text := movement("m-1", "s-1")
	request := head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(text), text)
	first, r := d.raw(t, request)
	if a := readResponse(t, r); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	second, waiting := d.raw(t, request)
	if err := second.SetReadDeadline(time.Now().Add(100 * time.Millisecond)); err != nil {
		t.Fatal(err)
	}
	if _, err := waiting.Peek(1); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Fatalf("a second connection was served beside the first: %v", err)
	}
	if err := errors.Join(first.Close(), second.SetReadDeadline(time.Time{})); err != nil {
		t.Fatal(err)
	}
	if a := readResponse(t, waiting); a.status != 200 {
		t.Errorf("when the first had ended the second got %d %s", a.status, a.body)
	}
}

// One address has a quarter of the connections, so that it cannot keep the others
// out: what is more is closed at once.
func TestConnectionsOfOneAddress(t *testing.T) {
	for _, tt := range []struct {
		name   string
		limits producer.Limits
		want   int
	}{
		{"a quarter", producer.Limits{Connections: 8}, 2},
		{"at least one", producer.Limits{Connections: 3}, 1},
		{"as told", producer.Limits{Connections: 8, CallerConnections: 5}, 5},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := openDoor(t, startBackend(t, backendConfig{}), tt.limits)
			text := movement("m-1", "s-1")
			request := head + fmt.Sprintf("Content-Length: %d\r\n\r\n%s", len(text), text)
			served := func() (net.Conn, bool) {
				conn, err := net.Dial("tcp", strings.TrimPrefix(d.url, "http://"))
				if err != nil {
					t.Fatal(err)
				}
				t.Cleanup(func() { conn.Close() })
				if err := conn.SetDeadline(time.Now().Add(20 * time.Second)); err != nil {
					t.Fatal(err)
				}
				_, _ = io.WriteString(conn, request) // it may be closed by now
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				if errors.Is(err, os.ErrDeadlineExceeded) {
					t.Fatal("a connection was neither served nor closed")
				}
				if err == nil {
					resp.Body.Close()
				}
				return conn, err == nil
			}
			first, ok := served()
			for i := 1; i < tt.want; i++ {
				_, more := served()
				ok = ok && more
			}
			if !ok {
				t.Fatalf("of %d connections not all were served", tt.want)
			}
			if _, ok := served(); ok {
				t.Fatalf("connection %d was served, want %d", tt.want+1, tt.want)
			}
			first.Close()
			waitFor(t, "its place to be taken", func() bool { _, ok := served(); return ok })
		})
	}
}

func TestLimitsAreChecked(t *testing.T) {
	b := startBackend(t, backendConfig{})
	for _, limits := range []producer.Limits{
		{EventBytes: -1},
		{ReadTimeout: -1},
		{CallerBytes: 1 << 30},
		{BatchBytes: 1 << 30},
		{CallerConnections: 5000},
	} {
		server, err := producer.NewServer(t.Context(), producer.ServerConfig{
			Listen: "127.0.0.1:0", Handler: producer.HandlerConfig{Publisher: b.publisher, Set: schemas.Shop(), Limits: limits},
		})
		if err == nil {
			t.Errorf("%+v were accepted", limits)
			server.Close()
		}
	}
}
