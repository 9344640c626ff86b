package store

import (
	"bytes"
	"cmp"
	"slices"
	"strings"
	"time"

	"firehose/internal/conflict"
)

// Meet says what becomes of a row that meets the stored one of its key.
func Meet(stored, incoming *Row) conflict.Outcome {
	if incoming.Settled && incoming.Stamp == stored.Stamp && CompareRow(incoming, stored) != 0 {
		return conflict.Wins
	}
	return conflict.Newest(stored.Stamp, incoming.Stamp, func() int { return CompareRow(incoming, stored) })
}

// CompareRow orders two states of one row by their values, in the order of their
// columns' names; a removed row comes after all others. It is 0 when they are the
// same state, whatever their stamps. Values may be as a projection gives them or
// as a store holds them: bools as 0 and 1, times as TimestampLayout has them.
func CompareRow(a, b *Row) int {
	if a.Deleted || b.Deleted {
		return cmp.Compare(removedRank(a), removedRank(b))
	}
	first, result := -1, 0 // of the columns that differ the first by name
	for i := range min(len(a.Values), len(b.Values)) {
		c := compareValue(stored(a.Values[i]), stored(b.Values[i]))
		if c != 0 && (first < 0 || compareColumns(columnsOf(a, b), i, first) < 0) {
			first, result = i, c
		}
	}
	if first < 0 {
		return cmp.Compare(len(a.Values), len(b.Values))
	}
	return result
}

// columnsOf are the columns of two rows' values, as far as the rows say. One of
// them may have been completed with columns that its own table does not have.
func columnsOf(a, b *Row) []Column {
	var columns []Column
	for _, r := range []*Row{a, b} {
		if r.Table != nil && len(r.Table.Columns) > len(columns) {
			columns = r.Table.Columns
		}
	}
	return columns
}

// compareColumns orders columns i and k by their names; those whose names are not
// known come behind, in their order.
func compareColumns(columns []Column, i, k int) int {
	if i >= len(columns) || k >= len(columns) {
		return cmp.Compare(i, k)
	}
	return strings.Compare(columns[i].Name, columns[k].Name)
}

func removedRank(r *Row) int {
	if r.Deleted {
		return 1
	}
	return 0
}

// stored is a value as stores hold it.
func stored(v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case time.Time:
		return FormatTimestamp(v)
	}
	return v
}

// compareValue orders values by their kind, then by themselves. A column has one
// kind beside NULL, so that the order of kinds only makes it total.
func compareValue(a, b any) int {
	if c := cmp.Compare(kindRank(a), kindRank(b)); c != 0 {
		return c
	}
	switch a := a.(type) {
	case int64:
		return cmp.Compare(a, b.(int64))
	case float64:
		return cmp.Compare(a, b.(float64))
	case string:
		return strings.Compare(a, b.(string))
	case []byte:
		return bytes.Compare(a, b.([]byte))
	}
	return 0
}

func kindRank(v any) int {
	switch v.(type) {
	case int64:
		return 1
	case float64:
		return 2
	case string:
		return 3
	case []byte:
		return 4
	}
	return 0
}

// HashRow identifies a row's state: rows that CompareRow finds the same have one
// hash.
func HashRow(r *Row) Hash {
	d := NewDigest()
	if r.Deleted {
		d.Table("removed", nil)
	} else {
		columns := columnsOf(r, r)
		order := make([]int, len(r.Values))
		for i := range order {
			order[i] = i
		}
		slices.SortFunc(order, func(i, k int) int { return compareColumns(columns, i, k) })
		values := make([]any, len(order))
		for i, at := range order {
			values[i] = stored(r.Values[at])
		}
		d.Row(values)
	}
	var h Hash
	copy(h[:], d.h.Sum(nil))
	return h
}
