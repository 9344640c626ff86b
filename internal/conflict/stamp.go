// Package conflict decides which of two events about one entity wins. The
// policies are pure functions of the set of events: commutative, associative
// and idempotent, so that every replica converges whatever the order and
// number of deliveries.
package conflict

import (
	"cmp"
	"strings"
)

// Stamp is an event's place in the total order of an entity's events: by
// version, then the event's own time, then origin, then event ID; never by
// wall clock alone and never by arrival.
type Stamp struct {
	Version int64
	Time    int64 // ce_time, microseconds since the Unix epoch
	Origin  string
	EventID string
}

// IsZero reports whether there is no event at all.
func (s Stamp) IsZero() bool { return s == Stamp{} }

// Compare returns a negative number when a comes before b, a positive one when
// it comes after, and 0 when they are the same event.
func Compare(a, b Stamp) int {
	return cmp.Or(
		cmp.Compare(a.Version, b.Version),
		cmp.Compare(a.Time, b.Time),
		strings.Compare(a.Origin, b.Origin),
		strings.Compare(a.EventID, b.EventID),
	)
}

// Outcome says what became of an event that met another one of its entity.
type Outcome int

// The outcomes of the policy newest.
const (
	Wins      Outcome = iota // it comes after: it replaces what is stored
	Stale                    // a newer version is stored: nothing to do
	Duplicate                // the same event, or an earlier one with the same body
	Loses                    // concurrent: same version, another body, and it orders before
	WinsOver                 // concurrent: same version, another body, and it orders after
)

// Newest is the policy "latest version wins". compareBody compares the incoming
// event's state with the stored one's in an order that is the same on every
// replica: it is 0 when they are the same. It is asked only when the versions
// are equal, and orders two bodies under one stamp: no stamp should have two,
// but a producer that errs must not make replicas differ.
func Newest(stored, incoming Stamp, compareBody func() int) Outcome {
	switch {
	case stored.IsZero() || incoming.Version > stored.Version:
		return Wins
	case incoming.Version < stored.Version:
		return Stale
	}
	stamps, bodies := Compare(incoming, stored), compareBody()
	switch {
	case bodies == 0 && stamps > 0:
		// No conflict; but the later stamp stays, so that replicas that saw
		// the two in another order hold the same row.
		return Wins
	case bodies == 0:
		return Duplicate
	case stamps > 0 || stamps == 0 && bodies > 0:
		return WinsOver
	default:
		return Loses
	}
}
