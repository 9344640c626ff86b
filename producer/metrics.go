package producer

import (
	"strconv"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promauto"
)

// doorMetrics is what the HTTP door counts; the package's doc lists it. Labels
// are of fixed sets, never from callers.
type doorMetrics struct {
	requests *prometheus.CounterVec
	seconds  *prometheus.HistogramVec
	events   *prometheus.CounterVec
	shed     *prometheus.CounterVec
}

func newDoorMetrics(reg prometheus.Registerer, held *budget) *doorMetrics {
	f := promauto.With(reg)
	f.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "firehose_http_in_flight_bytes", Help: "Bytes of request bodies in memory.",
	}, func() float64 { return float64(held.bytes()) })
	return &doorMetrics{
		requests: f.NewCounterVec(prometheus.CounterOpts{
			Name: "firehose_http_requests_total", Help: "Requests answered, by route and status code.",
		}, []string{"route", "code"}),
		seconds: f.NewHistogramVec(prometheus.HistogramOpts{
			Name: "firehose_http_request_seconds", Help: "Time from a request's headers to its answer.",
			Buckets: []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30, 60},
		}, []string{"route"}),
		events: f.NewCounterVec(prometheus.CounterOpts{
			Name: "firehose_http_events_total", Help: "Events by what became of them: acknowledged, refused or unknown.",
		}, []string{"result"}),
		shed: f.NewCounterVec(prometheus.CounterOpts{
			Name: "firehose_http_shed_total", Help: "Requests refused to protect the server, by reason.",
		}, []string{"reason"}),
	}
}

func (m *doorMetrics) answered(route string, code int, took time.Duration) {
	m.requests.WithLabelValues(route, strconv.Itoa(code)).Inc()
	m.seconds.WithLabelValues(route).Observe(took.Seconds())
}

func (m *doorMetrics) event(p *Problem) {
	switch {
	case p == nil:
		m.events.WithLabelValues("acknowledged").Inc()
	case p.Unknown():
		m.events.WithLabelValues("unknown").Inc()
	default:
		m.events.WithLabelValues("refused").Inc()
	}
}
