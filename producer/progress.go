package producer

import (
	"fmt"
	"io"
	"time"
)

// progressEvery is how often a progress line is rewritten.
const progressEvery = 200 * time.Millisecond

// progress is a line on a terminal that is written over and over. A nil writer
// shows nothing.
type progress struct {
	w     io.Writer
	start time.Time
	shown time.Time
}

func newProgress(w io.Writer) *progress { return &progress{w: w, start: time.Now()} }

func (p *progress) show(s Sent) {
	if p.w == nil || time.Since(p.shown) < progressEvery {
		return
	}
	p.shown = time.Now()
	p.write(s)
}

// end leaves the last figures on a line of their own.
func (p *progress) end(s Sent) {
	if p.w == nil {
		return
	}
	p.write(s)
	fmt.Fprintln(p.w)
}

func (p *progress) write(s Sent) {
	rate := float64(s.Events()) / max(time.Since(p.start).Seconds(), 1e-3)
	// Nobody reads a progress line that cannot be written.
	_, _ = fmt.Fprintf(p.w, "\r\x1b[K%d acknowledged, %d refused, %d unknown, %.0f/s", s.Acknowledged, s.Refused, s.Unknown, rate)
}
