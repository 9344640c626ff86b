package loadtest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"
)

// snapshotEvery is how often a whole state of the store is compared.
const snapshotEvery = 250 * time.Millisecond

// observer looks at the store again and again. Every event below a position that
// it sees is visible to any other connection of the store.
type observer struct {
	reader *reader
	tails  map[partitionOf]*tail
	start  time.Time
	every  time.Duration

	mu     sync.Mutex
	gaps   *latency // between the end of one observation and of the next
	seen   int64
	failed int64
	last   error
}

type partitionOf struct {
	stream    stream
	partition int32
}

// Observation says how the store was looked at. A latency that was counted as
// applied is too long by less than the time since the observation before.
type Observation struct {
	Every  float64 `json:"every_ms"`
	Count  int64   `json:"count"`
	Failed int64   `json:"failed"`
	P50    float64 `json:"gap_p50_ms"`
	P99    float64 `json:"gap_p99_ms"`
	Max    float64 `json:"gap_max_ms"`
	Error  string  `json:"error,omitempty"` // of the last that failed
}

// run observes until ctx ends.
func (o *observer) run(ctx context.Context) {
	tick := time.NewTicker(o.every)
	defer tick.Stop()
	var last, compared time.Duration
	for {
		began := time.Since(o.start)
		whole := began-compared >= snapshotEvery
		var err error
		if whole {
			compared = began
			err = o.compare(ctx)
		} else {
			err = o.positions(ctx)
		}
		now := time.Since(o.start)
		if ctx.Err() == nil {
			o.note(now-last, err, last > 0)
		}
		if err == nil {
			last = now
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return
		}
	}
}

func (o *observer) note(gap time.Duration, err error, counts bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if err != nil {
		o.failed++
		o.last = err
		return
	}
	o.seen++
	if counts {
		o.gaps.record(gap.Microseconds(), true)
	}
}

func (o *observer) positions(ctx context.Context) error {
	type seen struct {
		tail *tail
		next int64
	}
	var all []seen
	err := o.reader.positions(ctx, func(s stream, partition int32, next int64) {
		if t := o.tails[partitionOf{s, partition}]; t != nil {
			all = append(all, seen{t, next})
		}
	})
	if err != nil {
		return err
	}
	now := time.Since(o.start).Microseconds()
	for _, s := range all {
		s.tail.observe(s.next, now)
	}
	return nil
}

// compare takes a state of the store and hands it to the tails, which compare it
// with what acknowledgements tell of the log.
func (o *observer) compare(ctx context.Context) error {
	s, err := o.reader.look(ctx)
	if err != nil {
		return err
	}
	now := time.Since(o.start).Microseconds()
	for _, p := range s.parts {
		t := o.tails[partitionOf{p.stream, p.partition}]
		if t == nil {
			continue
		}
		c := check{next: p.next, events: p.events, checksum: p.checksum}
		if p.stream == items {
			c.rows = s.rows
		}
		t.compare(c, now)
	}
	return nil
}

func (o *observer) result() Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	q := o.gaps.all()
	r := Observation{Every: float64(o.every.Microseconds()) / 1000, Count: o.seen, Failed: o.failed, P50: q.P50, P99: q.P99, Max: q.Max}
	if o.last != nil {
		r.Error = o.last.Error()
	}
	return r
}

// behind is how many events are acknowledged and not yet seen applied, and how
// many places the tails remember.
func (o *observer) behind() (events int64, places int) {
	for _, t := range o.tails {
		e, p := t.behind()
		events += e
		places += p
	}
	return events, places
}

// sorted returns the tails in the order of topic and partition.
func sorted(tails map[partitionOf]*tail) []*tail {
	return slices.SortedFunc(maps.Values(tails), func(a, b *tail) int {
		return int(a.stream-b.stream)*1<<20 + int(a.partition-b.partition)
	})
}
