package publish_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/publish"
	"firehose/schemas"
)

func TestBoundByRecords(t *testing.T) {
	cfg := config()
	cfg.MaxRecords = 3
	testBound(t, cfg, 3)
}

func TestBoundByBytes(t *testing.T) {
	cfg := config()
	cfg.MaxEventBytes = 1000
	cfg.MaxBytes = 1500 // an order is between 375 and 500 with its headers
	testBound(t, cfg, 3)
}

func testBound(t *testing.T, cfg publish.Config, fit int) {
	registry := prometheus.NewRegistry()
	cfg.Metrics = registry
	s := start(t, cfg)
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := s.stick(t)
	var answers []<-chan answer
	for i := range fit {
		answers = append(answers, s.send(t.Context(), placed(fmt.Sprintf("order-%d", i))))
	}
	if got := counter(t, registry, "firehose_producer_buffered_records"); got != float64(fit) {
		t.Errorf("%v buffered, want %d", got, fit)
	}
	if got := counter(t, registry, "firehose_producer_buffered_bytes"); got < 1 || cfg.MaxBytes > 0 && got > float64(cfg.MaxBytes) {
		t.Errorf("%v bytes buffered", got)
	}
	never := func(publish.Receipt, error) { t.Error("called back for what was not taken") }
	if err := s.TryPublish(t.Context(), placed("order-x"), never); !errors.Is(err, publish.ErrFull) {
		t.Errorf("got %v, want ErrFull", err)
	}
	// Publish waits, as long as its context lets it.
	impatient, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	select {
	case a := <-s.send(impatient, placed("order-y")):
		wantError(t, a, publish.Rejected, publish.ReasonCanceled)
	default:
		t.Error("not answered when Publish returned")
	}
	// One that waits gets in when there is room.
	waited := make(chan (<-chan answer))
	go func() { waited <- s.send(t.Context(), placed("order-z")) }()
	release()
	answers = append(answers, <-waited)
	for i, a := range answers {
		if a := get(t, a); a.err != nil {
			t.Errorf("event %d: %v", i, a.err)
		}
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := counter(t, registry, "firehose_producer_buffered_records") + counter(t, registry, "firehose_producer_buffered_bytes"); got != 0 {
		t.Errorf("%v still buffered", got)
	}
	if got := len(s.records(t, schemas.TopicOrders)); got != fit+1 {
		t.Errorf("%d records, want %d", got, fit+1)
	}
}

// A broker that does not answer keeps every place, for the client cannot take
// back what it has sent. Who waits for one is told in time that there is none.
func TestWaitForRoomEnds(t *testing.T) {
	cfg := config()
	cfg.MaxRecords = 3
	cfg.Timeout = 150 * time.Millisecond
	s := start(t, cfg)
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	release := s.stick(t)
	s.runOut(t, cfg.MaxRecords)
	const waiting = 5
	answers := make(chan answer, waiting)
	for range waiting {
		go func() {
			answers <- <-s.send(t.Context(), placed("order-x")) // sent when Publish returns
		}()
	}
	for range waiting {
		a := get(t, answers)
		wantError(t, a, publish.Rejected, publish.ReasonFull)
		if !errors.Is(a.err, publish.ErrFull) {
			t.Errorf("got %v, want an ErrFull", a.err)
		}
	}
	release()
	if err := s.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	if a := get(t, s.send(t.Context(), placed("order-y"))); a.err != nil {
		t.Errorf("when there is room again: %v", a.err)
	}
	for _, r := range s.records(t, schemas.TopicOrders) {
		if string(r.Key) == "order-x" {
			t.Error("rejected, and yet written")
		}
	}
}

// A callback that blocks keeps its own place, and neither the other callbacks
// nor the client wait for it.
func TestBlockedCallbacks(t *testing.T) {
	cfg := config()
	cfg.MaxRecords = 10
	s := start(t, cfg)
	block := make(chan struct{})
	entered := make(chan struct{}, cfg.MaxRecords)
	for i := range cfg.MaxRecords - 1 { // one place is left for everybody else
		s.Publish(t.Context(), placed(fmt.Sprintf("blocked-%d", i)), func(publish.Receipt, error) {
			entered <- struct{}{}
			<-block
		})
	}
	for range cfg.MaxRecords - 1 {
		<-entered
	}
	for i := range 200 {
		if a := get(t, s.send(t.Context(), placed(fmt.Sprintf("order-%d", i)))); a.err != nil {
			t.Fatal(a.err)
		}
	}
	short, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	if err := s.Flush(short); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("Flush: got %v, want to wait for the callbacks", err)
	}
	close(block)
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// A callback in the middle of a batch that publishes, and so waits for a place
// that an earlier one of its batch has just left, gets it.
func TestCallbacksMayPublish(t *testing.T) {
	cfg := config()
	cfg.MaxRecords = 4
	s := start(t, cfg)
	var done sync.WaitGroup
	var generations atomic.Int32
	var next func(generation int) func(publish.Receipt, error)
	next = func(generation int) func(publish.Receipt, error) {
		done.Add(1)
		return func(_ publish.Receipt, err error) {
			defer done.Done()
			if err != nil {
				t.Error(err)
			}
			generations.Add(1)
			if generation < 5 {
				s.Publish(t.Context(), placed("order"), next(generation+1))
			}
		}
	}
	for range 3 {
		s.Publish(t.Context(), placed("order"), next(0))
	}
	done.Wait()
	if got := generations.Load(); got != 18 {
		t.Errorf("%d callbacks, want 18", got)
	}
}

// Slow callbacks run side by side.
func TestSlowCallbacksDoNotQueue(t *testing.T) {
	s := start(t, config())
	const n = 200
	began := make(chan struct{}, n)
	all := make(chan struct{})
	for i := range n {
		s.Publish(t.Context(), placed(fmt.Sprintf("order-%d", i)), func(publish.Receipt, error) {
			began <- struct{}{}
			<-all // until every one of them runs
		})
	}
	for range n {
		<-began
	}
	close(all)
}

func TestCloseWaitsForAnswers(t *testing.T) {
	s := start(t, config())
	var answered atomic.Int32
	for i := range 500 {
		s.Publish(t.Context(), placed(fmt.Sprintf("order-%d", i)), func(_ publish.Receipt, err error) {
			if err != nil {
				t.Error(err)
			}
			answered.Add(1)
		})
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := answered.Load(); got != 500 {
		t.Errorf("%d answered, want 500", got)
	}
	select {
	case a := <-s.send(t.Context(), placed("late")):
		wantError(t, a, publish.Rejected, publish.ReasonClosed)
	default:
		t.Error("not answered when Publish returned")
	}
	if err := s.TryPublish(t.Context(), placed("late"), nil); !errors.Is(err, publish.ErrClosed) {
		t.Errorf("got %v, want ErrClosed", err)
	}
	if err := s.Close(t.Context()); err != nil {
		t.Errorf("second Close: %v", err)
	}
}

func TestCloseAnswersWhatIsInFlight(t *testing.T) {
	cfg := config()
	cfg.MaxRecords = 20
	s := start(t, cfg)
	s.stick(t)
	var answers []<-chan answer
	for i := range cfg.MaxRecords {
		answers = append(answers, s.send(t.Context(), placed(fmt.Sprintf("order-%d", i))))
	}
	waiting := make(chan (<-chan answer))
	go func() { waiting <- s.send(t.Context(), placed("waiting")) }()
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	if err := s.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("got %v, want the context's error", err)
	}
	for _, a := range answers {
		wantError(t, get(t, a), publish.Unknown, publish.ReasonClosed)
	}
	wantError(t, get(t, <-waiting), publish.Rejected, publish.ReasonClosed)
}

func TestClosedClientLeavesOutcomesUnknown(t *testing.T) {
	s := start(t, config())
	if err := s.Prepare(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.stick(t)
	answers := s.send(t.Context(), placed("order-1"))
	s.client.Close()
	wantError(t, get(t, answers), publish.Unknown, publish.ReasonClosed)
}
