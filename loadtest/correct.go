package loadtest

import (
	"context"
	"fmt"
)

// Correctness is what became of the events that are in the log.
type Correctness struct {
	Checked bool  `json:"checked"` // at the end, every key
	Keys    int   `json:"keys"`    // with events in the log
	Events  int64 `json:"events"`  // in the log: acknowledged ones, and unknown ones that were found there

	Missing    int64 `json:"missing"`    // facts in the log, not in the sums
	Repeated   int64 `json:"repeated"`   // facts in the sums more often than in the log
	Altered    int64 `json:"altered"`    // keys with the right number of facts, and not the right ones; rows with other contents
	Stale      int64 `json:"stale"`      // items without their latest state
	Unexpected int64 `json:"unexpected"` // rows of keys, or states, that are not in the log
	Lost       int64 `json:"lost"`       // acknowledged events that were looked for in the log and are not there
	Disordered int64 `json:"disordered"` // events that stand in the log before an earlier one of their key
	SetAside   int64 `json:"set_aside"`  // records that the service set aside meanwhile

	Between checked `json:"between"` // states compared while the run lasted
	Example string  `json:"example,omitempty"`
}

// Held says whether every event in the log was applied once, in the order of its
// key, and nothing else.
func (c *Correctness) Held() bool {
	return c.Checked && c.Missing+c.Repeated+c.Altered+c.Stale+c.Unexpected+c.Lost+c.Disordered+c.SetAside+c.Between.Different == 0
}

// findings says what is broken, and how many.
func (c *Correctness) findings() []string {
	var out []string
	say := func(n int64, text string) {
		if n > 0 {
			out = append(out, fmt.Sprintf(text, n))
		}
	}
	if !c.Checked {
		out = append(out, "correctness: not checked, since not everything was applied in time")
	}
	say(c.Missing, "correctness: acknowledged facts that were not applied: %d")
	say(c.Repeated, "correctness: facts that were applied once too often: %d")
	say(c.Altered, "correctness: keys that do not hold the events that were sent: %d")
	say(c.Stale, "correctness: items that lack their latest state: %d")
	say(c.Unexpected, "correctness: rows that hold what is not in the log: %d")
	say(c.Lost, "correctness: acknowledged events that are not in the log: %d")
	say(c.Disordered, "correctness: events that stand in the log before an earlier one of their key: %d")
	say(c.SetAside, "correctness: records that were set aside as dead letters: %d")
	say(c.Between.Different, "correctness: states of the store, looked at in between, that are not the fold of the log up to their position: %d")
	if len(out) > 0 && c.Between.First != "" {
		out = append(out, "  for example "+c.Between.First)
	}
	if len(out) > 0 && c.Example != "" {
		out = append(out, "  for example "+c.Example)
	}
	return out
}

// compareAll compares every row of the run with the events in the log.
func (c *Correctness) compareAll(ctx context.Context, r *reader, keys *[streams][]sums) error {
	for s := range keys {
		for i := range keys[s] {
			if n := keys[s][i].events; n > 0 {
				c.Keys++
				c.Events += int64(n)
			}
		}
	}
	var present [streams][]bool
	for s := range present {
		present[s] = make([]bool, len(keys[s]))
	}
	known := func(s stream, number int64) *sums {
		if number < 0 || number >= int64(len(keys[s])) || keys[s][number].events == 0 {
			c.Unexpected++
			c.example("%s %d: has a row and no event", s, number)
			return nil
		}
		present[s][number] = true
		return &keys[s][number]
	}
	err := r.ticks(ctx, func(number int64, got sums) {
		if want := known(ticks, number); want != nil {
			c.compareTick(number, got, *want)
		}
	})
	if err != nil {
		return err
	}
	err = r.items(ctx, func(number, sequence, checksum int64) {
		want := known(items, number)
		switch {
		case want == nil:
		case sequence < int64(want.last):
			c.Stale++
			c.example("item %d: sequence %d, want %d", number, sequence, want.last)
		case sequence > int64(want.last):
			c.Unexpected++
			c.example("item %d: sequence %d, of %d in the log", number, sequence, want.last)
		case checksum != want.checksum:
			c.Altered++
			c.example("item %d: another content at sequence %d", number, sequence)
		}
	})
	if err != nil {
		return err
	}
	for number, want := range keys[ticks] {
		if want.events > 0 && !present[ticks][number] {
			c.Missing += int64(want.events)
			c.example("tick %d: no row, want %d events", number, want.events)
		}
	}
	for number, want := range keys[items] {
		if want.events > 0 && !present[items][number] {
			c.Stale++
			c.example("item %d: no row, want sequence %d", number, want.last)
		}
	}
	c.Checked = true
	return nil
}

func (c *Correctness) compareTick(number int64, got, want sums) {
	switch {
	case got.events < want.events:
		c.Missing += int64(want.events - got.events)
		c.example("tick %d: %d events, want %d", number, got.events, want.events)
	case got.events > want.events:
		c.Repeated += int64(got.events - want.events)
		c.example("tick %d: %d events, want %d", number, got.events, want.events)
	case got.sequences != want.sequences || got.checksum != want.checksum:
		c.Altered++
		c.example("tick %d: %d events, as many as were sent, and not the same", number, got.events)
	}
}

// example keeps the first.
func (c *Correctness) example(text string, args ...any) {
	if c.Example == "" {
		c.Example = fmt.Sprintf(text, args...)
	}
}
