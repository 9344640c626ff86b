package e2e_test

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// The tests above are worth something only if they notice. So they are run as
// they are, on binaries that lack one thing: each must fail, by what it says of
// the stores.
func TestSabotageIsNoticed(t *testing.T) {
	if os.Getenv("E2E_TAGS") != "" {
		t.Skip("these binaries are sabotaged already")
	}
	type sabotage struct{ tag, test string }
	tests := []sabotage{
		{"sabotage_position", "TestKilledAtFailpoint/between-position-and-rows"},
		{"sabotage_seen", "TestReplayedAgain"},
	}
	if full() {
		tests = append(tests, sabotage{"sabotage_seen", "TestKilledTenTimes"})
	}
	for _, tt := range tests {
		t.Run(tt.tag+"/"+tt.test, func(t *testing.T) {
			t.Parallel()
			// Exactly this test, and its subtest if it names one.
			var pattern []string
			for name := range strings.SplitSeq(tt.test, "/") {
				pattern = append(pattern, "^"+name)
			}
			cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run", strings.Join(pattern, "/"), "-test.timeout", (5 * patience).String())
			cmd.Env = append(environment(""), "E2E_TAGS="+tt.tag)
			out, err := cmd.CombinedOutput()
			if err == nil {
				t.Fatalf("%s passes on a binary with the tag %s:\n%s", tt.test, tt.tag, out)
			}
			if !strings.Contains(string(out), "figures (-want +got)") || !strings.Contains(string(out), "hashes of the stores") {
				t.Fatalf("%s failed, but not by what the stores hold: %v\n%s", tt.test, err, out)
			}
			t.Logf("noticed:\n%s", out)
		})
	}
}
