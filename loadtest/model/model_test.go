package model

import (
	"bytes"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"firehose/internal/service"
	"firehose/loadtest"
)

// known is what an event costs in the system that the tests make up.
var known = cost{perEvent: 5e-6, perKB: 2e-6, perRow: 8e-6, perFact: 4e-6}

// made is a run of a system whose costs are known, but for an error.
func made(t *testing.T, name string, traffic loadtest.Traffic, wrong float64) string {
	t.Helper()
	w := Work{Keys: traffic.Keys, Batch: defaultBatch, Facts: traffic.Facts, Skew: traffic.Skew, PaddingBytes: float64(traffic.MinBytes+traffic.MaxBytes) / 2}
	each := known.of(w.terms()) * wrong
	r := &loadtest.Result{Format: 1, Name: name, Settings: loadtest.Settings{Store: "sqlite", Instances: 1, Traffic: traffic}, Correct: loadtest.Correctness{Checked: true}}
	at, rate := 0.0, 1/each
	for i := range 10 {
		at++
		s := loadtest.Second{At: at, Length: 1, Applied: rate, Usage: map[string]loadtest.Usage{"service": {Cores: 0.5}}}
		if i < 4 { // while it is sent, all is different
			s.Due, s.Sent, s.Acked, s.Applied = 3*rate, 3*rate, 3*rate, rate/2
		}
		if i < 9 {
			s.Behind = int64(rate) * int64(9-i)
		}
		r.Series = append(r.Series, s)
	}
	path := filepath.Join(t.TempDir(), name)
	file, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	if err := r.Write(file); err != nil {
		t.Fatal(err)
	}
	if err := file.Close(); err != nil {
		t.Fatal(err)
	}
	return path
}

func call(t *testing.T, args ...string) (int, string) {
	t.Helper()
	var stdout, stderr bytes.Buffer
	code := service.Execute(t.Context(), &service.Command{Name: "loadtest", Commands: []*service.Command{Command(&stdout)}},
		service.Process{Args: append([]string{"model"}, args...), Stdout: &stdout, Stderr: &stderr})
	return code, stdout.String() + stderr.String()
}

var fittedOn = []loadtest.Traffic{
	{Keys: 100, MinBytes: 100, MaxBytes: 100}, {Keys: 100_000, MinBytes: 100, MaxBytes: 100}, {Keys: 100_000, MinBytes: 1000, MaxBytes: 1000},
	{Keys: 100, Facts: 1, MinBytes: 100, MaxBytes: 100}, {Keys: 100_000, Facts: 1, MinBytes: 50, MaxBytes: 150}, {Keys: 1000, Facts: 0.5},
}

func TestKnownCostsAreFound(t *testing.T) {
	var args []string
	for i, traffic := range fittedOn {
		args = append(args, made(t, strconv.Itoa(i), traffic, 1+0.02*(rand.Float64()-0.5)))
	}
	runs, err := readAll(args, defaultBatch)
	if err != nil {
		t.Fatal(err)
	}
	model, err := fit(runs)
	if err != nil {
		t.Fatal(err)
	}
	got := model.seconds[kind{"sqlite", 1}]
	for i := range got {
		if math.Abs(got[i]-known[i]) > 0.15*known[i] {
			t.Errorf("%s: got %.3g s, want %.3g", termNames[i], got[i], known[i])
		}
	}
	other := made(t, "other", loadtest.Traffic{Keys: 20_000, Facts: 0.2, MinBytes: 500, MaxBytes: 500}, 1)
	if code, text := call(t, append(args, "--held-out", other, "--rate", "1000000", "--burst", "3000000")...); code != 0 || !strings.Contains(text, "| other |") || !strings.Contains(text, "of them are needed") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	// A system that is a third slower than its costs is noticed.
	slower := made(t, "slower", loadtest.Traffic{Keys: 20_000, Facts: 0.2, MinBytes: 500, MaxBytes: 500}, 1.35)
	if code, text := call(t, append(args, "--held-out", slower)...); code != service.ExitFailed || !strings.Contains(text, "1 held-out runs") {
		t.Errorf("exit code %d, want %d:\n%s", code, service.ExitFailed, text)
	}
}

// What says nothing about the most that a system can take is refused.
func TestRunsThatTellNothing(t *testing.T) {
	idle := &loadtest.Result{Format: 1, Name: "idle", Correct: loadtest.Correctness{Checked: true}, Series: []loadtest.Second{{Length: 1, Due: 10, Applied: 10}, {Length: 1}}}
	if _, err := read(idle, defaultBatch); err == nil || !strings.Contains(err.Error(), "want at least 1") {
		t.Errorf("a run that kept up: %v", err)
	}
	lost := &loadtest.Result{Format: 1, Name: "lost", Correct: loadtest.Correctness{Checked: true, Missing: 1}}
	if _, err := read(lost, defaultBatch); err == nil || !strings.Contains(err.Error(), "once and in order") {
		t.Errorf("a run that lost an event: %v", err)
	}
	few := []string{made(t, "few", fittedOn[0], 1), made(t, "few2", fittedOn[1], 1)}
	if code, text := call(t, few...); code != service.ExitFailed || !strings.Contains(text, "2 runs to fit") {
		t.Errorf("exit code %d:\n%s", code, text)
	}
	if code, _ := call(t); code != service.ExitUsage {
		t.Errorf("no runs: exit code %d", code)
	}
}

// Keys that a batch holds, against drawing them.
func TestDistinct(t *testing.T) {
	for _, tt := range []struct {
		n, keys int
		skew    float64
	}{{1000, 100, 0}, {1000, 10_000, 0}, {20_000, 100_000, 0}, {20_000, 5000, 1.2}} {
		rng := rand.New(rand.NewPCG(1, 2))
		draw := func() int { return rng.IntN(tt.keys) }
		if tt.skew > 0 {
			zipf := rand.NewZipf(rng, tt.skew, 1, uint64(tt.keys-1))
			draw = func() int { return int(zipf.Uint64()) }
		}
		seen := map[int]bool{}
		for range tt.n {
			seen[draw()] = true
		}
		if got, want := distinct(float64(tt.n), tt.keys, tt.skew), float64(len(seen)); math.Abs(got-want) > 0.05*want {
			t.Errorf("%+v: got %.0f, want %.0f", tt, got, want)
		}
	}
}
