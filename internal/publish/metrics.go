package publish

import (
	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/metric"
)

// The metrics of a publisher.
var (
	accepted = metric.Definition{
		Name: "firehose_producer_accepted_total", Kind: metric.Counter, Unit: "events",
		Help: "Events handed to the Kafka client.", Labels: []metric.Label{metric.Topic},
	}
	acknowledged = metric.Definition{
		Name: "firehose_producer_acknowledged_total", Kind: metric.Counter, Unit: "events",
		Help:   "Events answered with a receipt: all in-sync replicas have them.",
		Labels: []metric.Label{metric.Topic},
	}
	rejected = metric.Definition{
		Name: "firehose_producer_rejected_total", Kind: metric.Counter, Unit: "events",
		Help: "Events answered as certainly not written.",
		Read: "unknown_type, envelope, data and too_large are the event's own fault; the others are not.",
		Labels: []metric.Label{metric.OneOf("reason",
			ReasonUnknownType, ReasonEnvelope, ReasonData, ReasonTooLarge, ReasonUnregistered, ReasonIncompatible,
			ReasonUnavailable, ReasonFull, ReasonUnknownTopic, ReasonUnauthorized, ReasonRefused, ReasonClosed, ReasonCanceled)},
	}
	unknown = metric.Definition{
		Name: "firehose_producer_unknown_total", Kind: metric.Counter, Unit: "events",
		Help:   "Events answered as perhaps written.",
		Read:   "Sending the same event ID again is safe.",
		Labels: []metric.Label{metric.OneOf("reason", ReasonTimeout, ReasonBroker, ReasonClosed, ReasonCanceled)},
	}
	late = metric.Definition{
		Name: "firehose_producer_late_total", Kind: metric.Counter, Unit: "events",
		Help:   "What became of events after they were answered as perhaps written.",
		Labels: []metric.Label{metric.OneOf("outcome", Acknowledged.String(), Rejected.String(), Unknown.String())},
	}
	bufferedRecords = metric.Definition{
		Name: "firehose_producer_buffered_records", Kind: metric.Gauge, Unit: "records",
		Help: "Events that are not answered, or not yet let go by the Kafka client.",
	}
	bufferedBytes = metric.Definition{
		Name: "firehose_producer_buffered_bytes", Kind: metric.Gauge, Unit: "bytes",
		Help: "Bytes of keys, values and headers of these events.",
	}
	ackSeconds = metric.Definition{
		Name: "firehose_producer_ack_seconds", Kind: metric.Histogram, Unit: "seconds",
		Help:    "Seconds from publishing an event to its acknowledgement.",
		Buckets: []float64{.0005, .001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30},
	}
)

// Metrics are the definitions of what a publisher exports.
func Metrics() []metric.Definition {
	return []metric.Definition{accepted, acknowledged, rejected, unknown, late, bufferedRecords, bufferedBytes, ackSeconds}
}

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
	locked := func(read func() float64) func() float64 {
		return func() float64 {
			p.mu.Lock()
			defer p.mu.Unlock()
			return read()
		}
	}
	return &metrics{
		accepted:        accepted.CounterVec(),
		acknowledged:    acknowledged.CounterVec(),
		rejected:        rejected.CounterVec(),
		unknown:         unknown.CounterVec(),
		late:            late.CounterVec(),
		bufferedRecords: bufferedRecords.GaugeFunc(locked(func() float64 { return float64(p.records) })),
		bufferedBytes:   bufferedBytes.GaugeFunc(locked(func() float64 { return float64(p.bytes) })),
		ackSeconds:      ackSeconds.Histogram(),
	}
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
