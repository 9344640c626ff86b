package kafka

import (
	"fmt"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/plugin/kprom"
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
