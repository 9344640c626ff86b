// Package tally is the service that a load test measures, and the contract of
// what it is sent: two topics, of entities and of facts.
//
//	DOMAIN.items   entity   an item's state; its row holds the latest
//	DOMAIN.ticks   fact     adds to the sums of its key and of its partition
//
// Its tables are such that every event leaves a trace that tells whether it was
// applied, and how often:
//
//	items(run, item, sequence, checksum)           the latest event of each item
//	ticks(run, tick, events, sequences, checksum)  sums over each key's events
//	partitions(run, partition, events, checksum)   the same over each partition of the ticks
//
// A run of a load test has rows of its own: what earlier ones left does not
// disturb it.
package tally

import (
	_ "embed" // the schemas
	"fmt"
	"regexp"
	"strings"
	"time"

	"firehose"
	"firehose/schemas"
)

// Name is the service's, and its group's unless it is told otherwise.
const Name = "loadtest"

// DefaultDomain is the first half of the topics' names.
const DefaultDomain = "loadtest"

// Event is the data of both topics.
type Event struct {
	Key      string    `avro:"key"` // RUN-NUMBER
	Run      string    `avro:"run"`
	Number   int64     `avro:"number"`   // of the key, from 0
	Sequence int64     `avro:"sequence"` // of the event among its key's, from 1; an item's version
	Due      time.Time `avro:"due,timestamp-micros"`
	Padding  string    `avro:"padding"`
}

// Checksum is a number below 2^32 that tells events apart, so that 2^31 of them
// can be added up.
func Checksum(number, sequence, dueMicros int64) int64 {
	x := uint64(number)*0x9e3779b97f4a7c15 ^ uint64(sequence)*0xc2b2ae3d27d4eb4f ^ uint64(dueMicros)
	// The finalizer of SplitMix64 (Steele, Lea and Flood: Fast splittable
	// pseudorandom number generators, 2014).
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	x ^= x >> 31
	return int64(x >> 32)
}

func (e *Event) checksum() int64 { return Checksum(e.Number, e.Sequence, e.Due.UnixMicro()) }

// Names of a domain's topics and of their event types.
type Names struct{ Items, Ticks, ItemChanged, TickCounted string }

// NamesOf returns the names of a domain.
func NamesOf(domain string) Names {
	return Names{
		Items: domain + ".items", Ticks: domain + ".ticks",
		ItemChanged: domain + ".item.changed", TickCounted: domain + ".tick.counted",
	}
}

//go:embed items.v1.avsc
var itemsText string

//go:embed ticks.v1.avsc
var ticksText string

var domainName = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

// Schemas returns the schemas of a domain, as the files of a folder that
// schemas.Load would take: text by name.
func Schemas(domain string) (map[string]string, error) {
	if !domainName.MatchString(domain) {
		return nil, fmt.Errorf("domain %q: want lower-case letters, digits and dashes", domain)
	}
	fill := strings.NewReplacer("DOMAIN", domain)
	names := NamesOf(domain)
	return map[string]string{
		names.Items + ".v1.avsc": fill.Replace(itemsText),
		names.Ticks + ".v1.avsc": fill.Replace(ticksText),
	}, nil
}

// Set returns the contract of a domain.
func Set(domain string) (*schemas.Set, error) {
	files, err := Schemas(domain)
	if err != nil {
		return nil, err
	}
	var all []*schemas.Schema
	for name, text := range files {
		s, err := schemas.Parse(text, 1)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		all = append(all, s)
	}
	return schemas.NewSet(all...)
}

// Service returns the service that reads a domain.
func Service(domain string) (firehose.Service, error) {
	set, err := Set(domain)
	if err != nil {
		return firehose.Service{}, err
	}
	items := firehose.Rows("items", firehose.Key{firehose.Text("run"), firehose.Int("item")},
		firehose.Int("sequence"), firehose.Int("checksum"))
	ticks := firehose.Counters("ticks", firehose.Key{firehose.Text("run"), firehose.Int("tick")},
		"events", "sequences", "checksum")
	parts := firehose.Counters("partitions", firehose.Key{firehose.Text("run"), firehose.Int("partition")},
		"events", "checksum")
	item := func(e firehose.Event[Event], c *firehose.Changes) error {
		c.Put(items, firehose.Row{e.Data.Run, e.Data.Number}, e.Data.Sequence, e.Data.checksum())
		return nil
	}
	tick := func(e firehose.Event[Event], c *firehose.Changes) error {
		sum := e.Data.checksum()
		c.Add(ticks, firehose.Row{e.Data.Run, e.Data.Number}, 1, e.Data.Sequence, sum)
		c.Add(parts, firehose.Row{e.Data.Run, int64(e.Partition)}, 1, sum)
		return nil
	}
	names := NamesOf(domain)
	return firehose.Service{
		Name:    Name,
		Schemas: set,
		Tables:  []*firehose.Table{items, ticks, parts},
		Projections: []firehose.Projection{
			firehose.OnEntity(names.Items, sabotaged(item)),
			firehose.OnFact(names.Ticks, sabotaged(tick)),
		},
	}, nil
}

// projection is one of the two.
type projection = func(firehose.Event[Event], *firehose.Changes) error
