package dev

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"firehose/internal/service"
)

// execute runs firehose dev in this process, on free ports.
func execute(ctx context.Context, stdout io.Writer, args ...string) (code int, stderr string) {
	var errors bytes.Buffer
	cmd := Command()
	c := &command{stdout: stdout, stderr: &errors}
	cmd.Register, cmd.Run = c.register, c.run
	root := &service.Command{Name: "firehose", Commands: []*service.Command{cmd}}
	code = service.Execute(ctx, root, service.Process{
		Args: append([]string{"dev", "--kafka-listen", ":0", "--registry-listen", ":0", "--listen", ":0"}, args...), Stdout: stdout, Stderr: &errors,
	})
	return code, errors.String()
}

func TestUsageErrors(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	for _, tt := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown data set", []string{"--replay", "enron"}, `--replay: data set "enron": there is only cdnow`},
		{"no purchases", []string{"--replay", "cdnow:0"}, "--replay: data set \"cdnow:0\": want 1 to 69659 purchases"},
		{"never idle", []string{"--simulate", "5", "--exit-when-idle"}, "--exit-when-idle: --simulate never ends"},
		{"negative rate", []string{"--replay", "cdnow", "--rate", "-1"}, "--rate -1"},
		{"rate that is none", []string{"--simulate", "NaN"}, "--simulate NaN"},
		{"rate of nothing", []string{"--rate", "10"}, "--rate: is the replay's"},
		{"no directory", []string{"--dir", ""}, "--dir: want a directory"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			code, stderr := execute(t.Context(), io.Discard, append([]string{"--dir", dir}, tt.args...)...)
			if code != service.ExitUsage || !strings.Contains(stderr, tt.want) {
				t.Errorf("exit %d, %q, want exit %d, %q", code, stderr, service.ExitUsage, tt.want)
			}
		})
	}
	if _, err := os.Stat(dir); err == nil {
		t.Error("a call that was refused made the directory")
	}
}

func TestTakenAddress(t *testing.T) {
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for _, flag := range []string{"--kafka-listen", "--registry-listen", "--listen", "--admin"} {
		t.Run(flag, func(t *testing.T) {
			code, stderr := execute(t.Context(), io.Discard, "--dir", t.TempDir(), flag, taken.Addr().String())
			if want := flag + " " + taken.Addr().String(); code != service.ExitFailed || !strings.Contains(stderr, want) {
				t.Errorf("exit %d, %q, want exit %d, %q", code, stderr, service.ExitFailed, want)
			}
		})
	}
}

// started is a writer that closes a channel when the lines to try are out.
type started struct {
	text bytes.Buffer
	out  chan struct{}
}

func (s *started) Write(p []byte) (int, error) {
	n, err := s.text.Write(p)
	if strings.Contains(string(p), "Try next") {
		close(s.out)
	}
	return n, err
}

func TestStopsWhenAskedAndGoesOn(t *testing.T) {
	dir := t.TempDir()
	ctx, stop := context.WithCancel(t.Context())
	out := &started{out: make(chan struct{})}
	code := make(chan int, 1)
	go func() {
		c, _ := execute(ctx, out, "--dir", dir, "--replay", "cdnow:300", "--rate", "500", "--simulate", "50")
		code <- c
	}()
	<-out.out

	if c, stderr := execute(t.Context(), io.Discard, "--dir", dir); c != service.ExitFailed || !strings.Contains(stderr, "another firehose dev runs on it") {
		t.Errorf("a second one on the directory: exit %d, %q, want a refusal", c, stderr)
	}
	stop()
	if c := <-code; c != service.ExitDone {
		t.Errorf("asked to stop: exit %d, want %d", c, service.ExitDone)
	}
	if !strings.Contains(out.text.String(), "stopped; starting again on "+dir+" goes on from here") {
		t.Errorf("it does not say that it stopped:\n%s", out.text.String())
	}

	var sent int64
	for range 2 {
		var text bytes.Buffer
		if c, stderr := execute(t.Context(), &text, "--dir", dir, "--replay", "cdnow:300", "--exit-when-idle", "-J"); c != service.ExitDone {
			t.Fatalf("exit %d: %s", c, stderr)
		}
		var s summary
		if err := json.Unmarshal(text.Bytes(), &s); err != nil {
			t.Fatalf("standard output is not the summary alone: %v\n%s", err, text.String())
		}
		if !s.Idle || len(s.Service) != 3 {
			t.Errorf("summary %+v, want idle, with three services", s)
		}
		for _, m := range s.Service {
			if m.Duplicate+m.Stale+m.Conflicts+m.SetAside != 0 {
				t.Errorf("%+v: something came twice", m)
			}
		}
		sent = s.Sent.Events
	}
	if sent != 0 {
		t.Errorf("with everything sent it sent %d more", sent)
	}
}

func TestConsole(t *testing.T) {
	var out bytes.Buffer
	c := &console{w: &out, terminal: true}
	c.show("sent 1")
	if _, err := c.Write([]byte("a line\n")); err != nil {
		t.Fatal(err)
	}
	c.show("")
	if got, want := out.String(), clearLine+"sent 1"+clearLine+"a line\nsent 1"+clearLine; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestGrouped(t *testing.T) {
	for n, want := range map[int64]string{0: "0", 999: "999", 1000: "1,000", 69_659: "69,659", 250_031_563: "250,031,563"} {
		if got := grouped(n); got != want {
			t.Errorf("grouped(%d) = %s, want %s", n, got, want)
		}
	}
}

func TestWord(t *testing.T) {
	for s, want := range map[string]string{"bin/firehose": "bin/firehose", "": "''", "my data": "'my data'", "it's": `'it'\''s'`} {
		if got := word(s); got != want {
			t.Errorf("word(%q) = %s, want %s", s, got, want)
		}
	}
}
