package loadtest

import (
	"context"
	"fmt"
	"io"
	"slices"
	"time"

	"firehose/internal/service"
)

// series takes the run down, interval by interval.
type series struct {
	of       *run
	meter    *meter
	every    time.Duration
	progress *progress

	last     time.Duration
	before   counts
	seconds  []Second
	memory   map[string]float64 // largest, by group
	behind   bool               // sending was stopped
	busy     float64            // machine's, weighted with seconds
	measured float64            // seconds of those
}

// counts are those at one moment, from the start on.
type counts struct{ due, sent, answered, acked, applied, seen int64 }

func newSeries(r *run) *series {
	s := &series{
		of: r, meter: newMeter(r.target.cfg.Watches), every: r.plan.interval(),
		memory: map[string]float64{},
	}
	if w := r.plan.Progress; w != nil && service.IsTerminal(w) {
		s.progress = &progress{w: w, total: r.load.Length()}
	}
	return s
}

// run takes an interval down each time, until ctx ends. It stops the sending
// when the service is further behind than what can be remembered.
func (s *series) run(ctx context.Context, stopSending func()) {
	tick := time.NewTicker(s.every)
	defer tick.Stop()
	often := time.NewTicker(100 * time.Millisecond)
	defer often.Stop()
	for {
		select {
		case <-tick.C:
			s.take()
		case <-often.C:
			if _, places := s.of.observer.behind(); places > s.of.plan.MaxBehind {
				s.behind = true
				stopSending()
			}
		case <-ctx.Done():
			return
		}
	}
}

// finish takes the last interval down.
func (s *series) finish() {
	if time.Since(s.of.start)-s.last > 10*time.Millisecond {
		s.take()
	}
	if s.progress != nil {
		s.progress.end()
	}
}

func (s *series) take() {
	r := s.of
	now := time.Since(r.start)
	length := (now - s.last).Seconds()
	c := s.counts(now)
	usage, busy := s.meter.read(length)
	behind, _ := r.observer.behind()
	rate := func(after, before int64) float64 { return float64(after-before) / length }
	one := Second{
		At: now.Seconds(), Length: length, WarmUp: now.Microseconds() <= r.warm,
		Due: rate(c.due, s.before.due), Sent: rate(c.sent, s.before.sent),
		Acked: rate(c.acked, s.before.acked), Applied: rate(c.applied, s.before.applied),
		Behind: behind, Unacked: c.sent - c.answered,
		AckedMs: r.acked.next(), ApplyMs: r.applied.next(), LateMs: r.gen.lateness.next(),
		Usage: usage, Machine: busy, Observed: c.seen - s.before.seen,
	}
	for name, u := range usage {
		s.memory[name] = max(s.memory[name], u.Memory)
	}
	if !one.WarmUp && one.Due > 0 {
		s.busy += busy * length
		s.measured += length
	}
	s.seconds = append(s.seconds, one)
	s.before, s.last = c, now
	if s.progress != nil {
		s.progress.show(one)
	}
}

func (s *series) counts(now time.Duration) counts {
	r := s.of
	c := counts{due: dueBefore(r.load, now), sent: r.sent.Load(), answered: r.answered.Load()}
	c.acked = c.answered - r.rejected.Load() - r.unknown.Load()
	for _, t := range r.tails {
		t.mu.Lock()
		c.applied += t.appliedN
		t.mu.Unlock()
	}
	r.observer.mu.Lock()
	c.seen = r.observer.seen
	r.observer.mu.Unlock()
	return c
}

// dueBefore is how many events of a load are due before a time.
func dueBefore(l Load, at time.Duration) int64 {
	var n float64
	for _, s := range l {
		if at < s.For {
			rate := s.From + (s.To-s.From)*at.Seconds()/s.For.Seconds()
			return int64(n + (s.From+rate)/2*at.Seconds())
		}
		n += s.events()
		at -= s.For
	}
	return int64(n)
}

// used sums up what each group used.
func (s *series) used(applied int64) []Used {
	var out []Used
	for name, cpu := range s.meter.cpu {
		u := Used{Name: name, CPU: cpu, MaxMemory: s.memory[name]}
		if applied > 0 {
			u.PerMillion = cpu / float64(applied) * 1e6
		}
		out = append(out, u)
	}
	slices.SortFunc(out, func(a, b Used) int {
		if a.Name < b.Name {
			return -1
		}
		return 1
	})
	return out
}

// progress is a line on a terminal that is written over and over.
type progress struct {
	w     io.Writer
	total time.Duration
}

func (p *progress) show(s Second) {
	left := "draining"
	if rest := p.total.Seconds() - s.At; rest > 0 {
		left = fmt.Sprintf("%s left", time.Duration(rest*1e9).Round(time.Second))
	}
	stage := ""
	if s.WarmUp {
		stage = "warm-up, "
	}
	// Nobody reads a progress line that cannot be written.
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%s%.0f/s sent, acknowledged p99 %.1f ms, applied p99 %.1f ms, %d behind, %s",
		stage, s.Sent, s.AckedMs.P99, s.ApplyMs.P99, s.Behind, left)
}

func (p *progress) end() { _, _ = fmt.Fprint(p.w, "\r\x1b[K") }
