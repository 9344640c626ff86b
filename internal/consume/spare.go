package consume

const (
	maxSpare = 1    // slices of events that are kept
	minSpare = 1000 // events; smaller ones are made anew
)

// spare is slices of events that are done, to be decoded into again: a backlog is
// read in chunks of one size, and events are large. The engine's mutex guards it.
type spare [][]Event

// take returns n events; what they hold is the decoder's to overwrite. Once chunks
// are small there is no backlog any more, and nothing is kept.
func (s *spare) take(n int) []Event {
	if n < minSpare {
		*s = nil
		return make([]Event, n)
	}
	for i, events := range *s {
		if cap(events) >= n {
			last := len(*s) - 1
			(*s)[i] = (*s)[last]
			(*s)[last] = nil
			*s = (*s)[:last]
			return events[:n]
		}
	}
	return make([]Event, n)
}

// put keeps events of which nobody holds any.
func (s *spare) put(events []Event) {
	if len(events) < minSpare || len(*s) >= maxSpare {
		return
	}
	clear(events) // so that what they hold goes
	*s = append(*s, events)
}
