package loadtest

import (
	"fmt"
	"math/rand/v2"
	"strconv"
	"strings"
)

// Traffic says what is sent, whenever it is due. The zero value of a field means
// its default.
type Traffic struct {
	Keys int     `json:"keys"` // default 100,000
	Skew float64 `json:"skew"` // exponent of a Zipf distribution over the keys, above 1; 0 for none
	// Facts is the part of the events that are facts, 0 to 1; the others are
	// states of entities.
	Facts float64 `json:"facts"`
	// MinBytes and MaxBytes bound the value's padding; sizes between are equally
	// likely.
	MinBytes int    `json:"min_bytes"`
	MaxBytes int    `json:"max_bytes"`
	Seed     uint64 `json:"seed"`
}

const maxPadding = 256 << 10

func (t *Traffic) validate() error {
	switch {
	case t.Keys < 1 || t.Keys > 1<<26:
		return fmt.Errorf("keys %d: want 1 to %d", t.Keys, 1<<26)
	case t.Skew != 0 && !(t.Skew > 1 && t.Skew <= 10):
		return fmt.Errorf("skew %g: want 0 for none, else the exponent of a Zipf distribution: above 1, at most 10", t.Skew)
	case !(t.Facts >= 0 && t.Facts <= 1):
		return fmt.Errorf("facts %g: want a part of the events, 0 to 1", t.Facts)
	case t.MinBytes < 0 || t.MaxBytes < t.MinBytes || t.MaxBytes > maxPadding:
		return fmt.Errorf("bytes %d to %d: want 0 to %d, the smaller first", t.MinBytes, t.MaxBytes, maxPadding)
	}
	return nil
}

// parseSize reads "200" or "100-1000".
func parseSize(text string) (least, most int, err error) {
	from, to, isRange := strings.Cut(text, "-")
	if !isRange {
		to = from
	}
	if least, err = strconv.Atoi(from); err == nil {
		most, err = strconv.Atoi(to)
	}
	if err != nil {
		return 0, 0, fmt.Errorf("size %q: want bytes, such as 100 or 50-500", text)
	}
	return least, most, nil
}

// stream is one of the two topics.
type stream int

const (
	items stream = iota
	ticks
	streams int = iota
)

func (s stream) String() string { return [...]string{"items", "ticks"}[s] }

// chooser makes the events of one worker, which owns every nth key: nobody else
// sends events of them, so their order is the worker's.
type chooser struct {
	traffic Traffic
	first   int // key
	step    int // from one of its keys to the next
	own     int // how many
	rng     *rand.Rand
	zipf    *rand.Zipf // nil without skew
	last    [streams][]uint32
	padding string
}

func newChooser(t Traffic, worker, workers int, padding string) *chooser {
	c := &chooser{traffic: t, first: worker, step: workers, own: (t.Keys - worker + workers - 1) / workers, padding: padding}
	c.rng = rand.New(rand.NewPCG(t.Seed, uint64(worker)))
	if t.Skew > 0 && c.own > 1 {
		c.zipf = rand.NewZipf(c.rng, t.Skew, 1, uint64(c.own-1))
	}
	for s := range c.last {
		c.last[s] = make([]uint32, c.own)
	}
	return c
}

// event is what is to be sent.
type event struct {
	stream   stream
	number   uint32 // of the key
	sequence uint32 // among the key's events of that topic, from 1
	due      int64  // microseconds after the run's start
}

// next chooses the next event's topic and key.
func (c *chooser) next() event {
	s := items
	if c.traffic.Facts == 1 || c.traffic.Facts > 0 && c.rng.Float64() < c.traffic.Facts {
		s = ticks
	}
	var i int
	if c.zipf != nil {
		i = int(c.zipf.Uint64())
	} else {
		i = c.rng.IntN(c.own)
	}
	c.last[s][i]++
	return event{stream: s, number: uint32(c.first + i*c.step), sequence: c.last[s][i]}
}

// pad returns the event's padding.
func (c *chooser) pad() string {
	n := c.traffic.MinBytes
	if more := c.traffic.MaxBytes - n; more > 0 {
		n += c.rng.IntN(more + 1)
	}
	if n == 0 {
		return ""
	}
	at := c.rng.IntN(len(c.padding) - n + 1)
	return c.padding[at : at+n]
}

// newPadding returns text that padding is cut from: random letters of 64, so that
// it compresses to three quarters, as text of identifiers and numbers does.
func newPadding(seed uint64) string {
	const letters = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
	rng := rand.New(rand.NewPCG(seed, 0x70616464696e67))
	text := make([]byte, 1<<20)
	for i := range text {
		text[i] = letters[rng.IntN(len(letters))]
	}
	return string(text)
}
