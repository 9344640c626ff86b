package loadtest

import (
	"slices"
	"sort"
	"sync"

	"firehose/loadtest/tally"
)

// place is one event in the log. The zero value is a place that nothing is known
// of.
type place struct {
	due      int64 // microseconds after the run's start, plus one
	number   uint32
	sequence uint32
}

// notOurs is what stands at an offset that holds nothing of the run's.
var notOurs = place{due: -1}

// tail is the end of a partition's log, as far as it has not been seen applied or
// is not known without a gap:
//
//	seen        next of the last observation: every event below is applied
//	folded      every event below is in the sums of its key and of the partition;
//	            at most seen
//
// Acknowledgements come in almost in the order of the log, observations of the
// store at any time, also before the acknowledgement of what they show.
type tail struct {
	stream    stream
	partition int32
	start     int64 // microseconds since 1970 of the run's start
	keys      []sums
	applied   *latency
	warm      int64           // events due before, in microseconds after the start, are warm-up
	sample    map[uint32]bool // items whose rows every state is compared in

	mu     sync.Mutex
	base   int64 // offset of places[0]
	places []place
	folded int64
	seen   int64
	acked  int64 // events

	events   int64 // the sums over what is folded
	checksum int64

	sampled map[uint32]uint32 // last sequence folded of the sampled items of this partition

	views    []view // observations that moved seen, oldest first
	checks   []check
	disorder int64 // events that stand before an earlier one of their key
	lost     int64 // acknowledged, and not where the receipt says
	late     int64 // applied before any view that is kept
	appliedN int64 // events whose applied latency is counted
	verdicts checked
}

// sums is what is known of one key's events in the log.
type sums struct {
	last      uint32 // sequence of the last folded
	events    uint32
	sequences int64
	checksum  int64 // of all facts; of the last state of an entity
}

// view is an observation of the store: at that time every event below next was
// applied.
type view struct{ at, next int64 }

// maxViews is how many of them are kept for acknowledgements that are late.
const maxViews = 1 << 14

// check is the state of the store at one position, to be compared with the fold
// of the log up to there.
type check struct {
	next             int64
	events, checksum int64            // of ticks
	rows             map[uint32]int64 // of items: sequence by key, of those looked at
}

// checked counts comparisons of states in between.
type checked struct {
	States    int64  `json:"states"`    // compared with the fold of the log up to their position
	Different int64  `json:"different"` // of those
	Unchecked int64  `json:"unchecked"` // not compared: the log up to there is not known without a gap
	First     string `json:"first,omitempty"`
}

// acknowledge says that e is in the log at offset.
func (t *tail) acknowledge(e event, offset, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.acked++
	t.put(offset, place{due: e.due + 1, number: e.number, sequence: e.sequence})
	if offset < t.seen {
		t.count(e.due, t.viewOf(offset))
	}
	t.fold()
}

func (t *tail) put(offset int64, p place) {
	i := int(offset - t.base)
	if i < 0 {
		return // of before the run: cannot be ours
	}
	if i >= len(t.places) {
		t.places = slices.Grow(t.places, i+1-len(t.places))[:i+1]
	}
	t.places[i] = p
}

// viewOf returns the time of the first view that shows the offset applied.
func (t *tail) viewOf(offset int64) int64 {
	i := sort.Search(len(t.views), func(i int) bool { return t.views[i].next > offset })
	if i == 0 && len(t.views) == maxViews {
		t.late++ // seen before what is kept: the latency is overstated
	}
	return t.views[i].at
}

func (t *tail) count(due, at int64) {
	t.appliedN++
	t.applied.record(at-due, due >= t.warm)
}

// observe takes an observation of the position, made at now.
func (t *tail) observe(next, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance(next, now)
	t.fold()
}

// compare takes an observation of position and rows in one snapshot.
func (t *tail) compare(c check, now int64) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.advance(c.next, now)
	t.checks = append(t.checks, c)
	t.fold()
}

func (t *tail) advance(next, now int64) {
	if next <= t.seen {
		return
	}
	for offset := max(t.seen, t.base); offset < min(next, t.base+int64(len(t.places))); offset++ {
		if p := t.places[offset-t.base]; p.due != 0 {
			t.count(p.due-1, now)
		}
	}
	t.seen = next
	if len(t.views) == maxViews {
		t.views = slices.Delete(t.views, 0, maxViews/2)
	}
	t.views = append(t.views, view{now, next})
}

// fold adds what is known without a gap and was seen applied to the sums, compares
// the states that lie on the way, and forgets. It goes no further than what was
// seen, since a state is compared at its own position, and none comes back.
func (t *tail) fold() {
	for {
		for len(t.checks) > 0 && t.checks[0].next <= t.folded {
			if t.checks[0].next == t.folded {
				t.examine(t.checks[0])
			} else {
				t.verdicts.Unchecked++ // an observation that came after a later one
			}
			t.checks = t.checks[1:]
		}
		i := t.folded - t.base
		if t.folded >= t.seen || i >= int64(len(t.places)) || t.places[i].due == 0 {
			break
		}
		if t.places[i] != notOurs {
			t.add(t.places[i])
		}
		t.folded++
	}
	t.trim()
}

func (t *tail) add(p place) {
	k := &t.keys[p.number]
	if p.sequence <= k.last {
		t.disorder++
	}
	sum := tally.Checksum(int64(p.number), int64(p.sequence), t.start+p.due-1)
	k.events++
	k.sequences += int64(p.sequence)
	if t.stream == ticks {
		k.checksum += sum
	} else if p.sequence > k.last {
		k.checksum = sum
	}
	k.last = max(k.last, p.sequence)
	t.events++
	t.checksum += sum
	if t.stream == items && t.sample[p.number] {
		t.sampled[p.number] = k.last
	}
}

// trim forgets places that are folded.
func (t *tail) trim() {
	n := int(t.folded - t.base)
	if n > 4096 && n > len(t.places)/2 || n > 0 && n == len(t.places) {
		t.places = slices.Delete(t.places, 0, n)
		t.base += int64(n)
	}
}

// behind returns how many events are acknowledged and not yet seen applied, and
// how much is remembered.
func (t *tail) behind() (events int64, places int) {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.acked - t.appliedN, len(t.places)
}
