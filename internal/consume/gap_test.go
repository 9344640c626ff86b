package consume

import (
	"errors"
	"testing"

	"firehose/internal/offsets"
	"firehose/internal/store"
)

// No path of the engine leads there, as far as is known: a batch that would move
// its position past events that are not applied is refused all the same.
func TestGapIsRefused(t *testing.T) {
	p := &partition{id: offsets.Partition{Topic: "t"}, pos: offsets.Position{Topic: "t", Next: 3}, handler: &Handler{}}
	at := func(offset int64) *Event {
		return &Event{From: store.Source{Topic: "t", Offset: offset}, control: true}
	}
	whole := &claim{p: p, from: 3, events: []*Event{at(3), at(7), at(8)}} // 4 to 6 were compacted away
	for name, test := range map[string]struct {
		n    int // events in the first half
		half func(first, second []*claim) []*claim
		want error
	}{
		"first half":              {2, func(first, _ []*claim) []*claim { return first }, nil},
		"second half alone":       {2, func(_, second []*claim) []*claim { return second }, errGap},
		"after a first half of 0": {0, func(_, second []*claim) []*claim { return second }, nil},
	} {
		_, err := new(Engine).merge(t.Context(), test.half(split([]*claim{whole}, test.n)))
		if !errors.Is(err, test.want) {
			t.Errorf("%s: got %v, want %v", name, err, test.want)
		}
	}
	p.pos.Next = 8
	_, second := split([]*claim{whole}, 2)
	if _, err := new(Engine).merge(t.Context(), second); err != nil {
		t.Errorf("second half behind the first: %v", err)
	}
}
