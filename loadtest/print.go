package loadtest

import (
	"fmt"
	"io"
	"strings"
)

// print writes the result for people.
func (r *Result) print(w io.Writer) {
	var b strings.Builder
	e, s := &r.Events, &r.Settings
	fmt.Fprintf(&b, "%s: %s events/s through %s, %d broker(s), %d partitions, %s\n", r.Name, s.Load, s.Door, s.Brokers, s.Partitions, s.Store)
	fmt.Fprintf(&b, "  machine       %d x %s, %d MB; %s; Kafka %s; %s\n", r.Machine.Cores, r.Machine.CPU, r.Machine.MemoryMB, r.Versions.Go, r.Versions.Kafka, r.Versions.Store)
	fmt.Fprintf(&b, "  due           %10d  %8.0f/s\n", e.Due, e.DueRate)
	fmt.Fprintf(&b, "  acknowledged  %10d  %8.0f/s  %s\n", e.Acked, e.AckedRate, r.Acked.text())
	fmt.Fprintf(&b, "  applied       %10d  %8.0f/s  %s\n", e.Applied, e.AppliedRate, r.Applied.text())
	fmt.Fprintf(&b, "  lateness      of the generator itself: %s\n", r.Lateness.text())
	for _, u := range r.Usage {
		fmt.Fprintf(&b, "  %-12s  %8.1f CPU s, %.1f CPU s a million events, at most %.0f MB\n", u.Name, u.CPU, u.PerMillion, u.MaxMemory)
	}
	c := &r.Correct
	if c.Held() {
		fmt.Fprintf(&b, "  correct       all %d events of %d keys were applied once and in order; %d states in between were what the log says\n",
			c.Events, c.Keys, c.Between.States-c.Between.Different)
	}
	for _, a := range r.Search {
		fmt.Fprintf(&b, "  %s\n", attemptLine(a))
	}
	for _, m := range r.Marks {
		fmt.Fprintf(&b, "  at %.1f s       %s\n", m.At, m.What)
	}
	for _, d := range r.Dents {
		fmt.Fprintf(&b, "  dent          from %.1f s to %.1f s, least acknowledged %.0f/s, applied %.0f/s, worst %.0f ms", d.From, d.Recovered, d.Acked, d.Applied, d.WorstMs)
		if d.Mark != "" {
			fmt.Fprintf(&b, ", recovered %.1f s after: %s", d.SinceMark, d.Mark)
		}
		fmt.Fprintln(&b)
	}
	for _, n := range r.Notes {
		fmt.Fprintf(&b, "  note          %s\n", n)
	}
	for _, f := range r.Findings {
		fmt.Fprintf(&b, "  FAILED        %s\n", f)
	}
	fmt.Fprint(w, b.String())
}

func (q Quantiles) text() string {
	return fmt.Sprintf("p50 %.1f ms, p90 %.1f, p99 %.1f, p99.9 %.1f, max %.1f", q.P50, q.P90, q.P99, q.P999, q.Max)
}

func attemptLine(a Attempt) string {
	what, why := "held", ""
	if !a.Held {
		what, why = "not held", ": "+a.Why
	}
	if a.Confirmation {
		what = "confirmation: " + what
	}
	return fmt.Sprintf("%8.0f/s  %s (acknowledged p99 %.1f ms, applied p99 %.1f ms)%s", a.Rate, what, a.AckedP99, a.ApplyP99, why)
}
