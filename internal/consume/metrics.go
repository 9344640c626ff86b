package consume

import (
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/metric"
	"firehose/internal/store"
)

// The metrics of an engine. Every series has the label group, kafka_exporter's
// one consumergroup.
var (
	eventsApplied = metric.Definition{
		Name: "firehose_events_applied_total", Kind: metric.Counter, Unit: "events",
		Help:   "Events whose effect is committed.",
		Read:   "Those without effect (stale, duplicate) among them, those set aside not.",
		Labels: []metric.Label{metric.Topic, metric.Partition},
	}
	eventsSkipped = metric.Definition{
		Name: "firehose_events_skipped_total", Kind: metric.Counter, Unit: "events",
		Help: "Events or rows without effect: older than what the store has, there already, or a replay of committed offsets.",
		Read: "Duplicates are what a producer sent twice, replays what the broker delivered again: both are harmless, and many of them say that something restarts often.",
		Labels: []metric.Label{
			metric.OneOf("reason", skipStale, skipDuplicate, skipReplay),
		},
	}
	conflictsRecorded = metric.Definition{
		Name: "firehose_conflicts_total", Kind: metric.Counter, Unit: "conflicts",
		Help: "Concurrent events that disagreed, recorded in the table conflicts.",
		Read: "Outcome kept: what was stored stayed; replaced: it gave way. Policy seen: another body came under an event ID that was seen. Any of them says that two writers do not agree.",
		Labels: []metric.Label{
			metric.OneOf("policy", policyNewest, policySeen), metric.OneOf("outcome", outcomeKept, outcomeReplaced),
		},
	}
	deadLettersWritten = metric.Definition{
		Name: "firehose_dead_letters_total", Kind: metric.Counter, Unit: "records",
		Help:   "Records set aside on the group's dead-letter topics.",
		Read:   "`firehose dlq show` shows them, and why.",
		Labels: []metric.Label{metric.OneOf("class", Classes()...)},
	}
	batchEvents = metric.Definition{
		Name: "firehose_batch_events", Kind: metric.Histogram, Unit: "events",
		Help: "Events in one transaction.", Buckets: prometheus.ExponentialBuckets(1, 4, 9),
		Read: "Small batches at a high rate say that the service keeps up; full ones, that it catches up.",
	}
	applySeconds = metric.Definition{
		Name: "firehose_apply_seconds", Kind: metric.Histogram, Unit: "seconds",
		Help: "Duration of a transaction in seconds.", Buckets: prometheus.ExponentialBuckets(0.0005, 2, 16),
	}
	endToEndSeconds = metric.Definition{
		Name: "firehose_end_to_end_seconds", Kind: metric.Histogram, Unit: "seconds",
		Help: "Seconds from sending an event to the commit of its effect, of the oldest event of each partition in a batch.",
		Read: "The record's timestamp is the sender's clock.", Buckets: prometheus.ExponentialBuckets(0.001, 2, 18),
	}
	rebalances = metric.Definition{
		Name: "firehose_rebalances_total", Kind: metric.Counter, Unit: "times",
		Help: "Times that this instance gave partitions back or lost them.",
	}
	partitionsAssigned = metric.Definition{
		Name: "firehose_partitions_assigned", Kind: metric.Gauge, Unit: "partitions",
		Help: "Partitions that this instance owns.",
	}
	transactionsFenced = metric.Definition{
		Name: "firehose_fenced_total", Kind: metric.Counter, Unit: "transactions",
		Help: "Transactions that a moved position refused.",
		Read: "A few around a rebalance are its normal course: somebody else had applied the events. The transaction had no effect.",
	}
	accessDenied = metric.Definition{
		Name: "firehose_access_denied", Kind: metric.Gauge, Unit: "0 or 1",
		Help: "1 while the brokers refuse what this instance wants: a login, or a permission.",
	}
	partitionState = metric.Definition{
		Name: "firehose_partition_state", Kind: metric.Gauge, Unit: "1",
		Help:   "1 for the state that the partition is in.",
		Read:   "A paused one goes on by itself, a stopped one waits for an operator: docs/states.md has all of them.",
		Labels: []metric.Label{metric.Topic, metric.Partition, metric.OneOf("state", States()...)},
	}
	lagRecords = metric.Definition{
		Name: "firehose_lag_records", Kind: metric.Gauge, Unit: "records",
		Help:   "Records between the store's position and the last stable offset.",
		Read:   "As last fetched; of a partition that rests, as asked for every few seconds.",
		Labels: []metric.Label{metric.Topic, metric.Partition},
	}
	lagSeconds = metric.Definition{
		Name: "firehose_lag_seconds", Kind: metric.Gauge, Unit: "seconds",
		Help:   "Age in seconds since sending of the oldest record not yet applied.",
		Read:   "Of a record that was not fetched, as on a stopped partition, it is the time that the record is known to be there. The record's timestamp is the sender's clock.",
		Labels: []metric.Label{metric.Topic, metric.Partition},
	}
	exporterLag = metric.Definition{
		Name: "kafka_consumergroup_lag", Kind: metric.Gauge, Unit: "records",
		Help:   "Records between the store's position and the last stable offset, as kafka_exporter calls it.",
		Read:   "For dashboards and KEDA queries that know this name.",
		Labels: []metric.Label{{Name: "consumergroup", Values: "the service's consumer group"}, metric.Topic, metric.Partition},
	}
)

// Metrics are the definitions of what an engine exports.
func Metrics() []metric.Definition {
	own := []metric.Definition{
		eventsApplied, eventsSkipped, conflictsRecorded, deadLettersWritten, lagRecords, lagSeconds, partitionState,
		partitionsAssigned, batchEvents, applySeconds, endToEndSeconds, rebalances, transactionsFenced, accessDenied,
	}
	for i := range own {
		own[i].Labels = append([]metric.Label{metric.Group}, own[i].Labels...)
	}
	return append(own, exporterLag)
}

// Why an event had no effect.
const (
	skipStale     = "stale"
	skipDuplicate = "duplicate"
	skipReplay    = "replay"
)

// Policies and outcomes of conflicts.
const (
	policyNewest    = "newest"
	policySeen      = "seen"
	outcomeKept     = "kept"
	outcomeReplaced = "replaced"
)

type metrics struct {
	reg prometheus.Registerer // adds the label group

	appliedTotal *prometheus.CounterVec
	stale        prometheus.Counter
	duplicate    prometheus.Counter
	replayed     prometheus.Counter
	kept         prometheus.Counter // conflicts
	replaced     prometheus.Counter
	reused       prometheus.Counter
	deadLetters  *prometheus.CounterVec
	batchEvents  prometheus.Histogram
	applySeconds prometheus.Histogram
	endToEnd     prometheus.Histogram
	rebalances   prometheus.Counter
	fenced       prometheus.Counter
	denied       prometheus.Gauge

	counts counts
}

func newMetrics(reg prometheus.Registerer, group string) *metrics {
	skipped, conflicts := eventsSkipped.CounterVec(), conflictsRecorded.CounterVec()
	m := &metrics{
		reg:          prometheus.WrapRegistererWith(prometheus.Labels{"group": group}, reg),
		appliedTotal: eventsApplied.CounterVec(),
		stale:        skipped.WithLabelValues(skipStale),
		duplicate:    skipped.WithLabelValues(skipDuplicate),
		replayed:     skipped.WithLabelValues(skipReplay),
		kept:         conflicts.WithLabelValues(policyNewest, outcomeKept),
		replaced:     conflicts.WithLabelValues(policyNewest, outcomeReplaced),
		reused:       conflicts.WithLabelValues(policySeen, outcomeKept),
		deadLetters:  deadLettersWritten.CounterVec(),
		batchEvents:  batchEvents.Histogram(),
		applySeconds: applySeconds.Histogram(),
		endToEnd:     endToEndSeconds.Histogram(),
		rebalances:   rebalances.Counter(),
		fenced:       transactionsFenced.Counter(),
		denied:       accessDenied.Gauge(),
	}
	m.reg.MustRegister(m.denied, m.appliedTotal, skipped, conflicts, m.deadLetters, m.batchEvents, m.applySeconds,
		m.endToEnd, m.rebalances, m.fenced)
	return m
}

func (m *metrics) assigned(p *partition) {
	p.applied = m.appliedTotal.WithLabelValues(p.id.Topic, itoa(p.id.ID))
}

func (m *metrics) revoked(p *partition) {
	m.appliedTotal.DeleteLabelValues(p.id.Topic, itoa(p.id.ID))
}

func (m *metrics) applied(p *partition, events []*Event) {
	n := 0
	for _, ev := range events {
		if ev.failure == nil && !ev.control {
			n++
		}
	}
	m.counts.applied.Add(int64(n))
	p.applied.Add(float64(n))
	m.endToEnd.Observe(time.Since(events[0].Timestamp).Seconds())
}

func (m *metrics) setAside(class string) {
	m.counts.setAside.Add(1)
	m.deadLetters.WithLabelValues(class).Inc()
}

// batch counts a transaction. Conflicts are counted as the store recorded them,
// those that were found while merging among them: once each.
func (m *metrics) batch(b *merged, r store.Result, took time.Duration) {
	m.batchEvents.Observe(float64(b.events))
	m.applySeconds.Observe(took.Seconds())
	m.stale.Add(float64(b.stale + r.Stale))
	m.duplicate.Add(float64(b.duplicate + r.Duplicate))
	m.kept.Add(float64(r.Conflicts - r.Replaced - r.Reused))
	m.replaced.Add(float64(r.Replaced))
	m.reused.Add(float64(r.Reused))
	m.counts.stale.Add(int64(b.stale + r.Stale))
	m.counts.duplicate.Add(int64(b.duplicate + r.Duplicate))
	m.counts.conflicts.Add(int64(r.Conflicts))
	m.counts.rows.Add(int64(r.Written))
}
