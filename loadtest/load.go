package loadtest

import (
	"errors"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// Stage is a part of a load: for a time the rate goes evenly from one to another.
type Stage struct {
	From float64       `json:"from"` // events a second
	To   float64       `json:"to"`
	For  time.Duration `json:"for_ns"`
}

// events is how many are due in the stage.
func (s Stage) events() float64 { return (s.From + s.To) / 2 * s.For.Seconds() }

// Load says when events are due. It is open: nothing that the system does changes
// it.
type Load []Stage

// ParseLoad reads stages such as "1000:30s,1000-5000:1m,20000:5s": a rate that
// stays, a ramp, a spike.
func ParseLoad(text string) (Load, error) {
	var l Load
	for part := range strings.SplitSeq(text, ",") {
		part = strings.TrimSpace(part)
		rates, length, ok := strings.Cut(part, ":")
		if !ok {
			return nil, fmt.Errorf("stage %q: want RATE:DURATION or RATE-RATE:DURATION", part)
		}
		var s Stage
		var err error
		if s.For, err = time.ParseDuration(length); err != nil || s.For <= 0 {
			return nil, fmt.Errorf("stage %q: want a duration such as 30s after the colon", part)
		}
		from, to, ramp := strings.Cut(rates, "-")
		if s.From, err = parseRate(from); err != nil {
			return nil, fmt.Errorf("stage %q: %w", part, err)
		}
		s.To = s.From
		if ramp {
			if s.To, err = parseRate(to); err != nil {
				return nil, fmt.Errorf("stage %q: %w", part, err)
			}
		}
		l = append(l, s)
	}
	if l.Total() == 0 {
		return nil, errors.New("load: not a single event is due")
	}
	return l, nil
}

func parseRate(text string) (float64, error) {
	r, err := strconv.ParseFloat(text, 64)
	if err != nil || !(r >= 0 && r <= 1e8) { // NaN is neither
		return 0, fmt.Errorf("rate %q: want events a second, 0 to 100,000,000", text)
	}
	return r, nil
}

// String is the form that ParseLoad reads.
func (l Load) String() string {
	parts := make([]string, len(l))
	for i, s := range l {
		parts[i] = strconv.FormatFloat(s.From, 'f', -1, 64)
		if s.To != s.From {
			parts[i] += "-" + strconv.FormatFloat(s.To, 'f', -1, 64)
		}
		parts[i] += ":" + s.For.String()
	}
	return strings.Join(parts, ",")
}

// Length is how long the load takes.
func (l Load) Length() time.Duration {
	var d time.Duration
	for _, s := range l {
		d += s.For
	}
	return d
}

// Total is how many events are due.
func (l Load) Total() int64 {
	var n float64
	for _, s := range l {
		n += s.events()
	}
	return int64(math.Round(n))
}

// Rate is the rate at a time after the start, 0 after the end.
func (l Load) Rate(at time.Duration) float64 {
	for _, s := range l {
		if at < s.For {
			return s.From + (s.To-s.From)*at.Seconds()/s.For.Seconds()
		}
		at -= s.For
	}
	return 0
}

// timetable tells when each event is due, asked in ascending order.
type timetable struct {
	load   Load
	stage  int
	before float64       // events due before the stage
	began  time.Duration // when the stage begins
}

// due returns when event n, from 0, is due after the start. n is below Total and
// not below what was asked before.
func (t *timetable) due(n int64) time.Duration {
	for t.stage < len(t.load)-1 && float64(n) >= t.before+t.load[t.stage].events() {
		t.before += t.load[t.stage].events()
		t.began += t.load[t.stage].For
		t.stage++
	}
	s := t.load[t.stage]
	m := float64(n) - t.before
	var seconds float64
	if slope := (s.To - s.From) / s.For.Seconds(); slope == 0 {
		seconds = m / s.From
	} else {
		// m = From·t + slope/2·t², solved without the loss of precision that
		// the difference of two near numbers brings.
		seconds = 2 * m / (s.From + math.Sqrt(max(0, s.From*s.From+2*slope*m)))
	}
	if m <= 0 {
		seconds = 0
	}
	return t.began + time.Duration(seconds*1e9)
}
