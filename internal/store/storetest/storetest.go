// Package storetest is the conformance suite that every store passes. It reads
// what a store wrote with plain SQL that all of them understand.
package storetest

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/conflict"
	"firehose/internal/offsets"
	"firehose/internal/store"
)

// Store is what is tested.
type Store interface {
	Positions(ctx context.Context, start []offsets.Position) ([]offsets.Position, error)
	AllPositions(ctx context.Context) ([]offsets.Position, error)
	Lookup(ctx context.Context, l *store.Lookup) (store.Known, error)
	Apply(ctx context.Context, b *store.Batch) (store.Result, error)
	Hash(ctx context.Context) (string, error)
	Close() error

	// SetClock makes the store take a time for the present one.
	SetClock(now func() time.Time)

	// Read runs a query on another connection and returns every value as text,
	// NULL as "NULL" and booleans as 0 and 1.
	Read(ctx context.Context, query string) ([][]string, error)
}

// Opener makes an empty database for one test, which closes it.
type Opener func(t testing.TB, tables []*store.Table) Store

// Run runs the suite.
func Run(t *testing.T, open Opener) {
	for _, c := range []struct {
		name string
		test func(*testing.T, Opener)
	}{
		{"positions", testPositions},
		{"fenced", testFenced},
		{"fenced rolls back", testFencedRollsBack},
		{"seen", testSeen},
		{"seen horizon", testSeenHorizon},
		{"seen twice", testSeenTwice},
		{"many slices", testManySlices},
		{"many tables", testManyTables},
		{"images", testImages},
		{"images in bulk", testImagesInBulk},
		{"versions", testVersions},
		{"ties", testTies},
		{"same body", testSameBody},
		{"same stamp", testSameStamp},
		{"same stamp in a batch", testSameStampInBatch},
		{"conflict key", testConflictKey},
		{"column order", testColumnOrder},
		{"settled rows", testSettledRows},
		{"deletes", testDeletes},
		{"derived rows", testDerivedRows},
		{"displaced row", testDisplacedRow},
		{"sums", testSums},
		{"sums back to zero", testSumsBackToZero},
		{"sums overflow", testSumsOverflow},
		{"sharded sums", testShardedSums},
		{"entries", testEntries},
		{"conflicts", testConflicts},
		{"set aside", testSetAside},
		{"expiry", testExpiry},
		{"added columns", testAddedColumns},
		{"older program", testOlderProgram},
		{"changed columns", testChangedColumns},
		{"new table", testNewTable},
		{"declarations", testDeclarations},
		{"values kept", testValuesKept},
		{"values refused", testValuesRefused},
		{"all or nothing", testAllOrNothing},
		{"cancelled", testCancelled},
		{"concurrent", testConcurrent},
		{"hash", testHash},
		{"any order", testAnyOrder},
		{"closed", testClosed},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			c.test(t, open)
		})
	}
}

var (
	topicA = offsets.TopicID{0xa}
	topicB = offsets.TopicID{0xb}
	moment = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
)

// things is a table of rows with one column of its own.
func things() *store.Table {
	return &store.Table{
		Name: "things", Kind: store.Rows,
		Key:     []store.Column{{Name: "id", Type: store.Text}},
		Columns: []store.Column{{Name: "state", Type: store.Text}, {Name: "note", Type: store.Text, Nullable: true}},
	}
}

func stock() *store.Table {
	return &store.Table{
		Name: "stock", Kind: store.Counters,
		Key:     []store.Column{{Name: "sku", Type: store.Text}},
		Columns: []store.Column{{Name: "on_hand", Type: store.Int}, {Name: "sold", Type: store.Int}},
	}
}

func ledger() *store.Table {
	return &store.Table{
		Name: "ledger", Kind: store.Log,
		Columns: []store.Column{{Name: "account", Type: store.Text}, {Name: "cents", Type: store.Int}},
	}
}

// harness drives one store through one partition.
type harness struct {
	testing.TB
	Store
	at offsets.Position
}

func newHarness(t testing.TB, open Opener, tables ...*store.Table) *harness {
	t.Helper()
	h := &harness{TB: t, Store: open(t, tables)}
	stored, err := h.Positions(t.Context(), []offsets.Position{position("shop.things", 0, 0)})
	if err != nil {
		t.Fatal(err)
	}
	h.at = stored[0]
	return h
}

func position(topic string, partition int32, next int64) offsets.Position {
	return offsets.Position{Topic: topic, Partition: partition, TopicID: topicA, Next: next, LeaderEpoch: offsets.NoEpoch}
}

// apply applies a batch at the next offset, moving the position itself.
func (h *harness) apply(b *store.Batch) (store.Result, error) {
	b.Moves = append(b.Moves[:len(b.Moves):len(b.Moves)], store.Move{From: h.at, Next: h.at.Next + 1, LeaderEpoch: 3})
	result, err := h.Apply(h.Context(), b)
	if err == nil {
		h.at.Next, h.at.LeaderEpoch = h.at.Next+1, 3
	}
	return result, err
}

func (h *harness) mustApply(b *store.Batch) store.Result {
	h.Helper()
	result, err := h.apply(b)
	if err != nil {
		h.Fatalf("apply: %v", err)
	}
	return result
}

func (h *harness) mustRead(query string) [][]string {
	h.Helper()
	rows, err := h.Read(h.Context(), query)
	if err != nil {
		h.Fatalf("%s: %v", query, err)
	}
	return rows
}

func (h *harness) mustHash() string {
	h.Helper()
	sum, err := h.Hash(h.Context())
	if err != nil {
		h.Fatal(err)
	}
	return sum
}

// want compares what a query reads.
func (h *harness) want(query string, want ...[]string) {
	h.Helper()
	if diff := cmp.Diff(want, h.mustRead(query)); diff != "" {
		h.Errorf("%s (-want +got):\n%s", query, diff)
	}
}

// wantError compares an error's class, and that nothing of the record is in it.
func (h *harness) wantError(err, class error) {
	h.Helper()
	if !errors.Is(err, class) {
		h.Errorf("got error %v, want %v", err, class)
	}
	for _, other := range []error{store.ErrFenced, store.ErrChanged, store.ErrTransient, store.ErrRefused, store.ErrFatal} {
		if !errors.Is(other, class) && errors.Is(err, other) {
			h.Errorf("error %v is also %v, want one class", err, other)
		}
	}
}

func row(id, state string, s conflict.Stamp) store.Row {
	return store.Row{
		Key: []any{id}, Values: []any{state, nil}, Stamp: s, Body: []byte("body of " + state),
		From: store.Source{Topic: "shop.things", TopicID: topicA, Offset: s.Time},
	}
}

func removed(id string, s conflict.Stamp) store.Row {
	r := row(id, "", s)
	r.Values, r.Deleted, r.Body = nil, true, []byte{}
	return r
}

// stamp makes the stamp of an event; the time is distinct per event ID unless
// given.
func stamp(version int64, id string) conflict.Stamp {
	return conflict.Stamp{Version: version, Time: moment.UnixMicro(), Origin: "/shop", EventID: id}
}

func rows(t *store.Table, rows ...store.Row) *store.Batch {
	return &store.Batch{Changes: []store.Changes{{Table: t, Rows: rows}}}
}

// permutations calls fn with every order of 0..n-1.
func permutations(n int, fn func([]int)) {
	order := make([]int, n)
	for i := range order {
		order[i] = i
	}
	var permute func(int)
	permute = func(k int) {
		if k == n {
			fn(order)
			return
		}
		for i := k; i < n; i++ {
			order[k], order[i] = order[i], order[k]
			permute(k + 1)
			order[k], order[i] = order[i], order[k]
		}
	}
	permute(0)
}

func one(values ...any) []string {
	out := make([]string, len(values))
	for i, v := range values {
		out[i] = fmt.Sprint(v)
	}
	return out
}
