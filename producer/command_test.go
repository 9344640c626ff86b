package producer_test

import (
	"bytes"
	"context"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"firehose/internal/service"
	"firehose/producer"
)

// execute runs the producer binary's command line in this process.
func execute(ctx context.Context, b *backend, stdin string, args ...string) (code int, stdout, stderr string) {
	var out, errs safeBuffer
	cmd := producer.NewCommand(strings.NewReader(stdin), &out, &errs)
	code = service.Execute(ctx, cmd, service.Process{
		Args: args, Stdout: &out, Stderr: &errs,
		Env: []string{"FIREHOSE_BROKERS=" + b.broker.Addr(), "FIREHOSE_REGISTRY=" + b.registryURL},
	})
	return code, out.String(), errs.String()
}

// What is refused can be mended in the file that was written of it, and sent again.
func TestSendCommand(t *testing.T) {
	b := startBackend(t, backendConfig{})
	dir := t.TempDir()
	refused := filepath.Join(dir, "refused.ndjson")
	bad := strings.Replace(movementLine("m-2", "s-1"), `:5`, `:"5"`, 1)
	events := strings.Join([]string{movementLine("m-1", "s-1"), bad, movementLine("m-3", "s-1")}, "\n")

	code, stdout, stderr := execute(t.Context(), b, events, "send", "--refused", refused, "-")
	if got := results(t, stdout); code != service.ExitFailed || len(got) != 3 || got[1].Field != "quantity" || stderr != "" {
		t.Fatalf("exit %d, answers %s, errors %q; want exit 1 and line 2 refused", code, stdout, stderr)
	}
	text, err := os.ReadFile(refused)
	if err != nil || string(text) != bad+"\n" {
		t.Fatalf("refused %q, %v, want %q", text, err, bad)
	}
	if code, _, stderr := execute(t.Context(), b, "", "send", "--refused", refused, refused); code != service.ExitUsage {
		t.Errorf("refused lines into the input: exit %d %q, want 2", code, stderr)
	}
	mended := filepath.Join(dir, "mended.ndjson")
	if err := os.WriteFile(mended, bytes.ReplaceAll(text, []byte(`"5"`), []byte(`5`)), 0o600); err != nil {
		t.Fatal(err)
	}
	code, stdout, stderr = execute(t.Context(), b, "", "send", "--refused", refused, mended)
	if got := results(t, stdout); code != service.ExitDone || len(got) != 1 || got[0].ID != "m-2" {
		t.Errorf("mended: exit %d, answers %s, errors %q", code, stdout, stderr)
	}
	if text, err := os.ReadFile(refused); err != nil || len(text) != 0 {
		t.Errorf("nothing was refused, but the file holds %q, %v", text, err)
	}
	if records := b.records(t); len(records) != 3 {
		t.Errorf("%d records, want 3", len(records))
	}
}

// A line that is too long to be kept cannot be among the refused lines: standard
// error says which it was, and the run has failed.
func TestSendCommandLongLine(t *testing.T) {
	b := startBackend(t, backendConfig{})
	refused := filepath.Join(t.TempDir(), "refused.ndjson")
	long := `{"type":"shop.stock.moved","data":"` + strings.Repeat(canary, 100_000) + `"}`
	events := strings.Join([]string{movementLine("m-1", "s-1"), long, canary}, "\n")
	code, stdout, stderr := execute(t.Context(), b, events, "send", "--refused", refused, "-")
	if got := results(t, stdout); code != service.ExitFailed || len(got) != 3 || got[1].Status != 413 {
		t.Errorf("exit %d, answers %s, want exit 1 and line 2 too large", code, stdout)
	}
	if text, err := os.ReadFile(refused); err != nil || string(text) != canary+"\n" {
		t.Errorf("refused %q, %v, want line 3 alone", text, err)
	}
	if !regexp.MustCompile(`too long.*"file":"standard input","line":2}`).MatchString(stderr) || strings.Contains(stderr, canary) {
		t.Errorf("standard error says %q, want line 2 of standard input named, and nothing of it shown", stderr)
	}
}

func TestCommandUsage(t *testing.T) {
	b := startBackend(t, backendConfig{})
	for _, args := range [][]string{
		{"send"},
		{"send", "--attempts", "0", "-"},
		{"serve", "--max-event-bytes", "-1"},
		{"serve", "--max-caller-bytes", "1"},
		{"serve", "--nothing"},
		{"replay", "nothing"},
		{"replay", "--rate", "1", "--speed", "1"},
		{"simulate", "--rate", "-1"},
		{"serve", "--compression", "zip"},
		{"serve", "--sasl-user", "u"},
		{"serve", "--listen", "nonsense"},
		{"serve", "--listen", "127.0.0.1:99999"},
		{"serve", "--admin", "nonsense"},
		{"send", "--brokers", "nonsense", "-"},
		{"send", "--timeout", "-1s", "-"},
		{"send", "--source", "", "-"},
		{"replay", "--registry", "ftp://nowhere"},
		{"simulate", "--count", "1", "--schemas", filepath.Join(t.TempDir(), "none")},
		{"nothing"},
	} {
		if code, _, stderr := execute(t.Context(), b, "", args...); code != service.ExitUsage || stderr == "" {
			t.Errorf("%v: exit %d %q, want 2 and a reason", args, code, stderr)
		}
	}
	if code, _, stderr := execute(t.Context(), b, "", "send", filepath.Join(t.TempDir(), "none")); code != service.ExitFailed || !strings.Contains(stderr, "none") {
		t.Errorf("a file that does not exist: exit %d %q, want 1 and its name", code, stderr)
	}
}

func TestSimulateCommand(t *testing.T) {
	b := startBackend(t, backendConfig{})
	checkpoint := filepath.Join(t.TempDir(), "checkpoint")
	for i, want := range []string{"events 0 to 50: 50 acknowledged", "events 50 to 100: 50 acknowledged"} {
		code, stdout, stderr := execute(t.Context(), b, "", "simulate", "--rate", "0", "--count", "50", "--checkpoint", checkpoint)
		if code != service.ExitDone || !strings.HasPrefix(stdout, want) || stderr != "" {
			t.Errorf("run %d: exit %d %q %q, want %q, and no word of an admin port that nobody asked for", i, code, stdout, stderr, want)
		}
	}
	if records := b.records(t); len(records) != 100 {
		t.Errorf("%d records, want 100", len(records))
	}
}

func TestServeCommand(t *testing.T) {
	b := startBackend(t, backendConfig{})
	var out, errs safeBuffer
	cmd := producer.NewCommand(strings.NewReader(""), &out, &errs)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	exit := make(chan int, 1)
	go func() {
		exit <- service.Execute(ctx, cmd, service.Process{
			Args:   []string{"serve", "--listen", "127.0.0.1:0", "--brokers", b.broker.Addr(), "--registry", b.registryURL},
			Stdout: &out, Stderr: &errs,
		})
	}()
	addr := regexp.MustCompile(`"takes events","addr":"([^"]+)"`)
	admin := regexp.MustCompile(`"admin listens","addr":"([^"]+)"`)
	waitFor(t, "the door to open", func() bool { return addr.MatchString(errs.String()) })
	d := &door{
		backend: b, url: "http://" + addr.FindStringSubmatch(errs.String())[1],
		client: &http.Client{Transport: &http.Transport{DisableKeepAlives: true}},
	}
	if a := d.post(t, "shop.stock.moved", movement("m-1", "s-1")); a.status != 200 {
		t.Errorf("got %d %s", a.status, a.body)
	}
	a := &door{url: "http://" + admin.FindStringSubmatch(errs.String())[1], client: d.client}
	waitFor(t, "readiness", func() bool { return a.do(t, "GET", "/readyz", nil, nil).status == 200 })
	metrics := a.do(t, "GET", "/metrics", nil, nil).body
	for _, want := range []string{
		`firehose_http_requests_total{code="200",route="event"} 1`,
		`firehose_http_events_total{result="acknowledged"} 1`,
		`firehose_producer_acknowledged_total{topic="shop.stock-movements"} 1`,
	} {
		if !strings.Contains(metrics, want+"\n") {
			t.Errorf("/metrics lacks %s", want)
		}
	}
	stop()
	if code := <-exit; code != service.ExitDone {
		t.Errorf("exit %d, want 0: %s", code, errs.String())
	}
	if strings.Contains(errs.String(), `"ERROR"`) {
		t.Errorf("errors were logged: %s", errs.String())
	}
}
