package model

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"

	"firehose/loadtest"
)

// terms are what an event's cost is made of, each in seconds.
const (
	perEvent  = iota // whatever it holds
	perKB            // of its padding
	perRow           // that a transaction writes; events of one key in a batch share it
	perFact          // the event ID that is kept of it
	termCount int    = iota
)

var termNames = [termCount]string{"an event", "a KB of it", "a row written", "a fact's ID kept"}

// cost is in seconds of each term.
type cost [termCount]float64

func (c *cost) of(x [termCount]float64) float64 {
	sum := 0.0
	for i := range c {
		sum += c[i] * x[i]
	}
	return sum
}

// Work is what the terms follow from.
type Work struct {
	Keys, Batch  int     // Batch: events in a transaction of a service that has more to do than it can
	Senders      int     // each sends events of keys of its own
	Skew, Facts  float64 // as in loadtest.Traffic
	PaddingBytes float64
}

// terms of an event, on average.
func (w *Work) terms() [termCount]float64 {
	rows := 0.0
	for _, part := range []float64{w.Facts, 1 - w.Facts} {
		if n := part * float64(w.Batch); n > 0 {
			own := float64(max(w.Senders, 1))
			rows += own * distinct(n/own, max(1, w.Keys/max(w.Senders, 1)), w.Skew) / float64(w.Batch)
		}
	}
	return [termCount]float64{perEvent: 1, perKB: w.PaddingBytes / 1000, perRow: rows, perFact: w.Facts}
}

// distinct is how many keys n events have, on average.
func distinct(n float64, keys int, skew float64) float64 {
	if skew == 0 {
		k := float64(keys)
		return k * -math.Expm1(n*math.Log1p(-1/k))
	}
	whole, some := 0.0, 0.0
	for i := range keys {
		whole += math.Pow(float64(i+1), -skew)
	}
	for i := range keys {
		some -= math.Expm1(n * math.Log1p(-math.Pow(float64(i+1), -skew)/whole))
	}
	return some
}

// sample is one run of a system that had more to do than it could.
type sample struct {
	name      string
	store     string
	instances int
	terms     [termCount]float64
	rate      float64            // events applied a second
	cpu       map[string]float64 // seconds an event, by group of processes
	backlog   float64            // events to apply when nothing was sent any more
	drain     float64            // seconds until it was applied
}

// read takes from a run the time after its load, in which nothing is sent and the
// service applies what is left.
func read(r *loadtest.Result, batch int) (*sample, error) {
	s := &sample{name: r.Name, store: r.Settings.Store, instances: r.Settings.Instances, cpu: map[string]float64{}}
	t := r.Settings.Traffic
	w := Work{Keys: t.Keys, Batch: batch, Senders: r.Settings.Workers, Skew: t.Skew, Facts: t.Facts, PaddingBytes: float64(t.MinBytes+t.MaxBytes) / 2}
	s.terms = w.terms()
	events, seconds := 0.0, 0.0
	for i, one := range r.Series {
		quiet := max(one.Due, one.Sent, one.Acked) < 0.01*one.Applied
		if i == 0 || !quiet || disturbed(r, one) {
			continue
		}
		if s.backlog == 0 {
			s.backlog = float64(r.Series[i-1].Behind)
		}
		events += one.Applied * one.Length
		seconds += one.Length
		for name, u := range one.Usage {
			s.cpu[name] += u.Cores * one.Length
		}
	}
	if !r.Correct.Held() {
		return nil, fmt.Errorf("%s: not every event was applied once and in order", r.Name)
	}
	if seconds < 1 {
		return nil, fmt.Errorf("%s: the service had %.1f s of work left after the load, want at least 1: give it more than it can apply", r.Name, seconds)
	}
	s.rate = events / seconds
	s.drain = seconds
	for name := range s.cpu {
		s.cpu[name] /= events
	}
	return s, nil
}

// disturbed says whether something was done to the system in that interval.
func disturbed(r *loadtest.Result, one loadtest.Second) bool {
	for _, m := range r.Marks {
		if m.At > one.At-one.Length && m.At <= one.At {
			return true
		}
	}
	return false
}

// kind is of what one set of costs holds.
type kind struct {
	store     string
	instances int
}

// fitted is the model: costs of each kind, of the time itself and of the processors
// of each group of processes.
type fitted struct {
	seconds map[kind]*cost
	cpu     map[kind]map[string]*cost
}

func fit(samples []*sample) (*fitted, error) {
	by := map[kind][]*sample{}
	for _, s := range samples {
		k := kind{s.store, s.instances}
		by[k] = append(by[k], s)
	}
	f := &fitted{map[kind]*cost{}, map[kind]map[string]*cost{}}
	for k, all := range by {
		if len(all) <= termCount {
			return nil, fmt.Errorf("%d instances on %s: %d runs to fit, want more than the %d terms", k.instances, k.store, len(all), termCount)
		}
		f.seconds[k] = nonNegative(all, func(s *sample) float64 { return 1 / s.rate })
		f.cpu[k] = map[string]*cost{}
		for _, name := range slices.Sorted(maps.Keys(all[0].cpu)) {
			f.cpu[k][name] = nonNegative(all, func(s *sample) float64 { return s.cpu[name] })
		}
	}
	if len(by) == 0 {
		return nil, errors.New("no runs to fit")
	}
	return f, nil
}

// nonNegative finds the costs, none below 0, whose relative errors have the least
// squares, by minimising over one of them after the other.
func nonNegative(samples []*sample, want func(*sample) float64) *cost {
	var c cost
	for range 20_000 {
		moved := 0.0
		for j := range c {
			num, den := 0.0, 0.0
			for _, s := range samples {
				y := want(s)
				if y <= 0 {
					continue // a group that did nothing there
				}
				x := s.terms[j] / y
				num += x * (1 - (c.of(s.terms)-c[j]*s.terms[j])/y)
				den += x * x
			}
			if den == 0 {
				continue
			}
			next := max(0, num/den)
			moved = max(moved, math.Abs(next-c[j]))
			c[j] = next
		}
		if moved < 1e-15 {
			break
		}
	}
	return &c
}
