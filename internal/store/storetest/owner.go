package storetest

import (
	"errors"
	"strings"
	"testing"

	"firehose/internal/store"
)

// RunOwned holds a store to it that a database has one owner for good. open opens
// the same database each time, for an owner.
func RunOwned(t *testing.T, open func(owner string) (Store, error)) {
	for _, c := range []struct {
		owner   string
		refused bool
	}{{"", false}, {"billing", false}, {"billing", false}, {"inventory", true}, {"", false}, {"Billing", true}, {"billing", false}} {
		s, err := open(c.owner)
		if err == nil {
			err = s.Close()
		}
		switch {
		case !c.refused && err != nil:
			t.Fatalf("owner %q: %v", c.owner, err)
		case c.refused && (!errors.Is(err, store.ErrFatal) || !strings.Contains(err.Error(), "it belongs to group billing")):
			t.Errorf("owner %q: got %v, want an ErrFatal that names the owner", c.owner, err)
		}
	}
}
