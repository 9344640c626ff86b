package postgres_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/testbed"
)

// Transactions are READ COMMITTED whatever the database's default and the address
// say: at a stricter level two instances that meet in a row fail one another.
func TestIsolation(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	execute(t, address, `ALTER DATABASE `+databaseOf(t, address)+` SET default_transaction_isolation = 'serializable'`)
	s, err := postgres.Open(t.Context(), postgres.Config{Address: address + "&default_transaction_isolation=serializable"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := positions(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	execute(t, address, `CREATE TABLE levels (level text)`,
		`CREATE FUNCTION note() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN INSERT INTO levels VALUES (current_setting(''transaction_isolation'')); RETURN NULL; END'`,
		`CREATE TRIGGER note AFTER UPDATE ON positions FOR EACH ROW EXECUTE FUNCTION note()`)
	if _, err := s.Apply(t.Context(), &store.Batch{Moves: []store.Move{{From: first, Next: 1}}}); err != nil {
		t.Fatal(err)
	}
	got, err := readable{s, address}.Read(t.Context(), `SELECT level FROM levels`)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([][]string{{"read committed"}}, got); diff != "" {
		t.Errorf("isolation (-want +got):\n%s", diff)
	}
}
