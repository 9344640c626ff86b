package producer_test

import (
	"errors"
	"fmt"
	"os"
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

func TestLimitsAreChecked(t *testing.T) {
	b := startBackend(t, backendConfig{})
	for _, limits := range []producer.Limits{
		{EventBytes: -1},
		{ReadTimeout: -1},
		{CallerBytes: 1 << 30},
		{BatchBytes: 1 << 30},
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
