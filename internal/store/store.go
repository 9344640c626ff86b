// Package store is the contract between the engine and a service's database:
// what one transaction applies, what is read before it, and which errors mean
// what. Packages store/sqlite and store/postgres implement it; package
// store/storetest is the conformance suite that both pass.
//
// # One transaction
//
// Apply does, in this order and in one transaction:
//
//  1. the compare-and-set of every position (it takes the rows' locks and
//     fences: a replay or a zombie stops here),
//  2. the check of what the batch was merged from: every event ID in Seen is
//     really new, every image in Images still is what it was,
//  3. the rows, counters and log entries, table by table in the order of their
//     names, rows in the order of their keys,
//  4. conflicts and dead-letter marks.
//
// Anything that differs in 1 or 2 rolls everything back.
package store

import (
	"time"

	"firehose/internal/conflict"
	"firehose/internal/offsets"
)

// Type is a column's type, the same in every store.
type Type uint8

// The column types, with the Go type of their values.
const (
	Text      Type = iota // string: valid UTF-8 without U+0000
	Int                   // int64
	Float                 // float64, never NaN
	Bool                  // bool
	Bytes                 // []byte
	Timestamp             // time.Time, kept in UTC to the microsecond
	Decimal               // string, e.g. "-12.50"; no leading noughts, no "-0"
	JSON                  // string holding one JSON value
)

// Column is one column of a table.
type Column struct {
	Name     string
	Type     Type
	Nullable bool
	Default  any // what rows written before the column existed hold; nil for none
}

// Kind is how a table's rows change.
type Kind uint8

// The kinds of table.
const (
	Rows     Kind = iota // Put and Remove, the latest stamp wins
	Counters             // Add, sums per key
	Log                  // Append, rows keyed by the event
)

// Table is one table of a service.
//
// A Rows table NAME is the physical table firehose_NAME (Key, Columns, then
// firehose_version, firehose_time, firehose_origin, firehose_event_id,
// firehose_deleted) behind the view NAME, which shows Key and Columns of live
// rows only. A Counters table is NAME(Key, Columns), every column an Int. A Log
// table is NAME(firehose_source, firehose_event_id, firehose_line, Columns),
// the first three its primary key.
type Table struct {
	Name    string
	Kind    Kind
	Key     []Column // of Rows and Counters
	Columns []Column
	// Sharded says that a row of Counters is so hot that instances would queue
	// for it. A store that several of them share may keep such a row in parts,
	// behind a view of that name; what is read is the same.
	Sharded bool
}

// Row is the state of one row of a Rows table after an event. Values has one
// value per column of Table.Columns (nil for NULL), or is nil when Deleted.
type Row struct {
	Key     []any
	Values  []any
	Stamp   conflict.Stamp
	Deleted bool
	// Body is the event's value bytes, kept with a conflict that it loses; nil
	// when a lost row is no conflict of its own (it was derived from an entity
	// whose image decides).
	Body []byte
	// Settled says that the image of the row's entity has decided between
	// events of one stamp: the row replaces the stored one.
	Settled bool
	// From is the record that the row comes from.
	From Source
	// Table is the one whose columns Values has, so that two rows are compared by
	// the names of their columns: which order these have in a replica depends on
	// which schema its program met first. Without it they are compared in their
	// order. Rows that meet have it, or none of them has.
	Table *Table
}

// Sum is what a batch adds to one row of a Counters table.
type Sum struct {
	Key    []any
	Deltas []int64 // one per column
}

// Entry is one row of a Log table.
type Entry struct {
	Source  string // the event's source
	EventID string
	Line    int // nth Append of that event to that table
	Values  []any
}

// Changes is what a batch does to one table. Keys are unique and sorted.
type Changes struct {
	Table   *Table
	Rows    []Row
	Sums    []Sum
	Entries []Entry
	// Checked says that CheckValue, or CheckType, has been asked of every value: a
	// store need not look at each of them once more.
	Checked bool
}

// Source is where a record lies in the log.
type Source struct {
	Topic     string
	TopicID   offsets.TopicID
	Partition int32
	Offset    int64
}

// EventKey identifies an event: its source and ID, see EventKeyOf.
type EventKey [SeenKeySize]byte

// Hash is the first 16 bytes of the SHA-256 of an event's body.
type Hash [16]byte

// Seen is an event ID that a fact brings, and the horizon for which it is
// remembered. Time is the record's timestamp: the clock of the horizon.
type Seen struct {
	EventKey
	Hash    Hash
	Time    time.Time
	Horizon time.Duration
}

// EntityKey identifies an entity.
type EntityKey struct{ Topic, Key string }

// Image is the stored state of an entity, for projections that ask for what was
// there before.
type Image struct {
	EntityKey
	Stamp   conflict.Stamp
	Deleted bool
	Body    []byte // framed Avro value; nil when Deleted
}

// ImageChange replaces an image if the stored one still has the stamp Before
// (zero when there was none).
type ImageChange struct {
	Image
	Before conflict.Stamp
}

// Lookup asks for what a merge depends on.
type Lookup struct {
	Seen   []Seen
	Images []EntityKey
}

// Known answers a Lookup: only what is stored is present.
type Known struct {
	Seen   map[EventKey]Hash
	Images map[EntityKey]Image
}

// Conflict is a concurrent event that lost, with its bytes. It is identified by
// policy, topic, key, the loser's stamp and its state (Row, or else Body), and
// recorded once. A nil Body is a delete.
type Conflict struct {
	From    Source
	Key     string
	Policy  string // "newest", or "seen" for another body under a seen event ID
	Loser   conflict.Stamp
	Winner  conflict.Stamp
	Row     Hash // HashRow of a row that lost; zero where an entity or a fact did
	Body    []byte
	Outcome string // "kept" when the stored one stayed, "replaced" when it gave way
}

// SetAside marks a record that was written to the dead-letter topic.
type SetAside struct {
	From  Source
	Class string // short, stable: "undecodable", "unknown_schema", ...
	Error string // never holds payload
	Time  time.Time
}

// Move moves a position from From.Next to Next.
type Move struct {
	From        offsets.Position
	Next        int64
	LeaderEpoch int32
}

// Batch is what one transaction applies.
type Batch struct {
	Moves     []Move
	Seen      []Seen
	Images    []ImageChange
	Changes   []Changes
	Conflicts []Conflict
	SetAside  []SetAside
}

// Result counts what Apply did with the batch's rows, sums, entries and
// conflicts. Images and seen IDs are not counted: they are all written, or none.
type Result struct {
	Written   int // rows put or removed, sums added, entries appended
	Stale     int // rows older than what is stored
	Duplicate int // rows, entries and conflicts that were there already
	Conflicts int // concurrent rows that lost, recorded for the first time
	Replaced  int // those of them that were stored, and gave way
	Reused    int // those of them that came under an event ID that was seen
}

// Record counts a conflict that was recorded for the first time.
func (r *Result) Record(c *Conflict) {
	r.Conflicts++
	switch {
	case c.Policy == "seen":
		r.Reused++
	case c.Outcome == "replaced":
		r.Replaced++
	}
}
