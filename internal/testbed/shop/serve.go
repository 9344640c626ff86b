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
	lines := s.gaveUp(1, program, args...)
	return lines[len(lines)-1]
}

// Misused is Refused of a program that was called wrongly: exit code 2, and behind
// the line where to read on.
func (s *Shop) Misused(program string, args ...string) string {
	s.t.Helper()
	lines := s.gaveUp(2, program, args...)
	if len(lines) < 2 || !strings.HasPrefix(lines[len(lines)-1], "Try: ") {
		s.t.Errorf("%s: got %q, want a line that says where to read on", program, lines)
		return ""
	}
	return lines[len(lines)-2]
}

// gaveUp returns the lines of standard error of a program that exits with code.
func (s *Shop) gaveUp(code int, program string, args ...string) []string {
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
	if !errors.As(err, &exit) || exit.ExitCode() != code {
		s.t.Errorf("%s %s: %v, want exit code %d\n%s", program, strings.Join(args, " "), err, code, stderr.String())
	}
	return strings.Split(strings.TrimSpace(stderr.String()), "\n")
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
