package tally_test

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose"
	"firehose/firehosetest"
	"firehose/loadtest/tally"
)

func TestMain(m *testing.M) { firehosetest.Main(m) }

func TestEveryEventLeavesATrace(t *testing.T) {
	s, err := tally.Service("bench")
	if err != nil {
		t.Fatal(err)
	}
	names := tally.NamesOf("bench")
	due := time.Unix(1e9, 0)
	event := func(typ string, number, sequence int64) firehose.Outgoing {
		return firehose.Outgoing{Type: typ, Data: &tally.Event{
			Key: "r-" + string(rune('0'+number)), Run: "r", Number: number, Sequence: sequence, Due: due.Add(time.Duration(sequence)),
		}}
	}
	check := func(number, sequence int64) int64 {
		return tally.Checksum(number, sequence, due.Add(time.Duration(sequence)).UnixMicro())
	}
	got := firehosetest.Fold(t, s,
		event(names.ItemChanged, 1, 2), event(names.ItemChanged, 1, 1), event(names.ItemChanged, 2, 1),
		event(names.TickCounted, 1, 1), event(names.TickCounted, 1, 2), event(names.TickCounted, 3, 1),
	)
	want := map[string][][]any{
		"items": {{"r", int64(1), int64(2), check(1, 2)}, {"r", int64(2), int64(1), check(2, 1)}},
		"ticks": {{"r", int64(1), int64(2), int64(3), check(1, 1) + check(1, 2)}, {"r", int64(3), int64(1), int64(1), check(3, 1)}},
		"partitions": {
			{"r", int64(0), int64(3), check(1, 1) + check(1, 2) + check(3, 1)},
		},
	}
	for table, rows := range want {
		if diff := cmp.Diff(rows, got.Rows(table)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", table, diff)
		}
	}
}

func TestChecksumTellsEventsApart(t *testing.T) {
	seen := map[int64]bool{}
	for number := range int64(100) {
		for sequence := range int64(100) {
			sum := tally.Checksum(number, sequence, 1e15+number+sequence)
			if sum < 0 || sum >= 1<<32 {
				t.Fatalf("checksum of %d/%d: got %d, want one below 2^32", number, sequence, sum)
			}
			seen[sum] = true
		}
	}
	// By chance some 0.01 pairs of 10,000 are equal.
	if len(seen) < 9_999 {
		t.Errorf("got %d different checksums of 10,000 events", len(seen))
	}
}

func TestBadDomainIsNamed(t *testing.T) {
	for _, domain := range []string{"Load.Test", "", "a b"} {
		if _, err := tally.Service(domain); err == nil {
			t.Errorf("domain %q: got no error", domain)
		}
	}
}
