package publish_test

import (
	"bytes"
	"log/slog"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
)

// Events that the client holds although nothing keeps them lose their places, and
// those behind them are sent.
func TestStuckEventsLoseTheirPlaces(t *testing.T) {
	var out bytes.Buffer
	registry := prometheus.NewRegistry()
	cfg := config()
	cfg.MaxRecords, cfg.Timeout = 3, 100*time.Millisecond
	cfg.Metrics = registry
	cfg.Log = slog.New(slog.NewJSONHandler(&out, nil))
	s := start(t, cfg, kgo.ProduceRequestTimeout(100*time.Millisecond), kgo.RequestTimeoutOverhead(100*time.Millisecond))
	if a := get(t, s.send(t.Context(), placed("order-0"))); a.err != nil { // the client knows the topic
		t.Fatal(a.err)
	}
	release := s.stick(t)
	s.runOut(t, cfg.MaxRecords)
	deadline := time.Now().Add(10 * time.Second)
	for counter(t, registry, "firehose_producer_late_total") < float64(cfg.MaxRecords) {
		if time.Now().After(deadline) {
			t.Fatal("the client still holds them")
		}
		runtime.Gosched()
	}
	if got := counter(t, registry, "firehose_producer_buffered_records"); got != 0 {
		t.Errorf("%v events have a place", got)
	}
	release()
	for sent := false; !sent; { // the broker still has the old requests to answer
		sent = get(t, s.send(t.Context(), placed("order-9"))).err == nil
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "given up"); got != 1 {
		t.Errorf("%d lines about events given up, want one:\n%s", got, &out)
	}
}
