package loadtest

import (
	"context"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// ParseAction reads "30s:kill -9 123".
func ParseAction(text string) (Action, error) {
	at, command, ok := strings.Cut(text, ":")
	d, err := time.ParseDuration(at)
	if !ok || err != nil || d < 0 || strings.TrimSpace(command) == "" {
		return Action{}, fmt.Errorf("action %q: want TIME:COMMAND, such as 30s:kill -9 123", text)
	}
	return Action{At: d, Text: strings.TrimSpace(command)}, nil
}

// act does what the plan wants done to the system, and marks when it began. What
// still runs when the sending is over is ended.
func (r *run) act(ctx context.Context) {
	for _, a := range r.plan.Actions {
		timer := time.NewTimer(r.plan.WarmUp + a.At - time.Since(r.start))
		select {
		case <-timer.C:
		case <-ctx.Done():
			timer.Stop()
			return
		}
		at := time.Since(r.start).Seconds()
		out, err := exec.CommandContext(ctx, "sh", "-c", a.Text).CombinedOutput()
		what := a.Text
		if err != nil {
			what = fmt.Sprintf("%s: %v: %s", a.Text, err, strings.TrimSpace(string(out)))
		}
		r.mu.Lock()
		r.marks = append(r.marks, Mark{At: at, What: what})
		r.mu.Unlock()
	}
}
