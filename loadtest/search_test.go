package loadtest

import (
	"context"
	"math"
	"testing"
	"time"
)

// pipeline is one that holds a rate, and a lower one for long.
func pipeline(holds, holdsForLong float64) func(context.Context, Plan) (*Result, error) {
	return func(_ context.Context, p Plan) (*Result, error) {
		rate, limit := p.Load[0].From, holds
		if p.Load.Length() > time.Minute/2 {
			limit = holdsForLong
		}
		r := &Result{Correct: Correctness{Checked: true}}
		r.Events.AckedRate, r.Events.AppliedRate = rate, min(rate, limit)
		return r, nil
	}
}

func TestSearchFindsTheMaximum(t *testing.T) {
	tests := []struct {
		name               string
		holds, long, most  float64
		wantLeast, wantMax float64 // 0: none is found
	}{
		{"between two doublings", 7300, 7300, 0, 0.93 * 7300, 1.02 / 0.98 * 7300},
		{"below the first", 150, 150, 0, 0.9 * 150, 160},
		{"higher than what is allowed", 1e9, 1e9, 5000, 5000, 5000},
		{"less for long", 7300, 6500, 0, 0.9 * 6500, 1.03 * 6500},
		{"much less for long", 7300, 1000, 0, 0, 0},
		{"nothing", 0, 0, 0, 0, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s := Search{Most: tt.most}
			s.setDefaults()
			h := &hunt{search: s, run: pipeline(tt.holds, tt.long)}
			r, err := h.whole(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			last := r.Search[len(r.Search)-1]
			if found := tt.wantMax > 0; found != (last.Held && last.Confirmation) || found != r.Passed() {
				t.Fatalf("got %+v, findings %q, want found %v", last, r.Findings, found)
			}
			if tt.wantMax > 0 && (last.Rate < tt.wantLeast || last.Rate > tt.wantMax) {
				t.Errorf("got %.0f, want %.0f to %.0f", last.Rate, tt.wantLeast, tt.wantMax)
			}
			if len(r.Search) > 40 {
				t.Errorf("%d attempts", len(r.Search))
			}
		})
	}
}

// What holds nothing is not asked for rates at which nothing is due.
func TestSearchEndsBeforeNothingIsDue(t *testing.T) {
	s := Search{First: 50, Step: time.Second}
	s.setDefaults()
	h := &hunt{search: s, run: func(_ context.Context, p Plan) (*Result, error) {
		if due := p.Load.Total(); due < leastDue {
			t.Errorf("at %v/s only %d events are due", p.Load[0].From, due)
		}
		return &Result{Correct: Correctness{Checked: true}}, nil
	}}
	r, err := h.whole(t.Context())
	if err != nil || r.Passed() {
		t.Errorf("got %v and findings %q, want that no rate was found", err, r.Findings)
	}
}

func TestSearchStopsWhereSomethingIsWrong(t *testing.T) {
	tries := 0
	h := &hunt{run: func(_ context.Context, p Plan) (*Result, error) {
		tries++
		r := &Result{Correct: Correctness{Checked: true, Missing: int64(tries / 3)}}
		r.Events.AckedRate, r.Events.AppliedRate = p.Load[0].From, p.Load[0].From
		r.conclude(&p)
		return r, nil
	}}
	h.search.setDefaults()
	r, err := h.whole(t.Context())
	if err != nil || tries != 3 || r.Passed() || len(r.Search) != 3 {
		t.Errorf("got %d tries, %v, findings %q, want an end at the third", tries, err, r.Findings)
	}
}

func TestLagThatGrowsIsNotHeld(t *testing.T) {
	r := &Result{Correct: Correctness{Checked: true}}
	r.Events.AckedRate, r.Events.AppliedRate = 1000, 1000
	for i := range 20 {
		r.Series = append(r.Series, Second{At: float64(i), Length: 1, Due: 1000, Behind: int64(30*i + 5*(i%3))})
	}
	if growth := r.lagGrowth(); math.Abs(growth-30) > 1 {
		t.Errorf("lag grows by %.1f a second, want 30", growth)
	}
	if held, _ := r.held(1000); held {
		t.Error("1000/s are held, want them not to be: the service falls behind by 3 %")
	}
	if held, why := r.held(2000); held || why == "" {
		t.Error("2000/s are held, want them not to be")
	}
}

func TestGeneratorThatIsTheLimitSaysSo(t *testing.T) {
	r := &Result{Correct: Correctness{Checked: true}}
	r.Acked, r.Lateness = Quantiles{Count: 1, P99: 60}, Quantiles{Count: 1, P99: 40}
	r.Events.DueRate, r.Events.AckedRate, r.Events.AppliedRate = 1000, 700, 700
	r.conclude(&Plan{})
	if r.Limit != "generator" || r.Passed() {
		t.Errorf("got limit %q, findings %q, want the generator", r.Limit, r.Findings)
	}
	r.Limit, r.Findings, r.Lateness.P99 = "", nil, 1
	r.conclude(&Plan{})
	if r.Limit != "door" || !r.Passed() {
		t.Errorf("got limit %q, findings %q, want the door and no finding", r.Limit, r.Findings)
	}
}

func TestDentAndRecovery(t *testing.T) {
	r := &Result{Marks: []Mark{{At: 9.8, What: "kill"}}}
	for i := range 40 {
		s := Second{At: float64(i + 1), Length: 1, WarmUp: i < 3, Due: 1000, Acked: 1000, Applied: 1000, ApplyMs: Quantiles{Count: 1000, P99: 5, Max: 9}}
		switch {
		case i >= 10 && i < 14:
			s.Acked, s.Applied, s.ApplyMs = 0, 0, Quantiles{}
		case i == 14: // what was held up
			s.Acked, s.Applied, s.ApplyMs = 5000, 5000, Quantiles{Count: 5000, P99: 4000, Max: 4500}
		}
		r.Series = append(r.Series, s)
	}
	d := r.dents()
	want := Dent{From: 10, Recovered: 15, Seconds: 5, WorstMs: 4500, Mark: "kill", SinceMark: 5.2}
	if len(d) != 1 || math.Abs(d[0].SinceMark-want.SinceMark) > 1e-9 {
		t.Fatalf("got %+v, want %+v", d, want)
	}
	if d[0].SinceMark = want.SinceMark; d[0] != want {
		t.Errorf("got %+v, want %+v", d[0], want)
	}
}
