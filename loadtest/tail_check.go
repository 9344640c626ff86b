package loadtest

import "fmt"

// examine compares a state of the store with the fold of the log up to its
// position. The caller holds the mutex.
func (t *tail) examine(c check) {
	t.verdicts.States++
	different := ""
	switch {
	case t.stream == ticks && c.events != t.events:
		different = fmt.Sprintf("%d ticks applied, want %d", c.events, t.events)
	case t.stream == ticks && c.checksum != t.checksum:
		different = fmt.Sprintf("%d ticks applied, but not those that stand there", c.events)
	}
	for number, want := range t.sampled {
		if got := c.rows[number]; got != int64(want) && different == "" {
			different = fmt.Sprintf("item %d: sequence %d, want %d", number, got, want)
		}
	}
	if different == "" {
		return
	}
	t.verdicts.Different++
	if t.verdicts.First == "" {
		t.verdicts.First = fmt.Sprintf("%s/%d at position %d: %s", t.stream, t.partition, c.next, different)
	}
}

// gap returns the first offset that nothing is known of, of those below end.
func (t *tail) gap(end int64) (int64, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.folded, t.folded < end
}

// fill says what was read at an offset. Nothing is folded before finish: what is
// read may contradict what was acknowledged.
func (t *tail) fill(offset int64, p place) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if i := offset - t.base; i >= 0 && i < int64(len(t.places)) && t.places[i].due != 0 && t.places[i] != p {
		t.lost++ // its receipt says that it is here
	}
	if offset >= t.folded {
		t.put(offset, p)
	}
}

// finish folds what was read, and gives up on the states that could not be
// compared.
func (t *tail) finish() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.fold()
	t.verdicts.Unchecked += int64(len(t.checks))
	t.checks = nil
}
