package loadtest

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"firehose/internal/testbed"
)

// A load test is worth something only if it notices. So it is run against
// services that are wrong by one event in 100,000, or late: see the files
// sabotage_*.go of package tally.
func TestSabotageIsNoticed(t *testing.T) {
	testbed.Integration(t)
	// One partition, so that it has an event at offset 99,999; those after it are more
	// than one transaction takes, so that a busy machine looks in between, too.
	facts := []string{"--partitions", "1", "--facts", "1", "--load", "20000:7s", "--warm-up", "0s", "--keys", "100"}
	tests := []struct {
		tag, name string
		args      []string
		want      string // among the findings
		broken    func(c *Correctness) int64
	}{
		{"sabotage_skip", "a fact that is skipped", facts, "acknowledged facts that were not applied: 1", func(c *Correctness) int64 { return c.Missing }},
		{"sabotage_twice", "a fact that is applied twice", facts, "facts that were applied once too often: 1", func(c *Correctness) int64 { return c.Repeated }},
		{"sabotage_late", "two seconds late", []string{"--rate", "200", "--duration", "3s", "--warm-up", "0s", "--want-applied", "1900ms"}, "late: 99 % of the events were applied within 2", nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			program := filepath.Join(t.TempDir(), "loadtest")
			build := exec.CommandContext(t.Context(), "go", "build", "-trimpath", "-tags", tt.tag, "-o", program, "firehose/cmd/loadtest")
			build.Env = append(os.Environ(), "CGO_ENABLED=0")
			if out, err := build.CombinedOutput(); err != nil {
				t.Fatalf("go build: %v\n%s", err, out)
			}
			args := append([]string{"run", "-J", "--embedded", "--dir", t.TempDir()}, tt.args...)
			cmd := exec.CommandContext(t.Context(), program, args...)
			cmd.Env = slices.DeleteFunc(os.Environ(), func(v string) bool { return strings.HasPrefix(v, "FIREHOSE_") })
			var stdout, stderr bytes.Buffer
			cmd.Stdout, cmd.Stderr = &stdout, &stderr
			if err := cmd.Run(); err == nil || cmd.ProcessState.ExitCode() != 1 {
				t.Errorf("got %v, want exit code 1\n%s", err, stderr.String())
			}
			var r Result
			if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
				t.Fatalf("result: %v\n%s", err, stderr.String())
			}
			findings := strings.Join(r.Findings, "\n")
			t.Logf("noticed:\n%s", findings)
			if !strings.Contains(findings, tt.want) {
				t.Errorf("findings lack %q:\n%s", tt.want, findings)
			}
			if tt.broken == nil {
				if !r.Correct.Held() {
					t.Errorf("late, but whole: got %+v", r.Correct)
				}
				return
			}
			if n := tt.broken(&r.Correct); n != 1 || r.Correct.Events != 140_000 || r.Correct.Held() {
				t.Errorf("got %d broken of %d, want 1 of 140,000: %+v", n, r.Correct.Events, r.Correct)
			}
			if r.Correct.Between.Different == 0 {
				t.Errorf("no state in between was found different: %+v", r.Correct.Between)
			}
		})
	}
}
