package sqlite_test

import (
	"path/filepath"
	"testing"
	"time"

	"firehose/internal/store"
)

// TestFormat2: a file of the format before gets what it lacks. Marks of records
// that were set aside count as recorded now.
func TestFormat2(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path)
	at := start(t, s, "shop.things")
	mustApply(t, s, &at, &store.Batch{SetAside: []store.SetAside{{From: store.Source{Topic: "shop.things"}, Class: "undecodable", Time: placed}}})
	s.Close()
	for _, statement := range []string{
		`DROP INDEX firehose_dead_letters_recorded_at`, `DROP INDEX firehose_conflicts_recorded_at`,
		`ALTER TABLE firehose_dead_letters DROP COLUMN recorded_at`, `PRAGMA user_version = 2`,
	} {
		execute(t, path, statement)
	}
	before := time.Now().Add(-time.Second)
	s = mustOpen(t, path)
	got, err := read(t.Context(), path, `SELECT recorded_at FROM firehose_dead_letters`)
	if err != nil || len(got) != 1 {
		t.Fatalf("got %v, %v, want one mark", got, err)
	}
	recorded, err := time.Parse(store.TimestampLayout, got[0][0])
	if err != nil || recorded.Before(before) || recorded.After(time.Now().Add(time.Second)) {
		t.Errorf("recorded at %v, %v, want the time of the opening, about %v", recorded, err, before)
	}
	mustApply(t, s, &at, &store.Batch{})
}
