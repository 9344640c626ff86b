package consume

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/store"
)

// metrics of an engine. Every series carries the label group.
//
//	firehose_events_applied_total{topic,partition}   events whose effect is committed
//	firehose_events_skipped_total{reason}            stale, duplicate, replay
//	firehose_conflicts_total                         concurrent events that lost, recorded
//	firehose_dead_letters_total{class}               records set aside
//	firehose_batch_events                            events per transaction
//	firehose_apply_seconds                           a transaction, in seconds
//	firehose_end_to_end_seconds                      from sending to the commit, per partition's oldest event of a batch
//	firehose_rebalances_total                        times that partitions were given back or lost
//	firehose_partitions_assigned                     partitions that this member owns
//	firehose_partition_state{topic,partition,state}  1 for the state that the partition is in
//	firehose_lag_records{topic,partition}            records between the position and the last stable offset
//	firehose_lag_seconds{topic,partition}            age since sending of the oldest record not yet applied
//	firehose_fenced_total                            transactions that a position refused
//	firehose_access_denied                           1 while the brokers refuse what this member wants
//	kafka_consumergroup_lag{consumergroup,topic,partition}  as kafka_exporter calls it
type metrics struct {
	appliedTotal *prometheus.CounterVec
	skipped      *prometheus.CounterVec
	conflicts    prometheus.Counter
	deadLetters  *prometheus.CounterVec
	batchEvents  prometheus.Histogram
	applySeconds prometheus.Histogram
	endToEnd     prometheus.Histogram
	rebalances   prometheus.Counter
	partitions   prometheus.Gauge
	stateGauge   *prometheus.GaugeVec
	fenced       prometheus.Counter
	denied       prometheus.Gauge

	counts counts
}

func newMetrics(reg prometheus.Registerer, group string) *metrics {
	reg = prometheus.WrapRegistererWith(prometheus.Labels{"group": group}, reg)
	byPartition := []string{"topic", "partition"}
	m := &metrics{
		appliedTotal: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firehose_events_applied_total", Help: "Events whose effect is committed."}, byPartition),
		skipped: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firehose_events_skipped_total", Help: "Events without effect: stale, duplicate, or a replay of what the store has."}, []string{"reason"}),
		conflicts: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firehose_conflicts_total", Help: "Concurrent events that lost and were recorded."}),
		deadLetters: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "firehose_dead_letters_total", Help: "Records set aside on the group's dead-letter topic."}, []string{"class"}),
		batchEvents: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firehose_batch_events", Help: "Events per transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 9)}),
		applySeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firehose_apply_seconds", Help: "Duration of a transaction in seconds.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16)}),
		endToEnd: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "firehose_end_to_end_seconds", Help: "From sending to the commit in seconds, of the oldest event of each partition in a batch.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 18)}),
		rebalances: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firehose_rebalances_total", Help: "Times that partitions were given back or lost."}),
		partitions: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "firehose_partitions_assigned", Help: "Partitions that this member owns."}),
		stateGauge: prometheus.NewGaugeVec(prometheus.GaugeOpts{
			Name: "firehose_partition_state", Help: "1 for the state that the partition is in."}, []string{"topic", "partition", "state"}),
		fenced: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "firehose_fenced_total", Help: "Transactions that a moved position refused."}),
	}
	m.denied = prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "firehose_access_denied", Help: "1 while the brokers refuse what this member wants: a login, or a permission."})
	reg.MustRegister(m.denied, m.appliedTotal, m.skipped, m.conflicts, m.deadLetters, m.batchEvents, m.applySeconds,
		m.endToEnd, m.rebalances, m.partitions, m.stateGauge, m.fenced)
	return m
}

func (m *metrics) assigned(p *partition) {
	m.partitions.Inc()
	m.state(p)
}

func (m *metrics) revoked(p *partition) {
	m.partitions.Dec()
	labels := prometheus.Labels{"topic": p.id.Topic, "partition": itoa(p.id.ID)}
	m.stateGauge.DeletePartialMatch(labels)
	m.appliedTotal.DeletePartialMatch(labels)
}

func (m *metrics) state(p *partition) {
	m.stateGauge.DeletePartialMatch(prometheus.Labels{"topic": p.id.Topic, "partition": itoa(p.id.ID)})
	m.stateGauge.WithLabelValues(p.id.Topic, itoa(p.id.ID), string(p.state)).Set(1)
}

func (m *metrics) applied(p *partition, events []*Event) {
	n := 0
	for _, ev := range events {
		if ev.failure == nil && !ev.control {
			n++
		}
	}
	m.counts.applied.Add(int64(n))
	m.appliedTotal.WithLabelValues(p.id.Topic, itoa(p.id.ID)).Add(float64(n))
	m.endToEnd.Observe(time.Since(events[0].Timestamp).Seconds())
}

func (m *metrics) setAside(class string) {
	m.counts.setAside.Add(1)
	m.deadLetters.WithLabelValues(class).Inc()
}

func (m *metrics) batch(b *merged, r store.Result, took time.Duration) {
	m.batchEvents.Observe(float64(b.events))
	m.applySeconds.Observe(took.Seconds())
	m.skipped.WithLabelValues("stale").Add(float64(b.stale + r.Stale))
	m.skipped.WithLabelValues("duplicate").Add(float64(b.duplicate + r.Duplicate))
	m.conflicts.Add(float64(b.conflicts + r.Conflicts))
	m.counts.stale.Add(int64(b.stale + r.Stale))
	m.counts.duplicate.Add(int64(b.duplicate + r.Duplicate))
	m.counts.conflicts.Add(int64(b.conflicts + r.Conflicts))
	m.counts.rows.Add(int64(r.Written))
}
