package testbed

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
)

// patience bounds what the parts are given to start, stop and answer: long,
// since nothing that works needs it.
const patience = time.Minute

// Postgres returns the URL of an empty database of the test's own. It is
// dropped after the test, whoever is still connected.
//
// The server is the one that FIREHOSE_TEST_POSTGRES names; else, where
// FIREHOSE_INTEGRATION is set, one that this process starts for all of its tests,
// without fsync, and that ends with it: in a container where a Docker engine answers
// and has the image (POSTGRES_IMAGE), else from the programs of this machine.
func Postgres(t testing.TB) string {
	t.Helper()
	admin := os.Getenv("FIREHOSE_TEST_POSTGRES")
	if admin == "" || inContainers() {
		server, err := sharedPostgres()
		if errors.Is(err, errMissing) {
			Skip(t, partFor("postgres"), reason(err))
		}
		if err != nil {
			t.Fatalf("starting PostgreSQL: %v", err)
		}
		admin = server.url()
	}
	db, drop := createDatabase(t, admin)
	t.Cleanup(drop)
	return db
}

// sharedPostgres is the server that this process has started.
var sharedPostgres = sync.OnceValues(func() (database, error) {
	return startDatabase("fsync = off", "full_page_writes = off")
})

// database is a server that this process has started.
type database interface {
	url() string
	stop(mode string) error // one of pg_ctl's modes
	start() error           // returns once it answers
	end() error             // it is gone, with all its data
}

// startDatabase starts a server with the given settings on top of PostgreSQL's
// defaults.
func startDatabase(settings ...string) (database, error) {
	server, err := containerPostgres(settings)
	if !errors.Is(err, errMissing) || inContainers() {
		return server, err
	}
	if os.Getenv("FIREHOSE_INTEGRATION") == "" {
		return nil, fmt.Errorf("FIREHOSE_INTEGRATION is not set, so none is started here: %w", errMissing)
	}
	return startPostgres(settings...)
}

// PostgresServer is a server of the test's own, which it may stop.
type PostgresServer struct {
	t      testing.TB
	server database
}

// OwnPostgres starts a server of the test's own, with PostgreSQL's defaults. It is
// gone after the test, with all its databases.
func OwnPostgres(t testing.TB) *PostgresServer {
	t.Helper()
	server, err := startDatabase()
	if errors.Is(err, errMissing) {
		Skip(t, partFor("postgres"), reason(err))
	}
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	t.Cleanup(func() {
		if err := server.end(); err != nil {
			t.Errorf("ending PostgreSQL: %v", err)
		}
	})
	return &PostgresServer{t: t, server: server}
}

// Database returns the URL of a new database, which is empty.
func (s *PostgresServer) Database() string {
	s.t.Helper()
	db, _ := createDatabase(s.t, s.server.url())
	return db
}

// Stop stops the server in one of pg_ctl's modes: smart, fast or immediate,
// which is a crash.
func (s *PostgresServer) Stop(mode string) {
	s.t.Helper()
	if err := s.server.stop(mode); err != nil {
		s.t.Fatalf("stopping PostgreSQL, %s: %v", mode, err)
	}
}

// Start starts it again and returns once it answers.
func (s *PostgresServer) Start() {
	s.t.Helper()
	if err := s.server.start(); err != nil {
		s.t.Fatalf("starting PostgreSQL: %v", err)
	}
}

// createDatabase makes an empty database on a server.
func createDatabase(t testing.TB, admin string) (db string, drop func()) {
	t.Helper()
	u, err := url.Parse(admin)
	if err != nil {
		t.Fatal("FIREHOSE_TEST_POSTGRES is no URL") // the error would show the password
	}
	name := "test_" + strings.ToLower(rand.Text())
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if err := execute(ctx, admin, "CREATE DATABASE "+name+" TEMPLATE template0"); err != nil {
		t.Fatalf("creating a database: %v", err)
	}
	u.Path = "/" + name
	return u.String(), func() {
		t.Helper()
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		if err := execute(ctx, admin, "DROP DATABASE "+name+" WITH (FORCE)"); err != nil {
			t.Errorf("dropping the test's database: %v", err)
		}
	}
}

func execute(ctx context.Context, url, statement string) (err error) {
	conn, err := pgx.Connect(ctx, url)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, conn.Close(ctx)) }()
	if _, err := conn.Exec(ctx, statement); err != nil {
		return fmt.Errorf("%s: %w", statement, err)
	}
	return nil
}
