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
//   - at least 98 % of what was due was acknowledged and applied at that rate,
//   - the service did not fall behind: a line through its lag rises by less than
//     2 % of the rate,
//   - the 99th percentiles are within the wanted ones,
//   - every event was applied once, in order.
type Search struct {
	First   float64       // the first rate that is tried
	Most    float64       // the highest that may be
	Step    time.Duration // each rate is held for; default 20s
	Confirm time.Duration // the rate that was found is held for; default 60s
	Within  float64       // how near to the limit; default 0.05
}

// Attempt is one rate that was tried.
type Attempt struct {
	Rate      float64 `json:"rate"`
	Held      bool    `json:"held"`
	Why       string  `json:"why,omitempty"` // it was not held
	AckedP99  float64 `json:"acknowledged_p99_ms"`
	ApplyP99  float64 `json:"applied_p99_ms"`
	LagGrowth float64 `json:"lag_growth"` // events a second
	Confirmed bool    `json:"confirmation,omitempty"`
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

// Search tries rates and returns the run that confirms the highest that is held,
// with all attempts. It doubles the rate until one is not held, then halves the
// interval.
func (t *Target) Search(ctx context.Context, plan Plan, s Search) (*Result, error) {
	s.setDefaults()
	if plan.WantApplied == 0 {
		plan.WantApplied = time.Second
	}
	var attempts []Attempt
	try := func(rate float64, length time.Duration, confirms bool) (*Result, bool, error) {
		one := plan
		one.Load = Load{{From: rate, To: rate, For: length}}
		r, err := t.Run(ctx, one)
		if err != nil {
			return nil, false, fmt.Errorf("at %.0f events/s: %w", rate, err)
		}
		held, why := r.held(rate)
		attempts = append(attempts, Attempt{
			Rate: rate, Held: held, Why: why, AckedP99: r.Acked.P99, ApplyP99: r.Applied.P99,
			LagGrowth: r.lagGrowth(), Confirmed: confirms,
		})
		if plan.Report != nil {
			plan.Report(attempts[len(attempts)-1])
		}
		if !r.Correct.Held() && r.Correct.Checked {
			held = false
		}
		return r, held, nil
	}
	low, high := 0.0, 0.0
	var last *Result
	for rate := min(s.First, s.Most); high == 0; {
		r, held, err := try(rate, s.Step, false)
		switch {
		case err != nil:
			return nil, err
		case r.Correct.Checked && !r.Correct.Held():
			r.Search = attempts
			return r, nil // what is wrong must not be sought faster
		case !held:
			high = rate
		case rate == s.Most:
			low, high = rate, rate
		default:
			low, rate = rate, min(2*rate, s.Most)
		}
	}
	for high-low > s.Within*high {
		rate := (low + high) / 2
		r, held, err := try(rate, s.Step, false)
		if err != nil {
			return nil, err
		}
		last = r
		if held {
			low = rate
		} else {
			high = rate
		}
		if high < s.First/1024 { // and not even that was held
			last.Search = attempts
			return last, nil
		}
	}
	// A rate that was held for some seconds may not be for longer.
	for rate := low; ; rate *= 0.95 {
		r, held, err := try(rate, s.Confirm, true)
		if err != nil {
			return nil, err
		}
		if held || rate < 0.7*low {
			r.Search = attempts
			if !held {
				r.Findings = append(r.Findings, fmt.Sprintf("no rate was found that is held for %s", s.Confirm))
			}
			return r, nil
		}
	}
}
