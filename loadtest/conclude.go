package loadtest

import (
	"context"
	"fmt"
	"math"
	"net/url"
	"runtime"
	"strings"
	"time"
)

func (c *checked) add(other checked) {
	c.States += other.States
	c.Different += other.Different
	c.Unchecked += other.Unchecked
	if c.First == "" {
		c.First = other.First
	}
}

func (t *Target) versionsNow(ctx context.Context) Versions {
	return Versions{Firehose: version(), Go: runtime.Version(), Kafka: t.versions.Kafka, Store: t.reader.version(ctx)}
}

// summary is the result but for what the store's rows tell.
func (r *run) summary(s *series) *Result {
	cfg := &r.target.cfg
	store, _, _ := strings.Cut(cfg.Store, ":")
	door, compression := "kafka", cfg.Kafka.Compression
	if cfg.Door != "" {
		door, compression = withoutSecrets(cfg.Door), ""
	}
	res := &Result{
		Format: format, Name: r.plan.Name, Run: r.id, Started: r.start.UTC(), Seconds: time.Since(r.start).Seconds(),
		Machine: thisMachine(),
		Settings: Settings{
			Door: door, Brokers: r.target.brokers, Domain: cfg.Domain, Partitions: len(r.tails) / streams, Store: store,
			Compress: compression, Load: r.plan.Load.String(), WarmUp: r.plan.WarmUp.Seconds(), Workers: r.plan.Workers, Traffic: r.plan.Traffic,
		},
		Acked: r.acked.all(), Applied: r.applied.all(), Lateness: r.gen.lateness.all(),
		Observation: r.observer.result(), Series: s.seconds, Marks: r.marks,
	}
	e := &res.Events
	e.Due = r.load.Total() - dueBefore(r.load, r.plan.WarmUp)
	e.Sent, e.Acked, e.Applied = r.sentMeasured.Load(), res.Acked.Count, res.Applied.Count
	e.Rejected, e.Unknown, e.Reasons = r.rejected.Load(), r.unknown.Load(), r.reasons
	length := r.plan.Load.Length().Seconds()
	e.DueRate = float64(e.Due) / length
	since := func(micros int64) float64 { return max(length, float64(micros-r.warm)/1e6) }
	e.AckedRate = float64(e.Acked) / since(r.lastAck.Load())
	var lastSeen int64
	for _, t := range r.tails {
		if n := len(t.views); n > 0 {
			lastSeen = max(lastSeen, t.views[n-1].at)
		}
	}
	e.AppliedRate = float64(e.Applied) / since(lastSeen)
	e.Drain = max(0, float64(lastSeen)/1e6-r.load.Length().Seconds())
	var applied int64
	for _, t := range r.tails {
		applied += t.appliedN
	}
	res.Usage = s.used(applied)
	if s.measured > 0 {
		res.MachineBusy = s.busy / s.measured
	}
	if s.behind {
		res.Findings = append(res.Findings, fmt.Sprintf(
			"sending was stopped: the service was %d events behind, more than the run remembers", r.plan.MaxBehind))
	}
	var late int64
	for _, t := range r.tails {
		late += t.late
	}
	if late > 0 {
		res.Notes = append(res.Notes, fmt.Sprintf("%d events were acknowledged so long after they were applied that their latency is overstated", late))
	}
	return res
}

// withoutSecrets is an address as it may stand in a result, which is passed on:
// without a login, and without a query, which may hold a token.
func withoutSecrets(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.Host == "" {
		return "http" // what it is, and nothing of what it says
	}
	return (&url.URL{Scheme: u.Scheme, Host: u.Host, Path: u.Path}).String()
}

// What makes a generator the limit: it sends that late by its own doing, and that
// is a good part of what was measured.
const (
	lateMs   = 10
	latePart = 4
)

// conclude says what the figures mean.
func (r *Result) conclude(p *Plan) {
	e := &r.Events
	r.Findings = append(r.Findings, r.Correct.findings()...)
	note := func(text string, args ...any) { r.Notes = append(r.Notes, fmt.Sprintf(text, args...)) }
	short := func(rate, of float64) bool { return rate < 0.98*of }
	lag := r.lagGrowth()
	switch {
	case r.Lateness.P99 > lateMs && r.Lateness.P99 > r.Acked.P99/latePart:
		r.Limit = "generator"
		r.Findings = append(r.Findings, fmt.Sprintf(
			"the generator was the limit: it sent 1 %% of the events more than %.0f ms late by its own doing (%d workers; the machine's processors were %.0f %% busy). The figures say nothing against the system: take a machine of its own for loadtest run, or a lower rate",
			r.Lateness.P99, r.Settings.Workers, 100*r.MachineBusy))
	case short(e.AckedRate, e.DueRate):
		r.Limit = "door"
		note("the door was the limit: %.0f events/s were due, %.0f/s were acknowledged", e.DueRate, e.AckedRate)
	case short(e.AppliedRate, e.AckedRate) || lag > 0.02*e.DueRate:
		r.Limit = "service"
		note("the service was the limit: %.0f events/s were acknowledged, %.0f/s were applied", e.AckedRate, e.AppliedRate)
	}
	if e.Rejected > 0 || e.Unknown > 0 {
		note("%d events were rejected, the outcome of %d was unknown: %v", e.Rejected, e.Unknown, e.Reasons)
	}
	if r.Correct.Between.Unchecked > 0 {
		note("%d states of the store were not compared: the log up to their position was not known without a gap", r.Correct.Between.Unchecked)
	}
	if o := r.Observation; o.Count > 0 {
		note("applied latencies are too long by less than the time between two looks at the store: half of those were below %.1f ms, 99 %% below %.1f ms, the longest was %.1f ms", o.P50, o.P99, o.Max)
	}
	if o := r.Observation; o.Failed > 0 {
		note("%d looks at the store failed, the last: %s", o.Failed, o.Error)
	}
	if r.MachineBusy > 0.9 {
		note("the machine's processors were %.0f %% busy: what runs on it slows each other down", 100*r.MachineBusy)
	}
	r.want(p.WantAcked, "acknowledged", r.Acked)
	r.want(p.WantApplied, "applied", r.Applied)
	r.Dents = r.dents()
}

func (r *Result) want(most time.Duration, what string, q Quantiles) {
	if ms := float64(most.Microseconds()) / 1000; most > 0 && (q.P99 > ms || q.Count == 0) {
		r.Findings = append(r.Findings, fmt.Sprintf("late: 99 %% of the events were %s within %.1f ms, wanted %.1f ms", what, q.P99, ms))
	}
}

// lagGrowth is by how many events a second the service fell further behind while
// events were due: the slope of a line through the intervals.
func (r *Result) lagGrowth() float64 {
	var n, st, sy, stt, sty float64
	for _, s := range r.Series {
		if s.WarmUp || s.Due == 0 {
			continue
		}
		y := float64(s.Behind)
		n, st, sy, stt, sty = n+1, st+s.At, sy+y, stt+s.At*s.At, sty+s.At*y
	}
	if d := n*stt - st*st; n >= 3 && math.Abs(d) > 1e-9 {
		return (n*sty - st*sy) / d
	}
	return 0
}

// Passed says whether nothing is wrong.
func (r *Result) Passed() bool { return len(r.Findings) == 0 }
