package consume

import "sync/atomic"

// Counts says what a member has done since it was made. Unlike the metrics it
// does not forget a partition that was given back.
type Counts struct {
	Applied   int64 // events whose effect is committed, those without effect among them
	Stale     int64 // rows that were newer in the store
	Duplicate int64 // events or rows that were there already
	Conflicts int64 // concurrent events that lost, recorded
	SetAside  int64 // records written to dead-letter topics
	Rows      int64 // rows put, removed, added to or appended
}

type counts struct {
	applied, stale, duplicate, conflicts, setAside, rows atomic.Int64
}

// Counts returns what this member has done so far.
func (e *Engine) Counts() Counts {
	c := &e.metrics.counts
	return Counts{
		Applied: c.applied.Load(), Stale: c.stale.Load(), Duplicate: c.duplicate.Load(),
		Conflicts: c.conflicts.Load(), SetAside: c.setAside.Load(), Rows: c.rows.Load(),
	}
}
