package dev

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// How often the status is shown: on a terminal, and as a log line (the first one
// sooner).
const (
	statusLineEvery = 500 * time.Millisecond
	firstStatusLog  = time.Second
	statusLogEvery  = 5 * time.Second
)

// console is standard error with a status line at its bottom. What is written
// goes above the line. Off a terminal there is no line.
type console struct {
	w        io.Writer
	terminal bool

	mu   sync.Mutex
	line string
}

const clearLine = "\r\x1b[K"

// Write writes whole lines above the status line.
func (c *console) Write(p []byte) (int, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.line != "" {
		_, _ = io.WriteString(c.w, clearLine)
		defer func() { _, _ = io.WriteString(c.w, c.line) }()
	}
	return c.w.Write(p)
}

// show replaces the status line; "" removes it.
func (c *console) show(line string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.line = line
	_, _ = io.WriteString(c.w, clearLine+line) // nobody reads a status that cannot be written
}

// figures is the state of the system at one moment.
type figures struct {
	at                       time.Time
	sent, applied, lag, rows int64
	inactive                 []string
}

func (s *system) figures() figures {
	f := figures{at: time.Now()}
	for _, n := range s.sent() {
		f.sent += n
	}
	for _, m := range s.members {
		counts := m.instance.Counts()
		f.applied += counts.Applied
		f.rows += counts.Rows
		behind, inactive := lag(m.instance.Status())
		f.lag += behind
		for _, p := range inactive {
			f.inactive = append(f.inactive, m.name+" "+p)
		}
	}
	return f
}

// perSecond is the rate between two counts.
func perSecond(n, before int64, d time.Duration) int64 {
	return int64(float64(n-before) / max(d.Seconds(), 1e-3))
}

// line is the status for people, in less than a terminal's width.
func (f figures) line(before figures) string {
	d := f.at.Sub(before.at)
	line := fmt.Sprintf("sent %s (%s/s)  applied %s (%s/s)  lag %s  rows %s",
		grouped(f.sent), grouped(perSecond(f.sent, before.sent, d)),
		grouped(f.applied), grouped(perSecond(f.applied, before.applied, d)), grouped(f.lag), grouped(f.rows))
	if len(f.inactive) > 0 {
		line += "  " + f.inactive[0]
		if more := len(f.inactive) - 1; more > 0 {
			line += fmt.Sprintf(" and %d more", more)
		}
	}
	return line
}

// showStatus shows how far the system is until ctx ends.
func (s *system) showStatus(ctx context.Context, screen *console, log *slog.Logger) {
	every := statusLineEvery
	if !screen.terminal {
		every = firstStatusLog
	}
	tick := time.NewTimer(every)
	defer tick.Stop()
	last := s.figures()
	for {
		select {
		case <-ctx.Done():
			if screen.terminal {
				screen.show("")
			}
			return
		case <-tick.C:
		}
		now := s.figures()
		if screen.terminal {
			screen.show(now.line(last))
		} else {
			d := now.at.Sub(last.at)
			log.Info("status", "sent", now.sent, "sent_per_second", perSecond(now.sent, last.sent, d),
				"applied", now.applied, "applied_per_second", perSecond(now.applied, last.applied, d),
				"lag", now.lag, "rows", now.rows, "not_active", strings.Join(now.inactive, ", "))
			every = statusLogEvery
		}
		last = now
		tick.Reset(every)
	}
}

// sent counts the acknowledged events of this run by topic, those that came over
// HTTP among them.
func (s *system) sent() map[string]int64 {
	if last := s.finallySent.Load(); last != nil {
		return *last
	}
	return countBy(s.producing, "firehose_producer_acknowledged_total", "topic")
}

// countBy reads a counter by one of its labels.
func countBy(from prometheus.Gatherer, name, label string) map[string]int64 {
	counts := map[string]int64{}
	families, err := from.Gather()
	if err != nil {
		return counts // a metric that contradicts itself; the others' status still shows
	}
	for _, f := range families {
		if f.GetName() != name {
			continue
		}
		for _, metric := range f.GetMetric() {
			for _, pair := range metric.GetLabel() {
				if pair.GetName() == label {
					counts[pair.GetValue()] += int64(metric.GetCounter().GetValue())
				}
			}
		}
	}
	return counts
}

// grouped writes a count for people: 1,234,567.
func grouped(n int64) string {
	s := strconv.FormatInt(n, 10)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}
