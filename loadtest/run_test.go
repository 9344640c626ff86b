package loadtest

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"firehose/internal/service"
	"firehose/internal/testbed"
)

// runCLI runs the command line and returns its exit code and result.
func runCLI(t *testing.T, args ...string) (int, *Result) {
	t.Helper()
	code, r := execute(t, args...)
	if r == nil {
		t.FailNow()
	}
	return code, r
}

// execute may run beside its test; without a result the test has failed.
func execute(t *testing.T, args ...string) (int, *Result) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := service.Execute(t.Context(), newCommand(strings.NewReader(""), &stdout, &stderr), service.Process{
		Args: append([]string{"run", "-J", "--dir", t.TempDir(), "--log-level", "error"}, args...), Stdout: &stdout, Stderr: &stderr,
	})
	var r Result
	if stdout.Len() > 0 {
		if err := json.Unmarshal(stdout.Bytes(), &r); err != nil {
			t.Errorf("result: %v\n%s", err, stdout.String())
			return code, nil
		}
	}
	if stderr.Len() > 0 {
		t.Logf("stderr:\n%s", stderr.String())
	}
	return code, &r
}

// wantWhole checks what holds however slow the machine is.
func wantWhole(t *testing.T, code int, r *Result, due int64) {
	t.Helper()
	if !r.Correct.Held() {
		t.Errorf("correctness: got %+v", r.Correct)
	}
	if code != 0 && r.Limit != "generator" { // a busy machine may make it one
		t.Errorf("exit code %d: %q", code, r.Findings)
	}
	e := r.Events
	if e.Due != due || e.Sent != due || e.Acked != due || e.Applied != due || e.Rejected+e.Unknown != 0 {
		t.Errorf("got %+v, want %d events everywhere", e, due)
	}
	if r.Acked.Count != due || r.Applied.Count != due || r.Lateness.Count != due {
		t.Errorf("latencies: got %d, %d, %d, want %d of each", r.Acked.Count, r.Applied.Count, r.Lateness.Count, due)
	}
	if r.Applied.P50 <= 0 || r.Applied.P50 > r.Applied.P99 || r.Applied.P99 > r.Applied.Max {
		t.Errorf("applied: got %+v", r.Applied)
	}
	if r.Observation.Count == 0 || r.Correct.Between.States == 0 || r.Correct.Between.Unchecked != 0 {
		t.Errorf("the store was not looked at: %+v, %+v", r.Observation, r.Correct.Between)
	}
	if len(r.Series) == 0 || r.Machine.Cores == 0 || r.Versions.Store == "" || r.Versions.Kafka == "" {
		t.Errorf("result lacks series, machine or versions: %+v", r)
	}
}

func TestRunThroughKafka(t *testing.T) {
	code, r := runCLI(t, "--embedded", "--load", "500:1s,500-1500:1s", "--warm-up", "500ms", "--keys", "200", "--skew", "1.2", "--size", "10-300")
	wantWhole(t, code, r, 1500)
	if got, want := r.Correct.Events, int64(1750); got != want { // with the warm-up
		t.Errorf("events in the log: got %d, want %d", got, want)
	}
}

func TestRunThroughHTTP(t *testing.T) {
	code, r := runCLI(t, "--embedded", "--http", "--rate", "500", "--duration", "2s", "--warm-up", "0s", "--keys", "200", "--workers", "4")
	wantWhole(t, code, r, 1000)
	if !strings.HasPrefix(r.Settings.Door, "http://") {
		t.Errorf("door: got %q", r.Settings.Door)
	}
}

func TestWrongUsage(t *testing.T) {
	for _, args := range [][]string{
		{},
		{"--embedded", "--skew", "0.5"}, {"--embedded", "--facts", "2"}, {"--embedded", "--size", "9-3"}, {"--embedded", "--load", "fast"},
		{"--embedded", "--serve", "2"}, {"--embedded", "--watch", "x"}, {"--embedded", "--at", "soon"}, {"--embedded", "--keys", "-1"},
	} {
		if code, _ := runCLI(t, args...); code != service.ExitUsage {
			t.Errorf("%q: got exit code %d, want %d", args, code, service.ExitUsage)
		}
	}
}

// Two instances of the service share the work, and its store.
func TestRunIntoPostgres(t *testing.T) {
	store := testbed.Postgres(t)
	code, r := runCLI(t, "--embedded", "--store", store, "--serve", "2", "--rate", "500", "--duration", "2s", "--warm-up", "500ms", "--keys", "200")
	wantWhole(t, code, r, 1000)
	if r.Settings.Store != "postgres" || !strings.HasPrefix(r.Versions.Store, "PostgreSQL ") {
		t.Errorf("store: got %q, %q", r.Settings.Store, r.Versions.Store)
	}
}

// The search as its user sees it, up to a rate that a machine holds unless it is
// busy with something else.
func TestFindMaxTellsWhatItTried(t *testing.T) {
	code, r := runCLI(t, "--embedded", "--find-max", "--rate", "50", "--max-rate", "100", "--step", "1s", "--confirm", "1s", "--warm-up", "200ms", "--keys", "200")
	if len(r.Search) < 2 || r.Search[0].Rate != 50 || !r.Correct.Held() {
		t.Fatalf("got %+v, want 50 and what follows", r.Search)
	}
	for _, a := range r.Search {
		if a.Held == (a.Why != "") {
			t.Errorf("%+v: want it held, or a reason", a)
		}
	}
	if last := r.Search[len(r.Search)-1]; (code == 0) != (last.Held && last.Confirmation) {
		t.Errorf("exit code %d after %+v", code, last)
	}
	if second := r.Search[1].Rate; r.Search[0].Held && second != 100 || !r.Search[0].Held && second != 25 {
		t.Errorf("second rate: got %v, want 100 when 50 is held, and 25 when it is not", second)
	}
}

func TestServiceThatEndsIsTold(t *testing.T) {
	var stdout, stderr bytes.Buffer
	code := service.Execute(t.Context(), newCommand(strings.NewReader(""), &stdout, &stderr), service.Process{
		Args: []string{"run", "--embedded", "--dir", t.TempDir(), "--store", "sqlite:" + t.TempDir() + "/missing/loadtest.db", "--patience", "20s"}, Stdout: &stdout, Stderr: &stderr,
	})
	if code != service.ExitFailed || stdout.Len() > 0 || !strings.Contains(stderr.String(), "service-1 has ended by itself") {
		t.Errorf("got exit code %d, output %q, errors %q", code, stdout.String(), stderr.String())
	}
	t.Logf("said: %s", stderr.String())
}
