package producer

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/metric"
)

// The metrics of the HTTP door.
var (
	httpRequests = metric.Definition{
		Name: "firehose_http_requests_total", Kind: metric.Counter, Unit: "requests",
		Help: "Requests answered, by route and status code.",
		Labels: []metric.Label{
			{Name: "route", Values: "the door's routes, and other"}, {Name: "code", Values: "the HTTP status codes that the door answers with"},
		},
	}
	httpSeconds = metric.Definition{
		Name: "firehose_http_request_seconds", Kind: metric.Histogram, Unit: "seconds",
		Help:    "Seconds from a request's headers to its answer.",
		Labels:  []metric.Label{{Name: "route", Values: "the door's routes, and other"}},
		Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
	}
	httpEvents = metric.Definition{
		Name: "firehose_http_events_total", Kind: metric.Counter, Unit: "events",
		Help:   "Events that came over HTTP, by what their senders were told.",
		Labels: []metric.Label{metric.OneOf("result", resultAcknowledged, resultRefused, resultUnknown)},
	}
	httpShed = metric.Definition{
		Name: "firehose_http_shed_total", Kind: metric.Counter, Unit: "requests",
		Help:   "Requests refused to protect the server.",
		Labels: []metric.Label{{Name: "reason", Values: "the problem that the caller was answered, see GET /problems"}},
	}
	httpRefused = metric.Definition{
		Name: "firehose_http_connections_refused_total", Kind: metric.Counter, Unit: "connections",
		Help: "Connections closed at once because their address had as many as it may have.",
		Read: "Behind a proxy all callers have one address: give --max-caller-connections as many as --max-connections.",
	}
	httpInFlight = metric.Definition{
		Name: "firehose_http_in_flight_bytes", Kind: metric.Gauge, Unit: "bytes",
		Help: "Bytes of request bodies, and of the events that are made of them, in memory.",
	}
)

// Metrics are the definitions of what the HTTP door exports.
func Metrics() []metric.Definition {
	return []metric.Definition{httpRequests, httpSeconds, httpEvents, httpShed, httpRefused, httpInFlight}
}

// What an event's sender was told.
const (
	resultAcknowledged = "acknowledged"
	resultRefused      = "refused"
	resultUnknown      = "unknown"
)

type doorMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	shed     *prometheus.CounterVec

	connectionsRefused             prometheus.Counter
	acknowledged, refused, unknown prometheus.Counter // events
}

func newDoorMetrics(reg prometheus.Registerer, held *budget) *doorMetrics {
	events := httpEvents.CounterVec()
	m := &doorMetrics{
		requests: httpRequests.CounterVec(), seconds: httpSeconds.HistogramVec(), shed: httpShed.CounterVec(),
		connectionsRefused: httpRefused.Counter(),

		acknowledged: events.WithLabelValues(resultAcknowledged),
		refused:      events.WithLabelValues(resultRefused),
		unknown:      events.WithLabelValues(resultUnknown),
	}
	inFlight := httpInFlight.GaugeFunc(func() float64 { return float64(held.bytes()) })
	reg.MustRegister(m.requests, m.seconds, events, m.shed, m.connectionsRefused, inFlight)
	return m
}

func (m *doorMetrics) answered(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (m *doorMetrics) event(p *Problem) {
	switch {
	case p == nil:
		m.acknowledged.Inc()
	case p.Unknown():
		m.unknown.Inc()
	default:
		m.refused.Inc()
	}
}
