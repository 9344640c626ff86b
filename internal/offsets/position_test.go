package offsets_test

import (
	"strings"
	"testing"

	"firehose/internal/offsets"
)

func TestTopicID(t *testing.T) {
	id := offsets.TopicID{0xab, 15: 0x01}
	got, err := offsets.ParseTopicID(id.String())
	if err != nil || got != id {
		t.Errorf("ParseTopicID(%q): got %v %v", id, got, err)
	}
	for _, s := range []string{"", "zz", strings.Repeat("0", 31), strings.Repeat("0", 34)} {
		if _, err := offsets.ParseTopicID(s); err == nil {
			t.Errorf("ParseTopicID(%q): no error", s)
		}
	}
}

func TestMark(t *testing.T) {
	state, ours := offsets.ParseMark(offsets.Mark("paused_store"))
	if state != "paused_store" || !ours {
		t.Errorf("got %q %v, want paused_store, ours", state, ours)
	}
	if _, ours := offsets.ParseMark("consumer-1-of-somebody"); ours {
		t.Error("a mark of somebody else counts as ours")
	}
}

func TestCompare(t *testing.T) {
	sorted := []offsets.Partition{{Topic: "a", ID: 9}, {Topic: "b", ID: 1}, {Topic: "b", ID: 10}}
	for i, a := range sorted {
		for j, b := range sorted {
			if got := offsets.Compare(a, b); (got < 0) != (i < j) || (got == 0) != (i == j) {
				t.Errorf("Compare(%v, %v): got %d", a, b, got)
			}
		}
	}
	if got := (offsets.Position{Topic: "a", Partition: 3, Next: 7}).String(); got != "a/3@7" {
		t.Errorf("String: got %s", got)
	}
}
