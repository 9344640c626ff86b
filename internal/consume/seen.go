package consume

import (
	"crypto/sha256"
	"slices"
	"time"

	"firehose/internal/conflict"
	"firehose/internal/store"
)

// seen is which event IDs of facts a batch may not count again. As in a store, an
// ID is the same one in its slice of record time and in the neighbours: what a
// rebuild brings in one batch has to count as often as it did when it came bit by
// bit, over many horizons.
type seen struct {
	brought map[store.EventKey]broughtID // by the batch itself
	apart   map[placedID]storedID        // what the store knows, where store.Known does not say it
}

// broughtID is an event ID that the batch brings.
type broughtID struct {
	slice store.Slice
	hash  store.Hash
	also  *broughtID // the same, where slices are too far apart to be one
}

type placedID struct {
	key   store.EventKey
	slice store.Slice
}

type storedID struct {
	hash store.Hash
	ok   bool
}

// waryFor is how many batches ask for event IDs once one of them has come again.
const waryFor = 64

// lookups lists what the claims' events depend on; wary also asks which of the
// event IDs are known. Else they are taken to be new, as nearly all are: the
// transaction finds out, and who has been wrong becomes wary.
//
// It is one question, but for event IDs that come in several slices: an answer
// goes by the ID alone, so that it is about one slice only.
func lookups(claims []*claim, wary bool) []*store.Lookup {
	l := &store.Lookup{}
	asked := map[store.EntityKey]bool{}
	var slice store.Slice
	several := false
	for _, c := range claims {
		for _, ev := range c.events {
			switch {
			case ev.control || ev.failure != nil:
			case c.p.handler.NeedBefore:
				k := store.EntityKey{Topic: ev.From.Topic, Key: ev.Key}
				if !asked[k] {
					asked[k] = true
					l.Images = append(l.Images, k)
				}
			case wary && adds(ev):
				in := sliceOf(ev.seen)
				several = several || len(l.Seen) > 0 && in != slice
				slice = in
				l.Seen = append(l.Seen, *ev.seen)
			}
		}
	}
	if len(l.Seen)+len(l.Images) == 0 {
		return nil
	}
	all := []*store.Lookup{l}
	for several {
		var others []store.Seen
		if l.Seen, others = oneSliceEach(l.Seen); len(others) == 0 {
			break
		}
		l = &store.Lookup{Seen: others}
		all = append(all, l)
	}
	return all
}

// oneSliceEach divides what is asked for into what names each ID in one slice,
// and the rest.
func oneSliceEach(seen []store.Seen) (one, others []store.Seen) {
	first := make(map[store.EventKey]store.Slice, len(seen))
	for i := range seen {
		s := &seen[i]
		in := sliceOf(s)
		if at, ok := first[s.EventKey]; ok && at != in {
			others = append(others, *s)
			continue
		}
		first[s.EventKey] = in
		one = append(one, *s)
	}
	return one, others
}

// know takes over the answer to a further question.
func (s *seen) know(asked []store.Seen, known map[store.EventKey]store.Hash) {
	if s.apart == nil {
		s.apart = map[placedID]storedID{}
	}
	for i := range asked {
		hash, ok := known[asked[i].EventKey]
		s.apart[placedID{asked[i].EventKey, sliceOf(&asked[i])}] = storedID{hash, ok}
	}
}

// meet returns the hash under which the batch itself brings an ID already, or notes
// that it brings it now. Of two that are both neighbours the later one is told, as
// stores do.
func (s *seen) meet(id *store.Seen, in store.Slice) (store.Hash, bool) {
	first, again := s.brought[id.EventKey]
	if again {
		var found *broughtID
		for b := &first; b != nil; b = b.also {
			if b.slice.Horizon == in.Horizon && b.slice.N >= in.N-1 && b.slice.N <= in.N+1 &&
				(found == nil || b.slice.N > found.slice.N) {
				found = b
			}
		}
		if found != nil {
			return found.hash, true
		}
	}
	b := broughtID{slice: in, hash: id.Hash}
	if again {
		also := first
		b.also = &also
	}
	s.brought[id.EventKey] = b
	return store.Hash{}, false
}

// first reports whether a fact's ID is new. Another body under a known ID is a
// conflict that the first one wins.
func (m *merger) first(ev *Event) bool {
	s := ev.seen
	in := sliceOf(s)
	hash, ok := m.known.Seen[s.EventKey]
	if len(m.seen.apart) > 0 {
		if stored, asked := m.seen.apart[placedID{s.EventKey, in}]; asked {
			hash, ok = stored.hash, stored.ok
		}
	}
	if ok {
		m.again++
	} else {
		hash, ok = m.seen.meet(s, in)
	}
	if !ok {
		m.batch.Seen = append(m.batch.Seen, *s)
		return true
	}
	if hash == s.Hash {
		m.duplicate++
		return false
	}
	m.lose(ev, policySeen, outcomeKept, ev.Stamp(), conflict.Stamp{EventID: ev.ID}, ev.image())
	return false
}

// sliceOf is store.SliceOf also of a horizon that no store takes, which it says
// when it is asked.
func sliceOf(s *store.Seen) store.Slice {
	if s.Horizon < time.Microsecond {
		return store.Slice{Horizon: s.Horizon}
	}
	return store.SliceOf(s)
}

// adds reports whether applying a fact twice would show: only a counter does not
// know what it has counted.
func adds(ev *Event) bool {
	return slices.ContainsFunc(ev.ops, func(o op) bool { return o.kind == opAdd })
}

// seenRoom is how many are allocated together.
const seenRoom = 64

func (d *decoder) seenOf(h *Handler, ev *Event) *store.Seen {
	if !d.source.Is(ev.Source) {
		d.source = store.HashSource(ev.Source)
	}
	sum := sha256.Sum256(ev.Body)
	if len(d.room) == 0 {
		d.room = make([]store.Seen, seenRoom)
	}
	s := &d.room[0]
	d.room = d.room[1:]
	*s = store.Seen{
		EventKey: d.source.Key(ev.ID),
		Time:     ev.Timestamp,
		Horizon:  h.Topic.Dedup,
	}
	copy(s.Hash[:], sum[:])
	return s
}
