package event_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"firehose/internal/event"
)

func TestNewID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := map[string]bool{}
		previous := ""
		for range 1000 {
			<-time.After(300 * time.Nanosecond) // virtual: below a millisecond they sort too
			id := event.NewID()
			parsed, err := uuid.Parse(id)
			if err != nil || parsed.Version() != 7 || parsed.Variant() != uuid.RFC4122 {
				t.Fatalf("got %q (%v), want a UUIDv7", id, err)
			}
			if sec, nsec := parsed.Time().UnixTime(); time.Until(time.Unix(sec, nsec)).Abs() > time.Millisecond {
				t.Fatalf("%q was made at %v, it says %v", id, time.Now(), time.Unix(sec, nsec))
			}
			if seen[id] {
				t.Fatalf("%q twice", id)
			}
			if id <= previous {
				t.Fatalf("%q follows %q: want them sorted", id, previous)
			}
			seen[id], previous = true, id
		}
	})
}

func TestDerivedID(t *testing.T) {
	a := event.DerivedID("cdnow", "1/order")
	if again := event.DerivedID("cdnow", "1/order"); again != a {
		t.Errorf("got %s and %s, want the same", a, again)
	}
	if parsed, err := uuid.Parse(a); err != nil || parsed.Version() != 5 {
		t.Errorf("got %s (%v), want a UUIDv5", a, err)
	}
	// It must never change: sent events bear it.
	if want := "341acc05-f834-52db-9d7e-e667b89c77d4"; a != want {
		t.Errorf("got %s, want %s", a, want)
	}
	for _, other := range []string{event.DerivedID("cdnow", "2/order"), event.DerivedID("other", "1/order"), event.DerivedID("cdnow1", "/order")} {
		if other == a {
			t.Errorf("%s for different data", other)
		}
	}
}
