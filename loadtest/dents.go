package loadtest

import (
	"cmp"
	"slices"
)

// Dent is a time in which the system did markedly less well than in the rest of
// the run. Its times are those of intervals.
type Dent struct {
	From      float64 `json:"from_s"`
	Recovered float64 `json:"recovered_s"` // the end of the last bad interval
	Seconds   float64 `json:"seconds"`
	Acked     float64 `json:"least_acknowledged"` // events a second
	Applied   float64 `json:"least_applied"`
	WorstMs   float64 `json:"worst_applied_ms"`
	Mark      string  `json:"mark,omitempty"`         // what was done before
	SinceMark float64 `json:"since_mark_s,omitempty"` // from there to the recovery
}

// An interval is bad when less than half of what was due was acknowledged or
// applied, or when the applied latency is ten times that of half of the
// intervals and noticeable.
const (
	badRate    = 0.5
	badFactor  = 10
	noticeable = 100 // ms
)

func (r *Result) dents() []Dent {
	var p99 []float64
	for _, s := range r.Series {
		if !s.WarmUp && s.ApplyMs.Count > 0 {
			p99 = append(p99, s.ApplyMs.P99)
		}
	}
	if len(p99) < 5 {
		return nil // nothing to compare with
	}
	slices.Sort(p99)
	usual := p99[len(p99)/2]
	var all []Dent
	var open *Dent
	good := 0
	for _, s := range r.Series {
		bad := s.Due > 0 && (s.Acked < badRate*s.Due || s.Applied < badRate*s.Due) ||
			s.ApplyMs.P99 > max(badFactor*usual, noticeable)
		if s.WarmUp || s.Length < 0.5 {
			continue
		}
		switch {
		case bad && open == nil:
			all = append(all, Dent{From: s.At - s.Length, Acked: s.Acked, Applied: s.Applied})
			open = &all[len(all)-1]
			fallthrough
		case bad:
			good = 0
			open.Recovered = s.At
			open.Acked, open.Applied = min(open.Acked, s.Acked), min(open.Applied, s.Applied)
			open.WorstMs = max(open.WorstMs, s.ApplyMs.Max)
		default:
			// One good interval between bad ones is no recovery.
			if good++; good > 2 {
				open = nil
			}
		}
	}
	for i := range all {
		d := &all[i]
		d.Seconds = d.Recovered - d.From
		marks := slices.Clone(r.Marks)
		slices.SortFunc(marks, func(a, b Mark) int { return cmp.Compare(b.At, a.At) })
		for _, m := range marks {
			if m.At <= d.Recovered && m.At > d.From-10 {
				d.Mark, d.SinceMark = m.What, d.Recovered-m.At
				break
			}
		}
	}
	return all
}
