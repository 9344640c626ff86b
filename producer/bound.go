package producer

import (
	"context"

	"golang.org/x/sync/semaphore"
)

// bound is how much of something a pipeline may hold at once. What waits for a
// part of it is served in the order that it came. A nil bound holds everything.
type bound struct {
	max int64
	sem *semaphore.Weighted
}

func newBound(max int64) *bound { return &bound{max: max, sem: semaphore.NewWeighted(max)} }

// take waits for room for n and reports whether it got it before ctx ended. What
// is more than the bound gets through when nothing else is held.
func (b *bound) take(ctx context.Context, n int64) bool {
	return b == nil || b.sem.Acquire(ctx, min(n, b.max)) == nil
}

// part is a part of a bound.
type part struct {
	of *bound
	n  int64
}

// give gives back what take took.
func (b *bound) give(n int64) {
	if b != nil {
		b.sem.Release(min(n, b.max))
	}
}
