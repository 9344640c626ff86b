package loadtest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"firehose/loadtest/tally"
)

const testStart = 1e15

// book is a tail of a partition whose log begins at 100.
func book(s stream, keys int) *tail {
	return &tail{
		stream: s, start: testStart, keys: make([]sums, keys), applied: newLatency(),
		sample: map[uint32]bool{0: true, 1: true}, sampled: map[uint32]uint32{}, base: 100, folded: 100, seen: 100,
	}
}

// logOf makes a log of n events over some keys, in order.
func logOf(s stream, keys, n int) []event {
	last := make([]uint32, keys)
	rng := rand.New(rand.NewPCG(1, 2))
	var log []event
	for i := range n {
		k := rng.IntN(keys)
		last[k]++
		log = append(log, event{stream: s, number: uint32(k), sequence: last[k], due: int64(1000 * i)})
	}
	return log
}

// stateOf is the state of a service that has applied a part of the log.
func stateOf(applied []event) check {
	c := check{next: 100 + int64(len(applied)), rows: map[uint32]int64{}}
	for _, e := range applied {
		c.events++
		c.checksum += tally.Checksum(int64(e.number), int64(e.sequence), testStart+e.due)
		c.rows[e.number] = int64(e.sequence)
	}
	return c
}

func TestAcknowledgementsInAnyOrder(t *testing.T) {
	for seed := range uint64(50) {
		rng := rand.New(rand.NewPCG(seed, 1))
		log := logOf(ticks, 5, 400)
		tl := book(ticks, 5)
		order := rng.Perm(len(log))
		// Nearly in the order of the log, as brokers answer.
		slices.SortStableFunc(order, func(a, b int) int { return a/20 - b/20 })
		next := 0
		now := int64(0)
		for _, i := range order {
			now += 1000
			tl.acknowledge(log[i], 100+int64(i), now)
			if rng.IntN(10) == 0 { // the store may show more than is acknowledged
				next = min(len(log), next+rng.IntN(40))
				if rng.IntN(2) == 0 {
					tl.compare(stateOf(log[:next]), now)
				} else {
					tl.observe(100+int64(next), now)
				}
			}
		}
		tl.compare(stateOf(log), now)
		tl.finish()
		v := tl.verdicts
		if v.States < 10 || v.Different != 0 || v.Unchecked != 0 || tl.disorder != 0 || tl.lost != 0 {
			t.Fatalf("seed %d: got %+v, disorder %d, lost %d", seed, v, tl.disorder, tl.lost)
		}
		if behind, places := tl.behind(); behind != 0 || places != 0 {
			t.Fatalf("seed %d: %d behind, %d places kept, want none", seed, behind, places)
		}
		if n := tl.applied.all().Count; n != int64(len(log)) {
			t.Fatalf("seed %d: %d latencies, want %d", seed, n, len(log))
		}
	}
}

func TestAppliedCountsFromTheFirstViewThatShowsIt(t *testing.T) {
	tl := book(ticks, 1)
	tl.observe(101, 5000) // shown before its acknowledgement
	tl.observe(102, 9000)
	tl.acknowledge(event{stream: ticks, sequence: 1, due: 1000}, 100, 20_000)
	if q := tl.applied.all(); q.Count != 1 || q.Max < 3.99 || q.Max > 4.01 {
		t.Errorf("got %+v, want one latency of 4 ms", q)
	}
}

func TestWrongStatesAreNoticed(t *testing.T) {
	tests := []struct {
		name   string
		stream stream
		break_ func(log []event, c *check)
		want   string
	}{
		{"an event short", ticks, func(_ []event, c *check) { c.events-- }, "ticks applied, want"},
		{"an event twice", ticks, func(_ []event, c *check) { c.events++ }, "ticks applied, want"},
		{"the event behind in the place of one", ticks, func(log []event, c *check) {
			c.checksum += tally.Checksum(int64(log[60].number), int64(log[60].sequence), testStart+log[60].due) -
				tally.Checksum(int64(log[7].number), int64(log[7].sequence), testStart+log[7].due)
		}, "not those that stand there"},
		{"a state too early", items, func(_ []event, c *check) { c.rows[1]++ }, "item 1"},
		{"a state too late", items, func(_ []event, c *check) { c.rows[0]-- }, "item 0"},
		{"no row", items, func(_ []event, c *check) { delete(c.rows, 1) }, "item 1: sequence 0"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			log := logOf(tt.stream, 3, 100)
			tl := book(tt.stream, 3)
			c := stateOf(log[:50])
			tt.break_(log, &c)
			tl.compare(c, 1) // before anything is acknowledged
			for i, e := range log {
				tl.acknowledge(e, 100+int64(i), 2)
			}
			tl.compare(stateOf(log), 3)
			tl.finish()
			if v := tl.verdicts; v.States != 2 || v.Different != 1 || !strings.Contains(v.First, tt.want) {
				t.Errorf("got %+v, want one of two different: %s", v, tt.want)
			}
		})
	}
}

func TestDisorderInTheLogIsNoticed(t *testing.T) {
	tl := book(ticks, 1)
	for i, sequence := range []uint32{1, 3, 2, 4} {
		tl.acknowledge(event{stream: ticks, sequence: sequence}, 100+int64(i), 1)
	}
	tl.observe(104, 2)
	if tl.disorder != 1 {
		t.Errorf("got %d events before an earlier one, want 1", tl.disorder)
	}
}

func TestGapIsFilledFromTheLog(t *testing.T) {
	log := logOf(ticks, 3, 30)
	tl := book(ticks, 3)
	for i, e := range log {
		if i != 10 && i != 20 { // 10: outcome unknown; 20: an acknowledgement that lies
			tl.acknowledge(e, 100+int64(i), 1)
		}
	}
	tl.acknowledge(log[20], 120, 1)
	tl.compare(stateOf(log), 2)
	if from, gap := tl.gap(130); !gap || from != 110 {
		t.Fatalf("got gap at %d, %v, want one at 110", from, gap)
	}
	for i := 10; i < len(log); i++ {
		e := log[i]
		tl.fill(100+int64(i), place{due: e.due + 1, number: e.number, sequence: e.sequence})
	}
	tl.finish()
	if v := tl.verdicts; v.States != 1 || v.Different != 0 || tl.lost != 0 {
		t.Errorf("got %+v, lost %d, want one state, as it should be", v, tl.lost)
	}

	lost := book(ticks, 3)
	lost.acknowledge(log[0], 100, 1)
	lost.acknowledge(log[2], 102, 1)
	lost.observe(103, 2)
	lost.fill(101, notOurs)
	lost.fill(102, notOurs)
	lost.finish()
	if _, gap := lost.gap(103); gap || lost.lost != 1 || lost.events != 1 {
		t.Errorf("got gap %v, %d lost, %d events, want no gap, 1 and 1", gap, lost.lost, lost.events)
	}
}
