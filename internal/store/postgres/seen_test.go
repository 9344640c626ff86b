package postgres_test

import (
	"errors"
	"fmt"
	"strconv"
	"testing"
	"time"

	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/testbed"
)

const horizon = time.Hour

var long = time.Date(2020, 1, 1, 0, 10, 0, 0, time.UTC)

func seenAt(id string, at time.Time) store.Seen {
	return store.Seen{EventKey: store.EventKeyOf("/s", id), Hash: store.Hash{1}, Time: at, Horizon: horizon}
}

// applySeen applies a batch of IDs and nothing else.
func applySeen(t *testing.T, s *postgres.Store, at *offsets.Position, seen ...store.Seen) {
	t.Helper()
	move := store.Move{From: *at, Next: at.Next + 1, LeaderEpoch: at.LeaderEpoch}
	if _, err := s.Apply(t.Context(), &store.Batch{Moves: []store.Move{move}, Seen: seen}); err != nil {
		t.Fatal(err)
	}
	at.Next++
}

// A slice that a batch needs is not dropped for it, however long it was not used
// and however many others the batch needs as well.
func TestSeenUsedAgain(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	s, err := postgres.Open(t.Context(), postgres.Config{Address: address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := positions(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	at := first
	known := seenAt("known", long.Add(200*horizon))
	applySeen(t, s, &at, known)
	var later []store.Seen
	for i := range 500 { // a record moves the clock by a horizon at most
		later = append(later, seenAt(fmt.Sprint("later ", i), long.Add(10_000*horizon)))
	}
	applySeen(t, s, &at, later...)
	execute(t, address, `UPDATE firehose_seen_slices SET used_at = used_at - interval '1 day'`)
	again := []store.Seen{known}
	for i := range 50 {
		again = append(again, seenAt(fmt.Sprint(i), long.Add(time.Duration(3*i)*horizon)))
	}
	_, err = s.Apply(t.Context(), &store.Batch{Moves: []store.Move{{From: at, Next: at.Next + 1}}, Seen: again})
	if !errors.Is(err, store.ErrChanged) {
		t.Errorf("got error %v, want an ErrChanged: one of the IDs is known", err)
	}
}

// A batch that spans so many slices that their locks would not fit is refused, so
// that it comes in halves, and nothing is made for it.
func TestSeenTooManySlices(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	s, err := postgres.Open(t.Context(), postgres.Config{Address: address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := positions(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	var many []store.Seen
	for i := range 300 {
		many = append(many, seenAt(fmt.Sprint(i), long.Add(time.Duration(i)*horizon)))
	}
	_, err = s.Apply(t.Context(), &store.Batch{Moves: []store.Move{{From: first, Next: 1}}, Seen: many})
	if !errors.Is(err, store.ErrRefused) {
		t.Errorf("got error %v, want an ErrRefused", err)
	}
	if rows, err := (readable{s, address}).Read(t.Context(), `SELECT count(*) FROM firehose_seen_slices`); err != nil || rows[0][0] != "0" {
		t.Errorf("got %v slices, %v, want none", rows, err)
	}
	at := first
	applySeen(t, s, &at, many[:150]...)
	applySeen(t, s, &at, many[150:]...)
}

// However many slices a batch spans and however many are forgotten, a
// transaction makes and drops a hundred at most: each costs the server several
// locks, of which it has as many for all.
func TestSeenFewTablesAtOnce(t *testing.T) {
	t.Parallel()
	const atMost = 100
	address := testbed.Postgres(t)
	s, err := postgres.Open(t.Context(), postgres.Config{Address: address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := positions(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	number := func(query string) int {
		t.Helper()
		rows, err := readable{s, address}.Read(t.Context(), query)
		if err != nil {
			t.Fatal(err)
		}
		n, err := strconv.Atoi(rows[0][0])
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	const tables = `SELECT count(*) FROM pg_class WHERE relname LIKE 'firehose_seen_1h%' AND relkind = 'r'`

	at := first
	var far []store.Seen
	for i := range 150 {
		far = append(far, seenAt(fmt.Sprint(i), long.Add(time.Duration(3*i)*horizon)))
	}
	applySeen(t, s, &at, far...)
	if n := number(tables); n != 450 {
		t.Errorf("got %d tables, want each slice's and its neighbours'", n)
	}
	if n := number(`SELECT max(n) FROM (SELECT count(*) AS n FROM pg_class WHERE relname LIKE 'firehose_seen_1h%' AND relkind = 'r' GROUP BY xmin) made`); n > atMost {
		t.Errorf("%d tables were made in one transaction", n)
	}

	execute(t, address, `CREATE TABLE dropped (by bigint)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO dropped VALUES (txid_current()); RETURN NULL; END'`,
		`CREATE TRIGGER note AFTER DELETE ON firehose_seen_slices FOR EACH ROW EXECUTE FUNCTION note()`,
		`UPDATE firehose_seen_slices SET used_at = used_at - interval '1 day'`)
	var later []store.Seen
	for i := range 500 { // a record moves the clock by a horizon at most
		later = append(later, seenAt(fmt.Sprint("later ", i), long.Add(10_000*horizon)))
	}
	applySeen(t, s, &at, later...)
	for i := range 5 {
		applySeen(t, s, &at, seenAt(fmt.Sprint("last ", i), long.Add(time.Duration(10_010+10*i)*horizon)))
	}
	if n := number(tables); n > 20 {
		t.Errorf("%d tables are left", n)
	}
	if n := number(`SELECT max(n) FROM (SELECT count(*) AS n FROM dropped GROUP BY by) dropped`); n > atMost {
		t.Errorf("%d tables were dropped in one transaction", n)
	}
	if n := number(`SELECT count(*) FROM dropped`); n < 440 {
		t.Errorf("%d tables were dropped", n)
	}
}
