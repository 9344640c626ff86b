package consume

import "time"

// The breaker's thresholds. A wrong registry or a bad deployment fails every
// record; it must not empty a topic into the dead letters.
const (
	asideLimit  = 100 // set aside in a row on one partition
	schemaLimit = 5   // unknown schemas in a row on one partition
	probesEvery = 30  // while probing, one record per pause/probesEvery
)

// breaker counts what one partition sets aside in a row. Once it trips, the
// partition rests for the pause and is then tried one record at a time until
// one is applied.
type breaker struct {
	row     int // set aside in a row
	schemas int // of these, unknown schemas in a row
	open    bool
	state   State // what it tripped into, while open
}

// applied notes an event that was applied, or needed nothing.
func (b *breaker) applied() { *b = breaker{} }

// admit reports whether a failed record may be set aside now. If not, the
// breaker has just tripped, into the state that is returned.
func (b *breaker) admit(class string) (State, bool) {
	if b.open {
		return "", true // a probe
	}
	row, unknown := b.row+1, 0
	if class == ClassUnknownSchema || class == ClassIncompatible {
		unknown = b.schemas + 1
	}
	switch {
	case unknown > schemaLimit:
		b.open = true
		return PausedSchema, false
	case row > asideLimit:
		b.open = true
		return PausedBreaker, false
	}
	return "", true
}

// setAside notes a record whose dead letter is acknowledged.
func (b *breaker) setAside(class string) {
	b.row++
	if class == ClassUnknownSchema || class == ClassIncompatible {
		b.schemas++
	} else {
		b.schemas = 0
	}
}

// limit returns how many records may be taken at once.
func (b *breaker) limit(max int) int {
	if b.open {
		return 1
	}
	return max
}

// probe returns how long to wait between two probes.
func (b *breaker) probe(pause time.Duration) time.Duration { return pause / probesEvery }
