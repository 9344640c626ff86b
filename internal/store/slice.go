package store

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Slice names the slice [N*Horizon, (N+1)*Horizon) of record time, in which event
// IDs of facts are remembered together. Two records within the horizon of one
// another lie in one slice or in neighbours, so an ID is looked for in three
// tables and forgotten by dropping a whole one.
type Slice struct {
	Horizon time.Duration
	N       int64
}

// ForgetGrace is how long by the time of day a slice stays after its last use,
// however far others go through the log in that time: the clock of the horizons
// moves by the records, and a partition that is slower still needs the slice.
const ForgetGrace = 2 * time.Minute

// Sizes of what stands for an event ID, and of that with its body's hash.
const (
	SeenKeySize  = 24
	SeenPairSize = SeenKeySize + len(Hash{})
)

// SliceOf returns the slice that s lies in.
func SliceOf(s *Seen) Slice {
	t, h := s.Time.UnixMicro(), s.Horizon.Microseconds()
	n := t / h
	if t%h < 0 {
		n--
	}
	return Slice{s.Horizon, n}
}

// Table is the name of the slice's table.
func (s Slice) Table() string { return fmt.Sprintf("firehose_seen_%s_%d", s.Horizon, s.N) }

// Starts is when the slice begins.
func (s Slice) Starts() time.Time { return time.UnixMicro(s.N * s.Horizon.Microseconds()).UTC() }

// Next is the slice after s.
func (s Slice) Next() Slice { return Slice{s.Horizon, s.N + 1} }

// Neighbours are the slices in which an ID of this one may have been seen.
func (s Slice) Neighbours() []Slice { return []Slice{{s.Horizon, s.N - 1}, s, s.Next()} }

// Compare orders slices by horizon, then by time.
func (s Slice) Compare(o Slice) int {
	return cmp.Or(cmp.Compare(s.Horizon, o.Horizon), cmp.Compare(s.N, o.N))
}

// BySlice groups IDs, by their index, by the slice that they lie in. Horizons are
// checked here: slices of less than a second would be countless.
func BySlice(seen []Seen) (map[Slice][]int, error) {
	groups := map[Slice][]int{}
	for i := range seen {
		if seen[i].Horizon < time.Second {
			return nil, fmt.Errorf("%w: horizon %v of seen event IDs: want at least a second", ErrFatal, seen[i].Horizon)
		}
		id := SliceOf(&seen[i])
		groups[id] = append(groups[id], i)
	}
	return groups, nil
}

// EventKeyOf is what stands for an event ID and its source. A UUID in its usual
// spelling leads it as it is, so that those made in the order of time (UUIDv7) are
// inserted side by side, and its source follows as a hash; anything else is hashed
// with its source.
func EventKeyOf(source, id string) EventKey { return HashSource(source).Key(id) }

// HashedSource is a source of events whose hash is known.
type HashedSource struct {
	source string
	hash   [SeenKeySize - len(uuid.UUID{})]byte
}

// HashSource hashes a source, which most events share with their neighbours.
func HashSource(source string) HashedSource {
	h := HashedSource{source: source}
	sum := sha256.Sum256([]byte(source))
	copy(h.hash[:], sum[:])
	return h
}

// Is reports whether h is of a source.
func (h *HashedSource) Is(source string) bool { return h.source == source && h.source != "" }

// Key is EventKeyOf an ID of the source.
func (h HashedSource) Key(id string) (k EventKey) {
	if len(id) == 36 && !strings.ContainsAny(id, "ABCDEF") {
		if u, err := uuid.Parse(id); err == nil {
			copy(k[:], u[:])
			copy(k[len(u):], h.hash[:])
			return k
		}
	}
	whole := make([]byte, 0, 8+len(h.source)+len(id))
	whole = binary.BigEndian.AppendUint64(whole, uint64(len(h.source)))
	whole = append(append(whole, h.source...), id...)
	sum := sha256.Sum256(whole)
	copy(k[:], sum[:])
	return k
}

// SeenPairs writes key and hash of some IDs one behind the other, in the order of
// the keys: a B-tree likes them sorted.
func SeenPairs(seen []Seen, which []int) []byte {
	all := make([][SeenPairSize]byte, len(which))
	for i, at := range which {
		copy(all[i][:], seen[at].EventKey[:])
		copy(all[i][SeenKeySize:], seen[at].Hash[:])
	}
	slices.SortFunc(all, func(a, b [SeenPairSize]byte) int { return bytes.Compare(a[:SeenKeySize], b[:SeenKeySize]) })
	blob := make([]byte, 0, len(all)*SeenPairSize)
	for i := range all {
		blob = append(blob, all[i][:]...)
	}
	return blob
}

// aheadOfWall is how far the clock may be ahead of the time of day: as far as
// producers' clocks that are kept in order ever are.
const aheadOfWall = time.Hour

// AdvanceClock moves the clock of the horizons, in microseconds, to the latest
// record time, by a horizon per record at most and never beyond the time of day
// now: records from the far future must not make a store forget everything. The
// time of day is a bound only; it moves nothing. A clock that is new starts at
// the first record.
func AdvanceClock(clock int64, isNew bool, seen []Seen, now time.Time) int64 {
	limit := now.Add(aheadOfWall).UnixMicro()
	for i := range seen {
		at := min(seen[i].Time.UnixMicro(), limit)
		if isNew {
			clock, isNew = at, false
		} else if at > clock {
			clock = min(at, clock+seen[i].Horizon.Microseconds())
		}
	}
	return clock
}
