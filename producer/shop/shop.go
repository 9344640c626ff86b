// Package shop is an endless synthetic shop: customers come and move house,
// products are listed, repriced and withdrawn, orders are placed, paid, shipped,
// cancelled and sent back, stock comes in and goes out.
//
//	s, err := shop.New(shop.Config{Seed: 42})
//	for {
//		for _, event := range s.Step() {
//			...
//		}
//	}
//
// Everything follows from the configuration: two shops of one configuration
// yield the same events with the same IDs, whatever machine they run on, so that
// sending a part of them again is a repetition and nothing else. That is why the
// shop has a clock of its own: an event's time is drawn like the rest of it.
//
// Demand is skewed as in real shops. Products have ranks, and the product of
// rank n sells 1/n as often as the first one (Zipf): of 1,000 products the first
// ten make two fifths of the sales and half of them are hardly ever sold.
//
// The books balance in the end. An order is paid once, in full, or cancelled
// before, which makes its total 0; what comes back after it was shipped is
// refunded in full, its total becomes 0, and its units return to stock. Stock is
// never negative.
//
// Memory is bounded by Config: past MaxOpen open orders none is placed, past
// MaxCustomers customers none comes. Everything about the shop is named after
// its seed, so that shops of different seeds can share topics.
package shop

import (
	"bytes"
	"cmp"
	"encoding/gob"
	"errors"
	"fmt"
	"math/rand/v2"
	"sort"
	"strconv"
	"time"

	"firehose/internal/event"
	"firehose/internal/publish"
)

// Source is the ce_source of the events.
const Source = "/producer/shop"

// Config is what a shop follows from. Shops of one seed share their names, so
// the other fields must not change while the events of a seed are kept.
type Config struct {
	Seed         uint64    `json:"seed"`
	Products     int       `json:"products,omitempty"`      // how many there are in the end; default 1,000, at most 1,000,000
	MaxCustomers int       `json:"max_customers,omitempty"` // how many there are in the end; default 5,000, at most 1,000,000
	MaxOpen      int       `json:"max_open,omitempty"`      // orders that are not settled yet; default 500, at most 100,000
	Start        time.Time `json:"start,omitzero"`          // of the shop's clock; default 1998-07-01 UTC, the day after the CDNOW data set ends
}

// withDefaults returns the configuration with what was left out.
func (c Config) withDefaults() Config {
	c.Products = cmp.Or(c.Products, 1000)
	c.MaxCustomers = cmp.Or(c.MaxCustomers, 5000)
	c.MaxOpen = cmp.Or(c.MaxOpen, 500)
	if c.Start.IsZero() {
		c.Start = time.Date(1998, 7, 1, 0, 0, 0, 0, time.UTC)
	}
	c.Start = c.Start.UTC().Truncate(time.Microsecond)
	return c
}

// Validate reports the field that is out of bounds.
func (c Config) Validate() error {
	c = c.withDefaults()
	for _, f := range []struct {
		name       string
		value, max int
	}{
		{"products", c.Products, 1_000_000}, {"max customers", c.MaxCustomers, 1_000_000}, {"max open orders", c.MaxOpen, 100_000},
	} {
		if f.value < 1 || f.value > f.max {
			return fmt.Errorf("%s %d: want 1 to %d", f.name, f.value, f.max)
		}
	}
	if y := c.Start.Year(); y < 1 || y > 9000 {
		return fmt.Errorf("start %d: want a year from 1 to 9000", y)
	}
	return nil
}

// Equal reports whether two configurations make the same shop.
func (c Config) Equal(other Config) bool {
	a, b := c.withDefaults(), other.withDefaults()
	if !a.Start.Equal(b.Start) {
		return false
	}
	a.Start, b.Start = time.Time{}, time.Time{}
	return a == b
}

// Shop is the state of a shop. It is not safe for concurrent use.
type Shop struct {
	st     state
	pcg    *rand.PCG
	rng    *rand.Rand
	demand []uint64 // cumulative weights of the products by rank
	space  string   // namespace of event IDs
	name   string   // begins the name of everything
	out    []*publish.Event
}

// state is what a snapshot holds.
type state struct {
	Config    Config
	Sequence  int64 // of the next event
	Clock     int64 // microseconds since 1970
	RNG       []byte
	Products  []product // by rank
	Customers []customer
	Placed    int64 // orders so far
	Open      []order
}

type product struct {
	Version      int64 // 0 while it is not listed
	Price        int64
	OnHand       int64
	Stars, Votes int64
	Inactive     bool
	ListedAt     int64
}

type customer struct {
	Version      int64
	Country      int
	Email        bool
	Newsletter   bool
	RegisteredAt int64
}

type order struct {
	Number   int64
	Customer int
	Version  int64
	Status   status
	Lines    []line
	Channel  int
	Method   int
	Note     int
	PlacedAt int64
	Cause    int64 // sequence of its last event
}

type line struct {
	Rank     int
	Quantity int32
	Price    int64
}

type status uint8

const (
	placed status = iota
	paid
	shipped
)

// New opens a shop.
func New(cfg Config) (*Shop, error) {
	if err := cfg.Validate(); err != nil {
		return nil, fmt.Errorf("shop: %w", err)
	}
	cfg = cfg.withDefaults()
	return open(state{Config: cfg, Clock: cfg.Start.UnixMicro(), Products: make([]product, cfg.Products)},
		rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15)), nil
}

// open makes what follows from the state.
func open(st state, pcg *rand.PCG) *Shop {
	s := &Shop{st: st, pcg: pcg, rng: rand.New(pcg)}
	s.name = "sim" + strconv.FormatUint(st.Config.Seed, 10)
	c := st.Config
	s.space = fmt.Sprintf("shop %d %d %d %d %d", c.Seed, c.Products, c.MaxCustomers, c.MaxOpen, c.Start.UnixMicro())
	// Whole numbers, since floating point is not the same on every machine.
	var sum uint64
	s.demand = make([]uint64, c.Products)
	for rank := range s.demand {
		sum += 1 << 32 / uint64(rank+1)
		s.demand[rank] = sum
	}
	return s
}

// Config returns what the shop follows from.
func (s *Shop) Config() Config { return s.st.Config }

// Sequence returns the index of the next event: how many there were.
func (s *Shop) Sequence() int64 { return s.st.Sequence }

// Snapshot returns the state of the shop, for Restore. It takes a few hundred
// kilobytes at the default bounds.
func (s *Shop) Snapshot() ([]byte, error) {
	st := s.st
	var err error
	if st.RNG, err = s.pcg.MarshalBinary(); err != nil {
		return nil, fmt.Errorf("snapshot of the shop: %w", err)
	}
	var b bytes.Buffer
	if err := gob.NewEncoder(&b).Encode(&st); err != nil {
		return nil, fmt.Errorf("snapshot of the shop: %w", err)
	}
	return b.Bytes(), nil
}

// Restore opens the shop of a snapshot. It goes on with the events that the
// other one would have yielded.
func Restore(snapshot []byte) (*Shop, error) {
	var st state
	if err := gob.NewDecoder(bytes.NewReader(snapshot)).Decode(&st); err != nil {
		return nil, fmt.Errorf("restore the shop: %w", err)
	}
	if err := st.check(); err != nil {
		return nil, fmt.Errorf("restore the shop: %w", err)
	}
	pcg := &rand.PCG{}
	if err := pcg.UnmarshalBinary(st.RNG); err != nil {
		return nil, fmt.Errorf("restore the shop: %w", err)
	}
	st.RNG = nil
	return open(st, pcg), nil
}

// check refuses a snapshot that would make the shop panic.
func (st *state) check() error {
	if err := st.Config.Validate(); err != nil {
		return err
	}
	if len(st.Products) != st.Config.Products || st.Config.MaxOpen == 0 ||
		len(st.Customers) > st.Config.MaxCustomers || len(st.Open) > st.Config.MaxOpen || st.Sequence < 0 {
		return errors.New("snapshot contradicts itself")
	}
	for _, o := range st.Open {
		if o.Customer < 0 || o.Customer >= len(st.Customers) || o.Status > shipped || len(o.Lines) == 0 {
			return errors.New("snapshot contradicts itself: open orders")
		}
		for _, l := range o.Lines {
			if l.Rank < 0 || l.Rank >= len(st.Products) {
				return errors.New("snapshot contradicts itself: order lines")
			}
		}
	}
	return nil
}

// below returns a number from 0 to n-1.
func (s *Shop) below(n int) int { return int(s.rng.Uint64N(uint64(n))) }

// percent reports true n times in a hundred.
func (s *Shop) percent(n int) bool { return s.below(100) < n }

// rank draws a product by demand.
func (s *Shop) rank() int {
	x := s.rng.Uint64N(s.demand[len(s.demand)-1])
	return sort.Search(len(s.demand), func(i int) bool { return s.demand[i] > x })
}

// emit appends an event to the step. cause is the sequence of the event that
// caused it, or negative.
func (s *Shop) emit(eventType, key string, version int64, correlation string, cause int64, data any) int64 {
	sequence := s.st.Sequence
	s.st.Sequence++
	e := &publish.Event{
		Envelope: event.Envelope{
			ID: s.eventID(sequence), Source: Source, Type: eventType, Time: s.now(), Subject: key,
			Sequence: version, HasSequence: version > 0, CorrelationID: correlation,
		},
		Data: data,
	}
	if cause >= 0 {
		e.CausationID = s.eventID(cause)
	}
	s.out = append(s.out, e)
	return sequence
}

func (s *Shop) eventID(sequence int64) string {
	return event.DerivedID(s.space, strconv.FormatInt(sequence, 10))
}

// tick moves the clock: about a second passes before each event.
func (s *Shop) tick() { s.st.Clock += 1 + int64(s.below(2_000_000)) }

func (s *Shop) now() time.Time { return time.UnixMicro(s.st.Clock).UTC() }
