package store_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"firehose/internal/store"
)

// TestFormatTimestamp: the fast way writes what the layout says, for every time
// that a column may hold.
func TestFormatTimestamp(t *testing.T) {
	first, last := time.Date(1, 1, 1, 0, 0, 0, 0, time.UTC), time.Date(9999, 12, 31, 23, 59, 59, 0, time.UTC)
	rapid.Check(t, func(t *rapid.T) {
		at := time.Unix(rapid.Int64Range(first.Unix(), last.Unix()).Draw(t, "seconds"), rapid.Int64Range(0, 999_999_999).Draw(t, "nanoseconds"))
		at = at.In(time.FixedZone("", rapid.IntRange(-50000, 50000).Draw(t, "zone")))
		if got, want := store.FormatTimestamp(at), at.UTC().Format(store.TimestampLayout); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

// TestDigestTellsApart: values that look alike when written one behind the other
// have different sums.
func TestDigestTellsApart(t *testing.T) {
	contents := [][][]any{
		{},
		{{}},
		{{nil}},
		{{"", nil}},
		{{nil, ""}},
		{{"a", "b"}},
		{{"ab", ""}},
		{{"ab"}, {""}},
		{{"a"}, {"b"}},
		{{[]byte("ab")}},
		{{"ab"}},
		{{int64(1)}},
		{{"1"}},
		{{1.0}},
	}
	sums := map[string]int{}
	for i, rows := range contents {
		d := store.NewDigest()
		d.Table("t", []string{"c"})
		for _, r := range rows {
			d.Row(r)
		}
		if other, ok := sums[d.Sum()]; ok {
			t.Errorf("%v and %v have one sum", contents[other], rows)
		}
		sums[d.Sum()] = i
	}
}
