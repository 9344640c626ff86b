package e2e_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// patience bounds every wait: long, since nothing that works needs it.
const patience = 2 * time.Minute

// process is a running firehose dev.
type process struct {
	t      *testing.T
	cmd    *exec.Cmd
	stderr bytes.Buffer
	read   sync.WaitGroup

	broker, registry, admin string
	try                     []string // the lines that it prints to be pasted
}

// startDev starts firehose dev on dir, on free ports, and waits until it says
// where it listens. failpoint is NAME:N, or empty.
func startDev(t *testing.T, dir, failpoint string, args ...string) *process {
	t.Helper()
	p := &process{t: t}
	p.cmd = exec.CommandContext(t.Context(), program(t, "firehose"), append([]string{"dev", "--dir", dir,
		"--kafka-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"}, args...)...)
	p.cmd.Env = environment(failpoint)
	p.cmd.Stderr = &p.stderr
	stdout, err := p.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	started := make(chan struct{})
	p.read.Go(func() {
		defer close(started)
		hints := false
		for lines := bufio.NewScanner(stdout); lines.Scan(); {
			if hints && lines.Text() == "" {
				hints = false
				started <- struct{}{}
			}
			if hints {
				p.try = append(p.try, lines.Text())
			}
			name, value, _ := strings.Cut(strings.TrimSpace(lines.Text()), " ")
			value = strings.TrimSpace(value)
			switch name {
			case "broker":
				p.broker = value
			case "registry":
				p.registry = value
			case "admin":
				p.admin = value
			case "Try":
				hints = true
			}
		}
	})
	select {
	case _, running := <-started:
		if running {
			go func() { <-started }()
		}
	case <-time.After(patience):
		_ = p.cmd.Process.Kill()
		t.Fatal("firehose dev does not say where it listens")
	}
	return p
}

// environment is this process's, without what the programs would read as theirs.
func environment(failpoint string) []string {
	var env []string
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "FIREHOSE_") {
			env = append(env, v)
		}
	}
	if failpoint != "" {
		env = append(env, "FIREHOSE_FAILPOINT="+failpoint)
	}
	return env
}

// wait waits for the end and returns what killed it, or nil.
func (p *process) wait() error {
	p.t.Helper()
	overdue := time.AfterFunc(patience, func() {
		p.t.Errorf("still running after %s", patience)
		_ = p.cmd.Process.Kill() // it may just have ended
	})
	defer overdue.Stop()
	p.read.Wait()
	return p.cmd.Wait()
}

// kill sends SIGKILL and waits.
func (p *process) kill() {
	p.t.Helper()
	_ = p.cmd.Process.Kill() // it may have been faster
	p.wantKilled(p.wait())
}

func (p *process) wantKilled(err error) {
	p.t.Helper()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.Sys().(syscall.WaitStatus).Signal() != syscall.SIGKILL {
		p.t.Fatalf("ended with %v, want SIGKILL\n%s", err, p.stderr.String())
	}
}

// interrupt is Ctrl-C, which must end in good order.
func (p *process) interrupt() {
	p.t.Helper()
	if err := p.cmd.Process.Signal(os.Interrupt); err != nil {
		p.t.Fatal(err)
	}
	if err := p.wait(); err != nil {
		p.t.Fatalf("after SIGINT: %v, want exit 0\n%s", err, p.stderr.String())
	}
}

// metric is the sum of a metric over its series; 0 while nobody answers.
func (p *process) metric(name string) float64 {
	req, err := http.NewRequestWithContext(p.t.Context(), http.MethodGet, p.admin, nil)
	if err != nil {
		p.t.Fatal(err)
	}
	resp, err := oneShot.Do(req)
	if err != nil {
		return 0 // it may be dead already; the deadline of whoever waits decides
	}
	defer resp.Body.Close()
	sum := 0.0
	for lines := bufio.NewScanner(resp.Body); lines.Scan(); {
		series, value, _ := strings.Cut(lines.Text(), " ")
		if base, _, _ := strings.Cut(series, "{"); base == name {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				p.t.Fatalf("metric %s: %v", name, err)
			}
			sum += n
		}
	}
	return sum
}

// oneShot leaves no connections behind.
var oneShot = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}

// until polls a condition.
func until(t *testing.T, what string, condition func() bool) {
	t.Helper()
	deadline, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline.Done():
			t.Fatalf("waited in vain for: %s", what)
		}
	}
}

// summary is what firehose dev -J prints.
type summary struct {
	Idle bool `json:"idle"`
	Sent struct {
		Events  int64            `json:"events"`
		ByTopic map[string]int64 `json:"by_topic"`
	} `json:"sent"`
	Services []struct {
		Name     string `json:"name"`
		Applied  int64  `json:"applied"`
		SetAside int64  `json:"set_aside"`
	} `json:"services"`
}

// devUntilIdle runs firehose dev until everything is applied.
func devUntilIdle(t *testing.T, dir string, args ...string) summary {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), program(t, "firehose"), append([]string{"dev", "--dir", dir, "--exit-when-idle", "-J",
		"--kafka-listen", "127.0.0.1:0", "--registry-listen", "127.0.0.1:0", "--listen", "127.0.0.1:0"}, args...)...)
	cmd.Env = environment("")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("firehose dev: %v\n%s", err, stderr.String())
	}
	var s summary
	if err := json.Unmarshal(out, &s); err != nil {
		t.Fatalf("summary: %v\n%s", err, out)
	}
	if !s.Idle {
		t.Fatalf("it ended before everything was applied: %s", out)
	}
	return s
}
