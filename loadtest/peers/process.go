package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// use is what a process took.
type use struct {
	CPUSeconds float64 `json:"cpu_seconds"` // user and system, its start included
	PeakMB     float64 `json:"peak_mb"`     // resident
	EndMB      float64 `json:"end_mb"`      // resident when its work was done
}

// measured is one run of one contender.
type measured struct {
	Seconds      float64 `json:"seconds"`       // of the work, its process's start apart
	WholeSeconds float64 `json:"whole_seconds"` // from the process's start
	use
	Figures map[string]float64 `json:"figures,omitempty"` // its row's own
	events  int                // 0: as many as the row says
}

// watch is how a process's work is followed: by itself, with a line of JSON, or
// from outside.
type watch func(ctx context.Context) (begun, done bool, err error)

const every = 20 * time.Millisecond

// runProcess runs a contender until its work is done and ends it.
func runProcess(ctx context.Context, cmd *exec.Cmd, look watch) (m measured, lines []string, err error) {
	var errs bytes.Buffer
	cmd.Stderr = &errs
	var out io.Reader = strings.NewReader("")
	if cmd.Stdout == nil {
		if out, err = cmd.StdoutPipe(); err != nil {
			return m, nil, err
		}
	}
	start := time.Now()
	if err := cmd.Start(); err != nil {
		return m, nil, err
	}
	read := make(chan []string)
	go func() { // ends with the process's output
		var said []string
		for scan := bufio.NewScanner(out); scan.Scan(); {
			if text := scan.Text(); strings.HasPrefix(text, "{") || strings.Contains(text, " records sent, ") {
				said = append(said, text)
			}
		}
		read <- said
	}()
	followed := follow(ctx, cmd.Process.Pid, start, look, &m)
	if look != nil {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it may have ended
	}
	kill := time.AfterFunc(20*time.Second, func() { _ = cmd.Process.Kill() })
	defer kill.Stop()
	lines = <-read // all of it, before Wait closes the pipe
	ended := cmd.Wait()
	if followed == nil && ended != nil && look == nil {
		followed = ended
	}
	if followed != nil {
		return m, lines, fmt.Errorf("%s: %w\n%s", cmd.Args[0], followed, lastLines(errs.String(), 15))
	}
	m.CPUSeconds = (cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()).Seconds()
	return m, lines, nil
}

// follow returns when the work is done.
func follow(ctx context.Context, pid int, start time.Time, look watch, m *measured) error {
	var began time.Time
	for tick := time.Tick(every); ; {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-tick:
		}
		peak, now, alive := resident(pid)
		if alive {
			m.PeakMB, m.EndMB = max(m.PeakMB, peak), now
		}
		if look == nil { // it says and ends by itself
			if !alive {
				m.WholeSeconds = time.Since(start).Seconds()
				return nil
			}
			continue
		}
		begun, done, err := look(ctx)
		if err != nil {
			return err
		}
		if !alive && !done {
			return errors.New("ended before its work was done")
		}
		if begun && began.IsZero() {
			began = time.Now()
		}
		if done {
			m.Seconds, m.WholeSeconds = time.Since(began).Seconds(), time.Since(start).Seconds()
			if m.Seconds < every.Seconds() { // all was there at the first look
				m.Seconds = m.WholeSeconds
			}
			return nil
		}
	}
}

// resident reads a process's peak and present memory in MB from /proc.
func resident(pid int) (peak, now float64, alive bool) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0, 0, false
	}
	for line := range strings.Lines(string(text)) {
		fields := strings.Fields(line)
		if len(fields) < 2 {
			continue
		}
		kb, _ := strconv.ParseFloat(fields[1], 64)
		switch fields[0] {
		case "VmHWM:":
			peak = kb * 1024 / 1e6
		case "VmRSS:":
			now, alive = kb*1024/1e6, true // a process that has ended has none
		}
	}
	return peak, now, alive
}

// ownTime takes the time from what the contender printed about itself.
func ownTime(lines []string, events int, m *measured) error {
	line := last(lines)
	var r report
	if err := json.Unmarshal([]byte(line), &r); err != nil || r.Events != events || r.Seconds <= 0 {
		return fmt.Errorf("it printed %q", line)
	}
	m.Seconds, m.Figures = r.Seconds, r.Figures
	return nil
}

func last(lines []string) string {
	if len(lines) == 0 {
		return ""
	}
	return lines[len(lines)-1]
}

func lastLines(text string, n int) string {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	return strings.Join(lines[max(0, len(lines)-n):], "\n")
}
