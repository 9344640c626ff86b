package producer_test

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"reflect"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"firehose/internal/publish"
	"firehose/producer"
	"firehose/schemas"
)

// slowBroker takes events and answers when it is told to.
type slowBroker struct {
	mu     sync.Mutex
	events []*publish.Event
	kept   int // events whose data was still there when the next one came
	wait   []func(publish.Receipt, error)
	answer func(attempt int, e *publish.Event) error // nil: not yet
}

func (b *slowBroker) Publish(_ context.Context, e *publish.Event, done func(publish.Receipt, error)) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if n := len(b.events); n > 0 && b.events[n-1].Data != nil {
		b.kept++
	}
	b.events = append(b.events, e)
	if b.answer != nil {
		done(publish.Receipt{}, b.answer(len(b.events), e))
		return
	}
	b.wait = append(b.wait, done)
}

// release answers what waits, and from now on at once.
func (b *slowBroker) release() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.answer = func(int, *publish.Event) error { return nil }
	for _, done := range b.wait {
		done(publish.Receipt{}, nil)
	}
	b.wait = nil
}

// counted counts what was read of it.
type counted struct {
	io.Reader
	read int
}

func (c *counted) Read(p []byte) (int, error) {
	n, err := c.Reader.Read(p)
	c.read += n
	return n, err
}

// While nothing is acknowledged Send holds a few MB of its input, however long
// the lines are, and no parsed event of what the publisher has taken.
func TestSendHoldsLittle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		line := strings.Replace(movementLine("m-1", "s-1"), `"quantity"`, `"order_id":"`+strings.Repeat("x", 64<<10)+`","quantity"`, 1) + "\n"
		const lines = 500
		in := &counted{Reader: strings.NewReader(strings.Repeat(line, lines))}
		broker := &slowBroker{}
		done := make(chan struct{})
		go func() {
			defer close(done)
			sent, err := producer.Send(t.Context(), producer.SendConfig{
				Publisher: broker, Set: schemas.Shop(), Out: io.Discard, Log: slog.New(slog.DiscardHandler),
			}, producer.Input{Name: "lines", Reader: in})
			if err != nil || sent.Acknowledged != lines {
				t.Errorf("sent %+v, %v, want %d acknowledged", sent, err, lines)
			}
		}()
		synctest.Wait()
		const most = 6 << 20
		if in.read > most || len(broker.events) == 0 {
			t.Errorf("while nothing was answered %d MiB were read, %d events sent; want some, and at most %d MiB", in.read>>20, len(broker.events), most>>20)
		}
		broker.release()
		<-done
		if broker.kept > 0 {
			t.Errorf("%d of %d events still had their data when the next one was published", broker.kept, lines)
		}
	})
}

// What is sent again is the same event, to the last attribute: data that was let
// go is parsed anew, what the publisher stamped stays.
func TestSendAgainIsTheSame(t *testing.T) {
	stamped := time.Date(2026, 3, 4, 5, 6, 7, 0, time.UTC)
	var first, second publish.Event
	broker := &slowBroker{answer: func(attempt int, e *publish.Event) error {
		if attempt == 1 {
			e.Time = stamped
			first = *e
			return unknown(publish.ReasonTimeout)
		}
		second = *e
		return nil
	}}
	line := `{"type":"shop.stock.moved","correlationid":"talk","data":` + movement("m-1", "s-1") + `}`
	sent, err := producer.Send(t.Context(), producer.SendConfig{
		Publisher: broker, Set: schemas.Shop(), Out: io.Discard, Log: slog.New(slog.DiscardHandler), Backoff: time.Millisecond,
	}, input(line))
	if err != nil || sent.Acknowledged != 1 {
		t.Fatalf("sent %+v, %v", sent, err)
	}
	if first.Data == nil || !reflect.DeepEqual(first, second) {
		t.Errorf("sent again as %+v, want %+v", second, first)
	}
}

// A parsed event is several times its JSON, and counts while it is there.
func TestParsedEventsAreInFlight(t *testing.T) {
	b := startBackend(t, backendConfig{maxRecords: 2})
	d := openDoor(t, b, producer.Limits{})
	if a := d.postID(t, "e-0"); a.status != 200 {
		t.Fatalf("got %d %s", a.status, a.body)
	}
	held := func() int { return int(d.gauge(t, "firehose_http_in_flight_bytes")) }
	restore := b.silenceProduce()
	waiting := make(chan answer, 2)
	go func() { waiting <- d.postID(t, "e-1") }()
	waitFor(t, "an event to wait", func() bool { return d.gauge(t, "firehose_producer_buffered_records") == 1 })
	text := len(movement("e-1", "s-1"))
	if got := held(); got < text || got > 2*text {
		t.Errorf("%d bytes are held for an event of %d that is encoded, want no more than its text", got, text)
	}
	body := strings.Repeat(movementLine("m-1", "s-1")+"\n", 100)
	go func() { waiting <- d.batch(t, body) }()
	waitFor(t, "the batch to wait for room", func() bool { return d.gauge(t, "firehose_producer_buffered_records") == 2 })
	if got, want := held(), 9*len(body); got < want {
		t.Errorf("%d bytes are held for a batch of %d that is being parsed, want at least %d", got, len(body), want)
	}
	restore()
	for range 2 {
		if a := <-waiting; a.status != http.StatusOK {
			t.Errorf("got %d %.300s", a.status, a.body)
		}
	}
	waitFor(t, "nothing to be held", func() bool { return held() == 0 })
}
