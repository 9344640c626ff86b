package publish

import (
	"github.com/prometheus/client_golang/prometheus"
)

// metrics are listed in the package's documentation.
type metrics struct {
	accepted        *prometheus.CounterVec // by topic
	acknowledged    *prometheus.CounterVec // by topic
	rejected        *prometheus.CounterVec // by reason
	unknown         *prometheus.CounterVec // by reason
	late            *prometheus.CounterVec // by outcome
	bufferedRecords prometheus.GaugeFunc
	bufferedBytes   prometheus.GaugeFunc
	ackSeconds      prometheus.Histogram
}

func newMetrics(p *Publisher) *metrics {
	counter := func(name, help, label string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{
			Namespace: "firehose", Subsystem: "producer", Name: name, Help: help,
		}, []string{label})
	}
	gauge := func(name, help string, read func() float64) prometheus.GaugeFunc {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Namespace: "firehose", Subsystem: "producer", Name: name, Help: help,
		}, func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return read()
		})
	}
	m := &metrics{
		accepted:        counter("accepted_total", "Events handed to the Kafka client.", "topic"),
		acknowledged:    counter("acknowledged_total", "Events answered with a receipt.", "topic"),
		rejected:        counter("rejected_total", "Events answered as certainly not written.", "reason"),
		unknown:         counter("unknown_total", "Events answered as perhaps written.", "reason"),
		late:            counter("late_total", "What became of events after they were answered as perhaps written.", "outcome"),
		bufferedRecords: gauge("buffered_records", "Events that hold a place.", func() float64 { return float64(p.records) }),
		bufferedBytes:   gauge("buffered_bytes", "Bytes of the events that hold a place.", func() float64 { return float64(p.bytes) }),
		ackSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Namespace: "firehose", Subsystem: "producer", Name: "ack_seconds",
			Help:    "From publishing to the acknowledgement.",
			Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
		}),
	}
	return m
}

func (m *metrics) all() []prometheus.Collector {
	return []prometheus.Collector{
		m.accepted, m.acknowledged, m.rejected, m.unknown, m.late,
		m.bufferedRecords, m.bufferedBytes, m.ackSeconds,
	}
}

// register registers all or none.
func (m *metrics) register(r prometheus.Registerer) error {
	for i, c := range m.all() {
		if err := r.Register(c); err != nil {
			for _, registered := range m.all()[:i] {
				r.Unregister(registered)
			}
			return err
		}
	}
	return nil
}

func (m *metrics) unregister(r prometheus.Registerer) {
	for _, c := range m.all() {
		r.Unregister(c)
	}
}

// count counts an answer without receipt.
func (p *Publisher) count(e *Error) {
	if e.Outcome == Rejected {
		p.metrics.rejected.WithLabelValues(e.Reason).Inc()
	} else {
		p.metrics.unknown.WithLabelValues(e.Reason).Inc()
	}
}
