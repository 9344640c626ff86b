package store

import "time"

// What a store keeps for people, not for itself: the losers of conflicts and the
// marks of records that were set aside. Nothing is decided by either. They are
// deleted after KeptFor, by Apply, behind its transaction and not with each one.
const (
	// KeptFor is how long they are kept, by the time of day at which they were
	// recorded.
	KeptFor = 30 * 24 * time.Hour
	// ExpireAtOnce is how many of each a transaction deletes.
	ExpireAtOnce = 500
)

// Expiry says when a store looks for what it has kept for long enough.
type Expiry struct{ next time.Time }

// Due reports whether it is time, and before which time was recorded what goes.
func (e *Expiry) Due(now time.Time) (before time.Time, due bool) {
	if now.Before(e.next) {
		return time.Time{}, false
	}
	e.next = now.Add(time.Minute)
	return now.Add(-KeptFor), true
}

// Deleted has it look again soon where one transaction did not suffice: deleted
// are the rows of one table.
func (e *Expiry) Deleted(now time.Time, deleted int64) {
	if deleted >= ExpireAtOnce {
		e.next = now.Add(time.Second)
	}
}
