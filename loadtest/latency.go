package loadtest

import (
	"sync"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"
)

// Latencies are counted to three digits, from a microsecond to an hour; what is
// longer counts as an hour.
const (
	longest      = int64(time.Hour / time.Microsecond)
	latencyDigit = 3
)

// Quantiles sums up latencies, in milliseconds.
type Quantiles struct {
	Count int64   `json:"count"`
	Mean  float64 `json:"mean_ms"`
	P50   float64 `json:"p50_ms"`
	P90   float64 `json:"p90_ms"`
	P99   float64 `json:"p99_ms"`
	P999  float64 `json:"p99_9_ms"`
	Max   float64 `json:"max_ms"`
}

// latency is the distribution of a latency: of what was measured, and of the
// current interval.
type latency struct {
	mu       sync.Mutex
	total    *hdrhistogram.Histogram
	interval *hdrhistogram.Histogram
}

func newLatency() *latency {
	return &latency{
		total:    hdrhistogram.New(1, longest, latencyDigit),
		interval: hdrhistogram.New(1, longest, latencyDigit),
	}
}

// record counts a latency in microseconds: in the interval always, in the total
// unless the event belonged to the warm-up.
func (l *latency) record(micros int64, measured bool) {
	micros = min(max(micros, 1), longest)
	l.mu.Lock()
	defer l.mu.Unlock()
	// Neither can fail: the value is within what is tracked.
	_ = l.interval.RecordValue(micros)
	if measured {
		_ = l.total.RecordValue(micros)
	}
}

// next ends the interval and returns its quantiles.
func (l *latency) next() Quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	q := quantiles(l.interval)
	l.interval.Reset()
	return q
}

// all returns the quantiles of what was measured.
func (l *latency) all() Quantiles {
	l.mu.Lock()
	defer l.mu.Unlock()
	return quantiles(l.total)
}

func quantiles(h *hdrhistogram.Histogram) Quantiles {
	if h.TotalCount() == 0 {
		return Quantiles{}
	}
	ms := func(p float64) float64 { return float64(h.ValueAtPercentile(p)) / 1000 }
	return Quantiles{
		Count: h.TotalCount(), Mean: h.Mean() / 1000,
		P50: ms(50), P90: ms(90), P99: ms(99), P999: ms(99.9), Max: float64(h.Max()) / 1000,
	}
}
