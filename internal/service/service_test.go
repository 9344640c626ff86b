package service_test

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"firehose/internal/service"
)

// actAs makes the test binary a program of its own, so that signals meet a
// real process: see TestSignals.
const actAs = "SERVICE_TEST_ACT_AS"

func TestMain(m *testing.M) {
	if name := os.Getenv(actAs); name != "" {
		os.Exit(service.Main(context.Background(), actor(name)))
	}
	goleak.VerifyTestMain(m)
}

// actor is a program of one member. It says on stdout how far it is.
func actor(name string) *service.Command {
	return &service.Command{Name: "actor", Run: func(ctx context.Context, _ []string) error {
		if name == "plain" {
			fmt.Println("running")
			<-ctx.Done()
			return ctx.Err()
		}
		grace := time.Hour
		if name == "overdue" {
			grace = time.Millisecond
		}
		group := service.NewGroup(ctx, grace)
		group.Go("work", func(stop, abort context.Context) error {
			fmt.Println("running")
			<-stop.Done()
			fmt.Println("stopping")
			switch name {
			case "obedient":
				return nil
			case "deaf":
				select {}
			}
			<-abort.Done()
			fmt.Println("aborting")
			return nil
		})
		return group.Wait()
	}}
}

// untilGone asks for as many signals as it takes.
const untilGone = -1

func TestSignals(t *testing.T) {
	tests := []struct {
		name   string
		says   []string // a signal follows each of the first lines, as many as signals
		signal int      // how many signals are sent
		code   int      // -1: killed by the last signal
		stderr string
	}{
		{name: "obedient", says: []string{"running", "stopping"}, signal: 1, code: service.ExitDone},
		{name: "slow", says: []string{"running", "stopping", "aborting"}, signal: 2, code: service.ExitFailed, stderr: "aborted"},
		{name: "overdue", says: []string{"running", "stopping", "aborting"}, signal: 1, code: service.ExitFailed, stderr: "aborted"},
		{name: "plain", says: []string{"running"}, signal: 1, code: service.ExitFailed, stderr: "interrupted"},
		{name: "deaf", says: []string{"running", "stopping"}, signal: untilGone, code: -1},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.CommandContext(t.Context(), os.Args[0])
			cmd.Env = []string{actAs + "=" + tt.name}
			stdout, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			var stderr strings.Builder
			cmd.Stderr = &stderr
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			lines := bufio.NewScanner(stdout)
			for i, want := range tt.says {
				if !lines.Scan() || lines.Text() != want {
					t.Fatalf("line %d: got %q (%v), want %q", i, lines.Text(), lines.Err(), want)
				}
				if i < tt.signal || tt.signal == untilGone {
					signal(t, cmd.Process)
				}
			}
			gone := make(chan struct{})
			go func() {
				defer close(gone)
				_, _ = io.Copy(io.Discard, stdout)
				_ = cmd.Wait() // its verdict is in ProcessState
			}()
			if tt.signal == untilGone {
				signalUntil(t, gone, cmd.Process)
			}
			<-gone
			if got := cmd.ProcessState.ExitCode(); got != tt.code {
				t.Errorf("got exit code %d, want %d; stderr: %s", got, tt.code, stderr.String())
			}
			if !strings.Contains(stderr.String(), tt.stderr) {
				t.Errorf("got stderr %q, want it to contain %q", stderr.String(), tt.stderr)
			}
		})
	}
}

func signal(t *testing.T, p *os.Process) {
	t.Helper()
	if err := p.Signal(syscall.SIGTERM); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Fatal(err)
	}
}

// signalUntil goes on sending until the process is gone: signals of one kind
// that come before the handler has taken the last one are merged.
func signalUntil(t *testing.T, gone <-chan struct{}, p *os.Process) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(4 * time.Second) // below the five seconds after which Wait gives up by itself
	for {
		select {
		case <-gone:
			return
		case <-tick.C:
			signal(t, p)
		case <-deadline:
			t.Error("a third signal did not kill the process")
			_ = p.Kill()
			return
		}
	}
}
