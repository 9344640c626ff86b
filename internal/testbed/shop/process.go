package shop

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// Process is a program that runs.
type Process struct {
	t     *testing.T
	name  string
	cmd   *exec.Cmd
	log   string // file of its standard error
	out   bytes.Buffer
	admin string // host:port
	ended chan struct{}
	err   error // how it ended, once ended is closed
}

func (s *Shop) start(program string, args ...string) *Process {
	s.t.Helper()
	p := &Process{t: s.t, name: program, ended: make(chan struct{})}
	log, err := os.CreateTemp(s.dir, program+"-*.log")
	if err != nil {
		s.t.Fatal(err)
	}
	defer log.Close() // the program has its own
	p.log = log.Name()
	p.cmd = exec.Command(Program(s.t, program), append(args, "--log-format", "json")...)
	p.cmd.Env = Environment()
	p.cmd.Dir = s.dir
	p.cmd.Stdout, p.cmd.Stderr = &p.out, log
	if err := p.cmd.Start(); err != nil {
		s.t.Fatal(err)
	}
	go func() {
		p.err = p.cmd.Wait()
		close(p.ended)
	}()
	s.t.Cleanup(func() {
		p.t.Helper()
		p.end()
		if s.t.Failed() {
			s.t.Logf("%s, process %d:\n%s", p.name, p.cmd.Process.Pid, p.lastLines(15))
		}
	})
	return p
}

// end ends what still runs in good order: a member that is killed keeps its
// group for the length of a session.
func (p *Process) end() {
	_ = p.cmd.Process.Signal(syscall.SIGCONT) // most have ended
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	overdue := time.AfterFunc(30*time.Second, func() { _ = p.cmd.Process.Kill() })
	defer overdue.Stop()
	<-p.ended
}

// lastLines is the end of what it has said on standard error.
func (p *Process) lastLines(n int) string {
	said, err := os.ReadFile(p.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(said)), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}

// Log calls do with each line of its log, until that returns false.
func (p *Process) Log(do func(line map[string]any) bool) {
	p.t.Helper()
	f, err := os.Open(p.log)
	if err != nil {
		p.t.Fatal(err)
	}
	defer f.Close()
	for lines := bufio.NewScanner(f); lines.Scan(); {
		var line map[string]any
		if json.Unmarshal(lines.Bytes(), &line) == nil && !do(line) {
			return
		}
	}
}

// awaitAdmin waits until it has said where its admin port is.
func (p *Process) awaitAdmin() {
	p.t.Helper()
	Until(p.t, p.name+" says where its admin port is", func() bool {
		p.Log(func(line map[string]any) bool {
			if line["msg"] == "admin listens" {
				p.admin, _ = line["addr"].(string)
			}
			return p.admin == ""
		})
		p.wantRunning()
		return p.admin != ""
	})
}

func (p *Process) wantRunning() {
	p.t.Helper()
	select {
	case <-p.ended:
		p.t.Fatalf("%s ended by itself: %v\n%s", p.name, p.err, p.lastLines(15))
	default:
	}
}

// Name is the program's.
func (p *Process) Name() string { return p.name }

// Running reports whether it has not ended yet.
func (p *Process) Running() bool {
	select {
	case <-p.ended:
		return false
	default:
		return true
	}
}

// Kill sends SIGKILL and waits.
func (p *Process) Kill() {
	p.t.Helper()
	p.wantRunning()
	p.signal(syscall.SIGKILL)
	p.wait()
}

// Terminate sends SIGTERM, after which it must end in good order.
func (p *Process) Terminate() {
	p.t.Helper()
	p.wantRunning()
	p.signal(syscall.SIGTERM)
	if p.wait(); p.err != nil {
		p.t.Errorf("%s after SIGTERM: %v, want exit 0\n%s", p.name, p.err, p.lastLines(15))
	}
}

// Freeze sends SIGSTOP.
func (p *Process) Freeze() { p.t.Helper(); p.signal(syscall.SIGSTOP) }

// Thaw sends SIGCONT.
func (p *Process) Thaw() { p.t.Helper(); p.signal(syscall.SIGCONT) }

func (p *Process) signal(s os.Signal) {
	p.t.Helper()
	if err := p.cmd.Process.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		p.t.Fatalf("%s: %v", p.name, err)
	}
}

func (p *Process) wait() {
	p.t.Helper()
	timer := time.NewTimer(patience)
	defer timer.Stop()
	select {
	case <-p.ended:
	case <-timer.C:
		p.t.Fatalf("%s still runs after %s\n%s", p.name, patience, p.lastLines(15))
	}
}

// WantDone waits for its end, which must be a good one, and returns what it has
// printed.
func (p *Process) WantDone() string {
	p.t.Helper()
	if p.wait(); p.err != nil {
		p.t.Fatalf("%s: %v\n%s", p.name, p.err, p.lastLines(15))
	}
	return p.out.String()
}

// Metric is the sum of a metric over those of its series that have all of the
// labels, which look like partition="3"; 0 while nobody answers.
func (p *Process) Metric(name string, labels ...string) float64 {
	p.t.Helper()
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, "http://"+p.admin+"/metrics", nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := oneShot.Do(req)
	if err != nil {
		return 0 // it may be dead already; the deadline of whoever waits decides
	}
	defer resp.Body.Close()
	sum := 0.0
series:
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		at := strings.LastIndexByte(lines.Text(), ' ')
		if at < 0 {
			continue
		}
		series, value := lines.Text()[:at], lines.Text()[at+1:]
		if base, _, _ := strings.Cut(series, "{"); base != name {
			continue
		}
		for _, label := range labels {
			if !strings.Contains(series, label) {
				continue series
			}
		}
		n, err := strconv.ParseFloat(value, 64)
		if err != nil {
			p.t.Fatalf("metric %s: %v", name, err)
		}
		sum += n
	}
	return sum
}

// oneShot leaves no connections behind.
var oneShot = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 10 * time.Second}

// Until polls a condition.
func Until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.C:
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// Admin is where its admin port is, host:port.
func (p *Process) Admin() string { return p.admin }
