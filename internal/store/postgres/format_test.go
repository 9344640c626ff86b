package postgres_test

import (
	"testing"
	"time"

	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/testbed"
)

// A database of the format before gets what it lacks. Marks of records that were
// set aside count as recorded now.
func TestFormat2(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	open := func() *postgres.Store {
		t.Helper()
		s, err := postgres.Open(t.Context(), postgres.Config{Address: address}, nil)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	s := open()
	if err := positions(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	b := &store.Batch{Moves: []store.Move{{From: first, Next: 1}}}
	b.SetAside = []store.SetAside{{From: store.Source{Topic: "shop.things"}, Class: "undecodable", Time: time.Unix(0, 0)}}
	if _, err := s.Apply(t.Context(), b); err != nil {
		t.Fatal(err)
	}
	s.Close()
	execute(t, address, `ALTER TABLE firehose_dead_letters DROP COLUMN recorded_at`, `DROP INDEX firehose_conflicts_recorded_at`,
		`DELETE FROM firehose_migrations WHERE version_id = 3`)
	open()
	got, err := readable{nil, address}.Read(t.Context(), `SELECT count(*) FROM firehose_dead_letters WHERE recorded_at > now() - interval '1 minute'`)
	if err != nil || got[0][0] != "1" {
		t.Errorf("got %v, %v, want the mark recorded now", got, err)
	}
}
