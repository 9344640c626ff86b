package publish_test

import (
	"bytes"
	"errors"
	"log/slog"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
)

// Events that the client holds although nothing keeps them lose their places, and
// those behind them are sent. As long as the leader cannot be reached, that may be
// what keeps them.
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
	var reached atomic.Bool
	var asked atomic.Int64
	s.cluster.ControlKey(int16(kmsg.ListOffsets), func(kmsg.Request) (kmsg.Response, error, bool) {
		s.cluster.KeepControl()
		if asked.Add(1); reached.Load() {
			return nil, nil, false
		}
		return nil, errors.New("cut"), true
	})
	release := s.stick(t)
	s.runOut(t, cfg.MaxRecords)
	deadline := time.Now().Add(20 * time.Second)
	for asked.Load() < 6 {
		if time.Now().After(deadline) {
			t.Fatal("the leader was not asked")
		}
		runtime.Gosched()
	}
	if got := counter(t, registry, "firehose_producer_buffered_records"); got != float64(cfg.MaxRecords) {
		t.Errorf("%v events have a place while the leader does not answer, want all %d", got, cfg.MaxRecords)
	}
	reached.Store(true)
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
		if sent = get(t, s.send(t.Context(), placed("order-9"))).err == nil; !sent && time.Now().After(deadline) {
			t.Fatal("nothing is sent")
		}
	}
	if err := s.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Count(out.String(), "given up"); got != 1 {
		t.Errorf("%d lines about events given up, want one:\n%s", got, &out)
	}
}
