package operator

import (
	"testing"
	"time"
)

// A second opinion that always agrees is none.
func TestDiffer(t *testing.T) {
	noon := time.Date(1997, 6, 30, 12, 0, 0, 0, time.UTC)
	for _, test := range []struct {
		name         string
		ours, theirs any
		want         string
	}{
		{"same record", map[string]any{"a": int64(1), "b": nil}, map[string]any{"a": int64(1), "b": nil}, ""},
		{"a number", map[string]any{"a": int64(1), "b": int64(1)}, map[string]any{"a": int64(2), "b": int64(1)}, "value.a"},
		{"another width", map[string]any{"a": int64(1), "b": nil}, map[string]any{"a": int32(1), "b": nil}, "value.a"},
		{"a field is missing", map[string]any{"a": "x", "b": nil, "c": nil}, map[string]any{"a": "x", "b": nil}, "value"},
		{"an item", []any{"x", "y"}, []any{"x", "z"}, "value[1]"},
		{"fewer items", []any{"x", "y"}, []any{"x"}, "value"},
		{"a branch", "x", map[string]any{"string": "x"}, ""},
		{"another in the branch", "x", map[string]any{"string": "y"}, "value<string>"},
		{"null or not", nil, map[string]any{"string": "y"}, "value<string>"},
		{"a time", noon, noon.Local(), ""},
		{"another time", noon, noon.Add(time.Microsecond), "value"},
		{"bytes", []byte{1}, []byte{2}, "value"},
	} {
		if got := differ(test.ours, test.theirs, "value"); got != test.want {
			t.Errorf("%s: got %q, want %q", test.name, got, test.want)
		}
	}
}
