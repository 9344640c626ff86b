package consume

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/offsets"
)

// PartitionStatus says what a partition that this member owns is doing.
type PartitionStatus struct {
	Position offsets.Position
	End      int64 // last stable offset, as last fetched
	State    State
	Why      string        // what caused the state
	Age      time.Duration // since sending of the oldest record fetched but not yet applied; 0 when there is none
}

// Lag returns the records between the position and the last stable offset.
func (s PartitionStatus) Lag() int64 { return max(0, s.End-s.Position.Next) }

// Status returns what this member's partitions are doing, by topic and
// partition.
func (e *Engine) Status() []PartitionStatus {
	e.mu.Lock()
	defer e.mu.Unlock()
	now := time.Now()
	out := make([]PartitionStatus, 0, len(e.parts))
	for _, p := range e.parts {
		s := PartitionStatus{Position: p.pos, End: p.end, State: p.state, Why: p.why}
		if len(p.queue) > 0 {
			s.Age = max(0, now.Sub(p.queue[0].records[0].Timestamp))
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b PartitionStatus) int {
		return offsets.Compare(a.Position.Of(), b.Position.Of())
	})
	return out
}

// ErrNotReady is why a member should get no work.
var ErrNotReady = errors.New("not ready")

// Ready returns nil when this member has joined its group and no partition of
// it is paused or stopped; otherwise the error names each and why.
func (e *Engine) Ready() error {
	e.mu.Lock()
	joined, denied := e.joined, e.denied
	e.mu.Unlock()
	if !joined {
		return fmt.Errorf("%w: group %s: not joined", ErrNotReady, e.cfg.Group)
	}
	var reasons []string
	if denied != "" {
		reasons = append(reasons, denied)
	}
	for _, s := range e.Status() {
		if s.State != Active {
			reasons = append(reasons, fmt.Sprintf("%s %s", s.Position.Of(), s.State))
		}
	}
	if len(reasons) > 0 {
		return fmt.Errorf("%w: group %s: %s", ErrNotReady, e.cfg.Group, strings.Join(reasons, ", "))
	}
	return nil
}

var (
	lagRecords = prometheus.NewDesc("firehose_lag_records",
		"Records between the position and the last stable offset.", []string{"topic", "partition"}, nil)
	lagSeconds = prometheus.NewDesc("firehose_lag_seconds",
		"Age since sending of the oldest record not yet applied, in seconds.", []string{"topic", "partition"}, nil)
)

// exporterLag is the lag under the name and labels of kafka_exporter, which
// existing dashboards and KEDA queries know.
func exporterLag(group string) *prometheus.Desc {
	return prometheus.NewDesc("kafka_consumergroup_lag",
		"Records between the position and the last stable offset, as kafka_exporter calls it.",
		[]string{"topic", "partition"}, prometheus.Labels{"consumergroup": group})
}

// exporterCollector exports the lag of the partitions that the member owns at
// the moment of the scrape, as kafka_exporter does.
type exporterCollector struct {
	e    *Engine
	desc *prometheus.Desc
}

func (c exporterCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c exporterCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.e.Status() {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(s.Lag()),
			s.Position.Topic, itoa(s.Position.Partition))
	}
}

// lagCollector exports the same under our own names; it carries the label group
// like every other metric of the engine.
type lagCollector struct{ e *Engine }

func (l lagCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- lagRecords
	ch <- lagSeconds
}

func (l lagCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range l.e.Status() {
		labels := []string{s.Position.Topic, itoa(s.Position.Partition)}
		ch <- prometheus.MustNewConstMetric(lagRecords, prometheus.GaugeValue, float64(s.Lag()), labels...)
		ch <- prometheus.MustNewConstMetric(lagSeconds, prometheus.GaugeValue, s.Age.Seconds(), labels...)
	}
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
