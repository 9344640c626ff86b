package postgres_test

import (
	"context"
	"crypto/rand"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/jackc/pgx/v5"

	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/testbed"
)

// A login that is refused stops a start, with a line that says so. One that was
// good and is not any more is waited for: a password is rotated in the server and
// in its file one after the other.
func TestLoginRefused(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	role := "shop_" + strings.ToLower(rand.Text())
	password, file := rand.Text(), filepath.Join(t.TempDir(), "password")
	if err := os.WriteFile(file, []byte(password), 0o600); err != nil {
		t.Fatal(err)
	}
	execute(t, address, `CREATE ROLE `+role+` LOGIN PASSWORD '`+password+`'`, `GRANT ALL ON DATABASE `+databaseOf(t, address)+` TO `+role)
	t.Cleanup(func() { execute(t, address, `DROP OWNED BY `+role, `DROP ROLE `+role) })
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address is no URL")
	}
	u.User = url.User(role)
	cfg := postgres.Config{Address: u.String() + "&search_path=shop", PasswordFile: file}
	s, err := postgres.Open(t.Context(), cfg, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	if err := positions(t.Context(), s); err != nil {
		t.Fatal(err)
	}
	execute(t, address, `ALTER ROLE `+role+` NOLOGIN`, `SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '`+role+`'`)

	if _, err := postgres.Open(t.Context(), cfg, nil); !errors.Is(err, store.ErrFatal) || !strings.Contains(err.Error(), "is not permitted to log in") {
		t.Errorf("open: got error %v, want an ErrFatal that says why", err)
	}
	for range 4 { // every session is new by then
		if err = positions(t.Context(), s); !errors.Is(err, store.ErrTransient) {
			t.Errorf("got error %v, want an ErrTransient", err)
		}
	}
	if !strings.Contains(err.Error(), "is not permitted to log in") {
		t.Errorf("error %v does not say why", err)
	}
	if _, err := s.Hash(t.Context()); !errors.Is(err, store.ErrTransient) {
		t.Errorf("hash: got error %v, want an ErrTransient", err)
	}
	execute(t, address, `ALTER ROLE `+role+` LOGIN`)
	if err := positions(t.Context(), s); err != nil {
		t.Errorf("with a login that is good again: %v", err)
	}
}

// execute runs statements on the database, beside the store.
func execute(t *testing.T, address string, statements ...string) {
	t.Helper()
	ctx := context.WithoutCancel(t.Context()) // also when the test is over
	conn, err := pgx.Connect(ctx, address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(ctx)
	for _, statement := range statements {
		if _, err := conn.Exec(ctx, statement, pgx.QueryExecModeSimpleProtocol); err != nil {
			t.Fatalf("%s: %v", statement, err)
		}
	}
}

func databaseOf(t *testing.T, address string) string {
	t.Helper()
	u, err := url.Parse(address)
	if err != nil {
		t.Fatal("the address is no URL")
	}
	return strings.TrimPrefix(u.Path, "/")
}
