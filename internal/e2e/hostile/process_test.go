package hostile_test

import (
	"bufio"
	"bytes"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	_ "modernc.org/sqlite" // the driver that reads what the services wrote
)

// The canaries. Tests put them into every payload that they send.
const (
	secret = "sk_live_51CanaryHush4242424242"
	person = "erika.mustermann@canary.example"
)

// wantNoCanary checks that nothing of a payload shows in what somebody said.
func wantNoCanary(t *testing.T, who, said string) {
	t.Helper()
	for _, canary := range []string{secret, person} {
		if i := strings.Index(said, canary); i >= 0 {
			t.Errorf("%s: shows a payload: …%s…", who, said[max(0, i-200):min(len(said), i+len(canary)+80)])
		}
	}
}

// patience bounds every wait: long, since nothing that works needs it.
const patience = time.Minute

// process is a running program.
type process struct {
	t     *testing.T
	cmd   *exec.Cmd
	log   buffer // standard error
	out   buffer
	ended bool
	dir   string

	broker, registry, door, admin string
}

// buffer can be read while it is written.
type buffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *buffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *buffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// startDev starts firehose dev on free ports and a directory of its own, waits
// until it is ready, and at the test's end stops it in good order and looks for
// canaries in all that it said.
func startDev(t *testing.T, args ...string) *process {
	t.Helper()
	dir := t.TempDir()
	p := start(t, "firehose", append([]string{"dev", "--dir", dir, "--log-level", "debug", "--log-format", "json",
		"--kafka-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"}, args...)...)
	p.dir = dir
	until(t, "firehose dev to say where it listens", func() bool { return strings.Contains(p.out.String(), "Try next") })
	said := map[string]string{}
	for lines := bufio.NewScanner(strings.NewReader(p.out.String())); lines.Scan(); {
		if words := strings.Fields(lines.Text()); len(words) == 2 {
			said[words[0]] = words[1]
		}
	}
	p.broker, p.registry = said["broker"], said["registry"]
	p.door = strings.TrimSuffix(said["events"], "/v1/events/{type}")
	p.admin = strings.TrimSuffix(said["admin"], "/metrics")
	until(t, "firehose dev to be ready", func() bool { status, _ := p.get("/readyz"); return status == http.StatusOK })
	return p
}

// start starts a program that is stopped at the test's end.
func start(t *testing.T, name string, args ...string) *process {
	t.Helper()
	// It outlives the test's context, which would only kill it.
	p := &process{t: t, cmd: exec.CommandContext(context.WithoutCancel(t.Context()), program(t, name), args...)}
	p.cmd.Env = environment()
	p.cmd.Stdout, p.cmd.Stderr = &p.out, &p.log
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop() })
	return p
}

// stop is Ctrl-C. What the process has said until then must not show a payload.
func (p *process) stop() {
	if p.ended {
		return
	}
	p.ended = true
	if p.admin != "" {
		_, metrics := p.get("/metrics")
		if !strings.Contains(metrics, "firehose_") {
			p.t.Errorf("no metrics at the end: %s", metrics)
		}
		wantNoCanary(p.t, "metrics", metrics)
	}
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Errorf("%s: %v", p.cmd.Path, err)
	}
	if err := p.cmd.Wait(); err != nil {
		p.t.Errorf("%s: %v\n%s", p.cmd.Path, err, last(p.log.String(), 2000))
	}
	wantNoCanary(p.t, "log", p.log.String())
	wantNoCanary(p.t, "standard output", p.out.String())
}

func last(s string, n int) string { return s[max(0, len(s)-n):] }

// environment is this process's, without what the programs would read as theirs.
func environment() []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FIREHOSE_") {
			env = append(env, v)
		}
	}
	return env
}

// run runs a program to its end. in may be nil.
func (p *process) run(in io.Reader, name string, args ...string) (stdout, stderr string, code int) {
	p.t.Helper()
	cmd := exec.CommandContext(p.t.Context(), name, args...)
	var out, errs bytes.Buffer
	cmd.Env, cmd.Stdin, cmd.Stdout, cmd.Stderr = environment(), in, &out, &errs
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		p.t.Fatalf("%s: %v", name, err)
	}
	return out.String(), errs.String(), cmd.ProcessState.ExitCode()
}

// firehose runs a command of the operator's, which must do well, and reads the
// lines of JSON that it prints.
func firehose[T any](p *process, args ...string) []T {
	p.t.Helper()
	out, errs, code := p.run(nil, program(p.t, "firehose"), append(args, "-J", "--brokers", p.broker)...)
	if code != 0 {
		p.t.Fatalf("firehose %s: exit code %d: %s", strings.Join(args, " "), code, errs)
	}
	wantNoCanary(p.t, "firehose "+args[0], out+errs)
	var all []T
	for d := json.NewDecoder(strings.NewReader(out)); ; {
		var v T
		if err := d.Decode(&v); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			p.t.Fatalf("firehose %s: %v", strings.Join(args, " "), err)
		}
		all = append(all, v)
	}
}

// oneShot leaves no connections behind.
var oneShot = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: patience}

// get asks the admin port.
func (p *process) get(path string) (int, string) {
	// At the end the test's context is over, and the metrics are still to be had.
	req, err := http.NewRequestWithContext(context.Background(), http.MethodGet, p.admin+path, nil)
	if err != nil {
		return 0, err.Error()
	}
	resp, err := oneShot.Do(req)
	if err != nil {
		return 0, err.Error()
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0, err.Error()
	}
	return resp.StatusCode, string(body)
}

// until polls a condition, ever more slowly: some start a program to find out.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	for pause := 5 * time.Millisecond; !condition(); pause = min(2*pause, 200*time.Millisecond) {
		select {
		case <-time.After(pause):
		case <-deadline.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// number asks a service's database, which may be busy: then it is -1.
func (p *process) number(service, statement string, args ...any) int64 {
	p.t.Helper()
	db, err := sql.Open("sqlite", "file:"+filepath.Join(p.dir, service+".db")+"?mode=ro&_pragma=busy_timeout(5000)")
	if err != nil {
		p.t.Fatal(err)
	}
	defer db.Close()
	var n sql.NullInt64
	if err := db.QueryRowContext(p.t.Context(), statement, args...).Scan(&n); err != nil {
		p.t.Fatalf("%s: %s: %v", service, statement, err)
	}
	return n.Int64
}

// resident is the most memory that the process has had since the last call of
// forget, in bytes, or 0 where the system does not say.
func (p *process) resident() int64 {
	text, err := os.ReadFile(p.proc("status"))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(text)) {
		if words := strings.Fields(line); len(words) == 3 && words[0] == "VmHWM:" {
			kilobytes, err := strconv.ParseInt(words[1], 10, 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return kilobytes << 10
		}
	}
	return 0
}

func (p *process) forget() {
	_ = os.WriteFile(p.proc("clear_refs"), []byte("5"), 0) // where it cannot be written, the start counts, too
}

func (p *process) proc(name string) string {
	return filepath.Join("/proc", strconv.Itoa(p.cmd.Process.Pid), name)
}

// wantFlat runs f and checks that the process's memory grew by at most so much
// meanwhile: what it really used, and what it asked the system for, for what is
// allocated and never touched is not resident.
func (p *process) wantFlat(most int64, f func()) {
	p.t.Helper()
	p.forget()
	before, asked := p.resident(), p.metric("go_memstats_sys_bytes")
	f()
	after, askedAfter := p.resident(), p.metric("go_memstats_sys_bytes")
	p.t.Logf("memory: resident %d MiB before, at most %d MiB meanwhile; asked for %d MiB before, %d MiB after",
		before>>20, after>>20, asked>>20, askedAfter>>20)
	if after-before > most || askedAfter-asked > 2*most {
		p.t.Errorf("memory: grew by %d MiB, asked for %d MiB more; want at most %d and %d",
			(after-before)>>20, (askedAfter-asked)>>20, most>>20, 2*most>>20)
	}
}

// metric is a metric without labels.
func (p *process) metric(name string) int64 {
	p.t.Helper()
	_, text := p.get("/metrics")
	for line := range strings.Lines(text) {
		if words := strings.Fields(line); len(words) == 2 && words[0] == name {
			n, err := strconv.ParseFloat(words[1], 64)
			if err != nil {
				p.t.Fatal(err)
			}
			return int64(n)
		}
	}
	p.t.Fatalf("no metric %s", name)
	return 0
}
