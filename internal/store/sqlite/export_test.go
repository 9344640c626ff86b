package sqlite

import (
	"database/sql/driver"
	"fmt"
	"testing"
	"time"
)

// SetClock makes the store take a time for the present one.
func (s *Store) SetClock(now func() time.Time) {
	c := <-s.writing
	defer func() { s.writing <- c }()
	s.w.now = now
}

// LimitPages makes the file full at a size.
func (s *Store) LimitPages(t *testing.T, pages int) {
	t.Helper()
	c := <-s.writing
	defer func() { s.writing <- c }()
	if err := c.query(t.Context(), fmt.Sprintf("PRAGMA max_page_count = %d", pages), func([]driver.Value) error { return nil }); err != nil {
		t.Fatal(err)
	}
}
