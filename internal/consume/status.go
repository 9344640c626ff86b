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
	End      int64 // last stable offset, as last fetched or asked for
	State    State
	Why      string // what caused the state
	// Age is the time since the oldest record was sent that is not applied; 0 when
	// there is none. Of one that was not fetched it is the time that it is known to
	// be there.
	Age time.Duration
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
		out = append(out, PartitionStatus{Position: p.pos, End: p.end, State: p.state, Why: p.why, Age: p.age(now)})
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

// exporterCollector exports the lag of the partitions that the member owns at
// the moment of the scrape, as kafka_exporter does.
type exporterCollector struct {
	e    *Engine
	desc *prometheus.Desc
}

func newExporterCollector(e *Engine) exporterCollector {
	return exporterCollector{e, exporterLag.Desc(prometheus.Labels{"consumergroup": e.cfg.Group})}
}

func (c exporterCollector) Describe(ch chan<- *prometheus.Desc) { ch <- c.desc }

func (c exporterCollector) Collect(ch chan<- prometheus.Metric) {
	for _, s := range c.e.Status() {
		ch <- prometheus.MustNewConstMetric(c.desc, prometheus.GaugeValue, float64(s.Lag()),
			s.Position.Topic, itoa(s.Position.Partition))
	}
}

// partitionCollector exports what the member's partitions are doing at the
// moment of the scrape: those that are not its any more are not there.
type partitionCollector struct {
	e                              *Engine
	assigned, state, behind, delay *prometheus.Desc
}

func newPartitionCollector(e *Engine) partitionCollector {
	return partitionCollector{
		e: e, assigned: partitionsAssigned.Desc(nil), state: partitionState.Desc(nil),
		behind: lagRecords.Desc(nil), delay: lagSeconds.Desc(nil),
	}
}

func (c partitionCollector) Describe(ch chan<- *prometheus.Desc) {
	ch <- c.assigned
	ch <- c.state
	ch <- c.behind
	ch <- c.delay
}

func (c partitionCollector) Collect(ch chan<- prometheus.Metric) {
	gauge := func(desc *prometheus.Desc, value float64, labels ...string) {
		ch <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, value, labels...)
	}
	status := c.e.Status()
	gauge(c.assigned, float64(len(status)))
	for _, s := range status {
		topic, id := s.Position.Topic, itoa(s.Position.Partition)
		gauge(c.state, 1, topic, id, string(s.State))
		gauge(c.behind, float64(s.Lag()), topic, id)
		gauge(c.delay, s.Age.Seconds(), topic, id)
	}
}

func itoa(n int32) string { return strconv.Itoa(int(n)) }
