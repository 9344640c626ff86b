package loadtest

import (
	"fmt"
	"io"
	"runtime"
	"time"
)

// Plan is one run. The zero value of a field means its default.
type Plan struct {
	Name string // in the report; default the time

	Load    Load
	WarmUp  time.Duration // at the load's first rate, before it, not measured
	Traffic Traffic
	// Workers send at the same time, each the events of keys of its own. Default:
	// as many as there are processors, at most 4; 32 at an HTTP door, where a
	// worker is a connection that waits for its answer.
	Workers int

	Observe   time.Duration // from one look at the store to the next; default 5ms
	Drain     time.Duration // for the service to apply what was sent; default 60s
	MaxBehind int           // events not applied after which sending stops; default 20,000,000, of 16 bytes each

	// WantAcked and WantApplied bound the 99th percentiles: a run above them has
	// failed. Default: none.
	WantAcked, WantApplied time.Duration

	Actions  []Action
	Progress io.Writer     // a terminal, or nil
	Report   func(Attempt) // told each rate that a search has tried; may be nil
}

// Action is something that is done to the system in the middle of a run.
type Action struct {
	At   time.Duration // after the warm-up
	Text string        // a shell's command line
}

func (p *Plan) setDefaults(http bool) {
	if p.Name == "" {
		p.Name = time.Now().Format(time.DateTime)
	}
	if p.Workers == 0 {
		p.Workers = min(runtime.GOMAXPROCS(0), 4)
		if http {
			p.Workers = 32
		}
	}
	if p.Observe == 0 {
		p.Observe = 5 * time.Millisecond
	}
	if p.Drain == 0 {
		p.Drain = time.Minute
	}
	if p.MaxBehind == 0 {
		p.MaxBehind = 20_000_000
	}
	if p.Traffic.Keys == 0 {
		p.Traffic.Keys = 100_000
	}
}

func (p *Plan) validate() error {
	if err := p.Traffic.validate(); err != nil {
		return err
	}
	switch {
	case p.Load.Total() < 1:
		return fmt.Errorf("load: not a single event is due")
	case p.Load.Length() > 7*24*time.Hour:
		return fmt.Errorf("load: of %s, want a week at most", p.Load.Length())
	case p.WarmUp < 0 || p.Drain < 0 || p.WantAcked < 0 || p.WantApplied < 0:
		return fmt.Errorf("warm-up, drain and wanted latencies: want positive ones")
	case p.Observe < time.Millisecond:
		return fmt.Errorf("observe %s: want at least 1ms", p.Observe)
	case p.Workers < 1 || p.Workers > 1024:
		return fmt.Errorf("workers %d: want 1 to 1024", p.Workers)
	case p.MaxBehind < 1:
		return fmt.Errorf("most events behind %d: want at least 1", p.MaxBehind)
	}
	return nil
}

// whole is the load with the warm-up before it.
func (p *Plan) whole() Load {
	if p.WarmUp == 0 {
		return p.Load
	}
	first := p.Load[0].From
	return append(Load{{From: first, To: first, For: p.WarmUp}}, p.Load...)
}

// interval is that of the series: a second, more where a run is so long that the
// result would be endless.
func (p *Plan) interval() time.Duration {
	const most = 3600
	return max(time.Second, p.whole().Length()/most).Truncate(time.Second)
}
