package loadtest

import (
	"context"
	"fmt"
	"time"
)

// Search looks for the highest rate that the whole pipeline holds. A rate is held
// when, at it,
//
//   - the generator was not the limit,
//   - at least 98 % of what was due was acknowledged, and applied, at that rate,
//   - the service did not fall behind: a line through its lag rises by less than
//     2 % of the rate,
//   - the 99th percentiles are within the wanted ones: applied within a second
//     unless the plan says otherwise,
//   - every event was applied once, in order.
//
// The zero value of a field means its default.
type Search struct {
	First   float64       // the first rate that is tried; default 1,000
	Most    float64       // the highest that is tried; default 10,000,000
	Step    time.Duration // each rate is held for; default 20s
	Confirm time.Duration // the rate that was found is held for; default 60s
	Within  float64       // how near to the limit, as a part of it; default 0.05
}

// leastDue is how many events make an attempt: fewer have no percentiles.
const leastDue = 10

// Attempt is one rate that was tried.
type Attempt struct {
	Rate         float64 `json:"rate"`
	Held         bool    `json:"held"`
	Why          string  `json:"why,omitempty"` // it was not held
	Limit        string  `json:"limit,omitempty"`
	AckedP99     float64 `json:"acknowledged_p99_ms"`
	ApplyP99     float64 `json:"applied_p99_ms"`
	LagGrowth    float64 `json:"lag_growth"` // events a second
	Confirmation bool    `json:"confirmation,omitempty"`
}

func (s *Search) setDefaults() {
	if s.First == 0 {
		s.First = 1000
	}
	if s.Most == 0 {
		s.Most = 1e7
	}
	if s.Step == 0 {
		s.Step = 20 * time.Second
	}
	if s.Confirm == 0 {
		s.Confirm = time.Minute
	}
	if s.Within == 0 {
		s.Within = 0.05
	}
}

// held says whether the rate was held, and if not, why.
func (r *Result) held(rate float64) (bool, string) {
	growth := r.lagGrowth()
	switch {
	case !r.Passed():
		return false, r.Findings[0]
	case r.Events.AckedRate < 0.98*rate:
		return false, fmt.Sprintf("only %.0f/s were acknowledged", r.Events.AckedRate)
	case r.Events.AppliedRate < 0.98*rate:
		return false, fmt.Sprintf("only %.0f/s were applied", r.Events.AppliedRate)
	case growth > 0.02*rate:
		return false, fmt.Sprintf("the service fell behind by %.0f events a second", growth)
	}
	return true, ""
}

// Search tries rates and returns the run that confirms the highest one that is
// held, with all attempts. It doubles the rate until one is not held, halves what
// lies between, and then holds the rate that it found for longer, since what a
// buffer takes for some seconds it may not take for ever.
func (t *Target) Search(ctx context.Context, plan Plan, s Search) (*Result, error) {
	s.setDefaults()
	if plan.WantApplied == 0 {
		plan.WantApplied = time.Second
	}
	h := &hunt{plan: plan, search: s, run: t.Run}
	return h.whole(ctx)
}

// hunt is a search while it lasts.
type hunt struct {
	plan     Plan
	search   Search
	run      func(context.Context, Plan) (*Result, error)
	attempts []Attempt
	last     *Result
	held     bool
}

// try holds a rate for a time. It reports false when the search is over: what is
// wrong must not be sought faster.
func (h *hunt) try(ctx context.Context, rate float64, length time.Duration, confirms bool) (bool, error) {
	plan := h.plan
	plan.Load = Load{{From: rate, To: rate, For: length}}
	r, err := h.run(ctx, plan)
	if err != nil {
		return false, fmt.Errorf("at %.0f events/s: %w", rate, err)
	}
	a := Attempt{
		Rate: rate, Limit: r.Limit, AckedP99: r.Acked.P99, ApplyP99: r.Applied.P99, LagGrowth: r.lagGrowth(), Confirmation: confirms,
	}
	a.Held, a.Why = r.held(rate)
	h.attempts = append(h.attempts, a)
	h.last, h.held = r, a.Held
	if h.plan.Report != nil {
		h.plan.Report(a)
	}
	return r.Correct.Held() || !r.Correct.Checked, nil
}

// end returns the last run, with all that was tried.
func (h *hunt) end(found bool) *Result {
	r := h.last
	r.Search = h.attempts
	if !found && r.Passed() {
		r.Findings = append(r.Findings, "no rate was found that is held")
	}
	lowest, limit := 0.0, ""
	for _, a := range h.attempts {
		if !a.Held && (lowest == 0 || a.Rate < lowest) {
			lowest, limit = a.Rate, a.Limit
		}
	}
	if limit == "generator" {
		r.Notes = append(r.Notes, fmt.Sprintf("the search ended where the generator became the limit, at %.0f/s: the system may hold more", lowest))
	}
	return r
}

func (h *hunt) whole(ctx context.Context) (*Result, error) {
	s := &h.search
	low, high := 0.0, 0.0
	for rate := min(s.First, s.Most); high == 0; {
		sound, err := h.try(ctx, rate, s.Step, false)
		switch {
		case err != nil:
			return nil, err
		case !sound:
			return h.end(false), nil
		case !h.held:
			high = rate
		case rate == s.Most:
			low, high = rate, rate
		default:
			low, rate = rate, min(2*rate, s.Most)
		}
	}
	for high-low > s.Within*high {
		rate := (low + high) / 2
		sound, err := h.try(ctx, rate, s.Step, false)
		switch {
		case err != nil:
			return nil, err
		case !sound:
			return h.end(false), nil
		case h.held:
			low = rate
		default:
			high = rate
		}
		if low == 0 && (high < s.First/1024 || high/2*s.Step.Seconds() < leastDue) {
			return h.end(false), nil // not even a thousandth of what was hoped for, or too little to tell
		}
	}
	for rate := low; ; rate *= 1 - s.Within {
		sound, err := h.try(ctx, rate, s.Confirm, true)
		if err != nil {
			return nil, err
		}
		if !sound || h.held || rate < 0.7*low {
			return h.end(h.held), nil
		}
	}
}
