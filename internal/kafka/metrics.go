package kafka

import (
	"fmt"
	"regexp"
	"strings"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"

	"firehose/internal/metric"
)

// ClientMetricsPrefix begins the names of what a Kafka client counts itself:
// connections, requests, bytes and records.
const ClientMetricsPrefix = "firehose_kafka"

// NewMeteredClient is NewClient with the client's own metrics, registered with
// reg until it is closed. name tells the clients of one process apart, in the
// label client. The other labels are node_id, of the cluster's brokers, and topic,
// of those that the client was told to read or write. A nil reg is NewClient.
func NewMeteredClient(cfg Config, reg prometheus.Registerer, name string, opts ...kgo.Opt) (*kgo.Client, error) {
	if reg == nil {
		return NewClient(cfg, opts...)
	}
	m := newClientMetrics(reg, name)
	client, err := NewClient(cfg, append(opts[:len(opts):len(opts)], kgo.WithHooks(m))...)
	if err != nil {
		return nil, err
	}
	if err := reg.Register(m); err != nil {
		client.Close()
		return nil, fmt.Errorf("kafka client: metrics: %w", err)
	}
	return client, nil
}

// clientMetrics is a collector: what is registered is it, not each of its
// metrics, so that a name taken twice is an error and no panic.
type clientMetrics struct {
	*kprom.Metrics
	reg prometheus.Registerer
}

func newClientMetrics(reg prometheus.Registerer, name string) *clientMetrics {
	return &clientMetrics{reg: reg, Metrics: kprom.NewMetrics(ClientMetricsPrefix,
		kprom.Registry(nil),
		kprom.WithStaticLabel(prometheus.Labels{"client": name}),
		// Counted per batch and per request, never per record.
		kprom.FetchAndProduceDetail(kprom.ByTopic, kprom.Batches, kprom.Records, kprom.CompressedBytes,
			kprom.UncompressedBytes, kprom.ConsistentNaming),
		kprom.Histograms(kprom.RequestDurationE2E, kprom.RequestThrottled),
		kprom.NativeBucketFactor(1), // classic buckets only: they are what dashboards know
	)}
}

// OnClientClosed makes the name free again.
func (m *clientMetrics) OnClientClosed(*kgo.Client) { m.reg.Unregister(m) }

// described is how a Desc shows itself; it has no other way.
var described = regexp.MustCompile(`^Desc\{fqName: "(.*?)", help: "(.*?)", (?:unit: ".*?", )?constLabels: \{.*?\}, variableLabels: \{(.*?)\}\}$`)

// ClientMetrics are the definitions of what a metered client exports, as kprom
// describes them.
func ClientMetrics() ([]metric.Definition, error) {
	m := newClientMetrics(nil, "any")
	m.OnNewClient(nil) // which only the gauges' values would ask
	descs := make(chan *prometheus.Desc)
	go func() {
		defer close(descs)
		m.Describe(descs)
	}()
	var all []metric.Definition
	var unreadable error
	for desc := range descs {
		parts := described.FindStringSubmatch(desc.String())
		if parts == nil {
			unreadable = fmt.Errorf("kafka client: metrics: %s", desc)
			continue
		}
		d := metric.Definition{Name: parts[1], Help: strings.TrimSuffix(parts[2], ".") + ".", Kind: metric.Counter, Labels: []metric.Label{clientLabel}}
		for name := range strings.SplitSeq(parts[3], ",") {
			switch name {
			case "node_id":
				d.Labels = append(d.Labels, metric.Label{Name: name, Values: "the cluster's brokers; seed_N until one has said its number"})
			case "topic":
				d.Labels = append(d.Labels, metric.Topic)
			}
		}
		name := strings.TrimSuffix(d.Name, "_total")
		d.Unit = name[strings.LastIndexByte(name, '_')+1:]
		switch {
		case d.Unit == "seconds" && !strings.Contains(name, "request"):
			continue // not switched on
		case d.Unit == "seconds":
			d.Kind = metric.Histogram
		case strings.Contains(name, "buffered"):
			d.Kind = metric.Gauge
		}
		all = append(all, d)
	}
	return all, unreadable
}

var clientLabel = metric.Label{Name: "client", Values: "the clients of the process: producer, consumer, deadletters, deadletters_large, publisher at the public door"}
