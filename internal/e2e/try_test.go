package e2e_test

import (
	"bytes"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// The lines that firehose dev prints work as they are, one after the other.
func TestTryLines(t *testing.T) {
	t.Parallel()
	for _, tool := range []string{"bash", "curl", "kcat", "sqlite3"} {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("%s is not installed", tool)
		}
	}
	// A directory that has to be quoted.
	dir := filepath.Join(t.TempDir(), "it's here")
	p := startDev(t, dir, "")
	defer p.interrupt()
	if len(p.try) != 3 {
		t.Fatalf("lines to try: %q, want three", p.try)
	}
	paste := func(line string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), "bash", "-o", "pipefail", "-c", line)
		var stderr bytes.Buffer
		cmd.Stderr = &stderr
		out, err := cmd.Output()
		if err != nil {
			t.Fatalf("%s\n%v\n%s", line, err, stderr.String())
		}
		return strings.TrimSpace(string(out))
	}
	if got := paste(p.try[0]); !strings.Contains(got, `"topic":"shop.stock-movements"`) {
		t.Errorf("%s\ngot %s, want a receipt", p.try[0], got)
	}
	if got := paste(p.try[1]); !strings.Contains(got, `"sku":"try-me"`) {
		t.Errorf("%s\ngot %s, want the event", p.try[1], got)
	}
	want := "sku|on_hand|units_sold\ntry-me|5|0"
	var got string
	until(t, "the stock to be as the event says", func() bool {
		got = paste(p.try[2])
		return got != ""
	})
	if got != want {
		t.Errorf("%s\ngot %s, want %s", p.try[2], got, want)
	}
}
