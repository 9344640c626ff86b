// Package metric defines metrics: a definition is what a metric is made from and
// what docs/metrics.md tells of it, so that the two cannot differ.
//
//	var events = metric.Definition{
//		Name: "firehose_events_applied_total", Kind: metric.Counter, Unit: "events",
//		Help: "Events whose effect is committed.", Labels: []metric.Label{metric.Topic, metric.Partition},
//	}
//	applied := events.CounterVec()
//
// The values of labels come from configuration and from fixed lists, never from
// events: a label says which.
package metric

import (
	"slices"

	"github.com/prometheus/client_golang/prometheus"
)

// Kind is what Prometheus calls a metric's type.
type Kind string

// The kinds.
const (
	Counter   Kind = "counter"
	Gauge     Kind = "gauge"
	Histogram Kind = "histogram"
)

// Label is a label with what bounds its values.
type Label struct {
	Name   string
	Values string   // where they come from, for people
	Of     []string // the values, where they are a fixed list
}

// The labels that several metrics have.
var (
	Group     = Label{Name: "group", Values: "the service's consumer group"}
	Topic     = Label{Name: "topic", Values: "the topics that the program is told to read or write"}
	Partition = Label{Name: "partition", Values: "those of these topics that this instance owns"}
)

// OneOf is a label with a fixed list of values.
func OneOf(name string, values ...string) Label { return Label{Name: name, Of: values} }

// Definition says what a metric is.
type Definition struct {
	Name    string
	Kind    Kind
	Unit    string // "events", "seconds", "bytes", ...
	Help    string // one sentence
	Read    string // what to make of it, more than Help; may be empty
	Labels  []Label
	Buckets []float64 // upper bounds, of a histogram
}

func (d *Definition) variable() []string {
	var names []string
	for _, l := range d.Labels {
		names = append(names, l.Name)
	}
	return names
}

// Desc is what a collector of constant metrics describes; its labels are in the
// definition's order, but for those that constant gives.
func (d *Definition) Desc(constant prometheus.Labels) *prometheus.Desc {
	names := slices.DeleteFunc(d.variable(), func(name string) bool { _, ok := constant[name]; return ok })
	return prometheus.NewDesc(d.Name, d.Help, names, constant)
}

// Counter makes a counter without labels.
func (d *Definition) Counter() prometheus.Counter {
	return prometheus.NewCounter(prometheus.CounterOpts{Name: d.Name, Help: d.Help})
}

// CounterVec makes a counter with labels. Where all of them are fixed lists its
// series are there from the start: a rate of something that has happened once
// is no rate of nothing.
func (d *Definition) CounterVec() *prometheus.CounterVec {
	v := prometheus.NewCounterVec(prometheus.CounterOpts{Name: d.Name, Help: d.Help}, d.variable())
	if len(d.Labels) == 1 {
		for _, value := range d.Labels[0].Of {
			v.WithLabelValues(value)
		}
	}
	return v
}

// Gauge makes a gauge without labels.
func (d *Definition) Gauge() prometheus.Gauge {
	return prometheus.NewGauge(prometheus.GaugeOpts{Name: d.Name, Help: d.Help})
}

// GaugeFunc makes a gauge that is read when it is asked for.
func (d *Definition) GaugeFunc(read func() float64) prometheus.GaugeFunc {
	return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: d.Name, Help: d.Help}, read)
}

// Histogram makes a histogram without labels.
func (d *Definition) Histogram() prometheus.Histogram {
	return prometheus.NewHistogram(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets})
}

// HistogramVec makes a histogram with labels.
func (d *Definition) HistogramVec() *prometheus.HistogramVec {
	return prometheus.NewHistogramVec(prometheus.HistogramOpts{Name: d.Name, Help: d.Help, Buckets: d.Buckets}, d.variable())
}
