package storetest

import (
	"fmt"
	"testing"
	"time"

	"firehose/internal/store"
)

// testManySlices: facts that span more slices than a store keeps anything for go
// through in one batch, and are known afterwards. A rebuild reads such batches.
func testManySlices(t *testing.T, open Opener) {
	table := ledger()
	h := newHarness(t, open, table)
	batch := func(from, slices int) *store.Batch {
		b := &store.Batch{Changes: []store.Changes{{Table: table}}}
		for i := range slices {
			for k := range 3 {
				id := fmt.Sprintf("%04d-%d", from+i, k)
				b.Seen = append(b.Seen, seen(id, moment.Add(time.Duration(from+i)*horizon), 1))
				b.Changes[0].Entries = append(b.Changes[0].Entries, store.Entry{Source: "/shop", EventID: id, Values: []any{"cash", int64(1)}})
			}
		}
		return b
	}
	const slices = 110
	h.mustApply(batch(0, slices))
	h.mustApply(batch(slices, 1)) // few once more
	again := batch(slices+1, slices)
	again.Seen[3*slices-1] = batch(slices, 1).Seen[0] // one that is known, behind all others
	_, err := h.apply(again)
	h.wantError(err, store.ErrChanged)
	h.mustApply(batch(slices+1, slices))
	h.want(`SELECT count(*) FROM ledger`, one(3*(2*slices+1)))
	asked, want := batch(slices+1, slices).Seen, map[store.EventKey]store.Hash{}
	for _, s := range asked {
		want[s.EventKey] = s.Hash
	}
	h.wantSeen(want, asked...)
}

// testManyTables: one batch writes as many tables as a service has.
func testManyTables(t *testing.T, open Opener) {
	const n, each = 70, 5
	var tables []*store.Table
	for i := range n {
		table := stock()
		table.Name = fmt.Sprintf("stock_%02d", i)
		tables = append(tables, table)
	}
	h := newHarness(t, open, tables...)
	for range 2 {
		b := &store.Batch{}
		for _, table := range tables {
			c := store.Changes{Table: table}
			for k := range each {
				c.Sums = append(c.Sums, store.Sum{Key: []any{fmt.Sprint("sku-", k)}, Deltas: []int64{1, 2}})
			}
			b.Changes = append(b.Changes, c)
		}
		if got := h.mustApply(b); got.Written != n*each {
			t.Errorf("got %+v, want %d written", got, n*each)
		}
	}
	for _, table := range tables {
		h.want(`SELECT sum(on_hand), sum(sold) FROM `+table.Name, one(2*each, 4*each))
	}
}
