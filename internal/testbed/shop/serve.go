package shop

import (
	"bytes"
	"context"
	"errors"
	"os/exec"
	"strings"
	"time"
)

// Refused runs a program that must give up by itself, within ten seconds and
// with exit code 1, and returns the line in which it says why: the last one on
// standard error.
func (s *Shop) Refused(program string, args ...string) string {
	s.t.Helper()
	ctx, cancel := context.WithTimeout(s.t.Context(), 10*time.Second)
	defer cancel()
	cmd := exec.CommandContext(ctx, Program(s.t, program), args...)
	cmd.Env = Environment()
	cmd.Dir = s.t.TempDir()
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 1 {
		s.t.Errorf("%s %s: %v, want exit code 1\n%s", program, strings.Join(args, " "), err, stderr.String())
	}
	lines := strings.Split(strings.TrimSpace(stderr.String()), "\n")
	return lines[len(lines)-1]
}

// Serve starts producer serve and returns where its door is.
func (s *Shop) Serve(args ...string) (*Process, string) {
	s.t.Helper()
	p := s.start("producer", append([]string{"serve", "--listen", "127.0.0.1:0", "--brokers", s.brokers(), "--registry", s.cfg.Registry},
		append(s.as("producer"), args...)...)...)
	p.awaitAdmin()
	door := ""
	Until(s.t, "producer says where its door is", func() bool {
		p.Log(func(line map[string]any) bool {
			if line["msg"] == "takes events" {
				door, _ = line["addr"].(string)
			}
			return door == ""
		})
		p.wantRunning()
		return door != ""
	})
	return p, "http://" + door
}
