package testbed_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/jackc/pgx/v5"
	"go.uber.org/goleak"

	"firehose/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// Each test has a database that is empty, of its own, and gone afterwards.
func TestPostgresDatabases(t *testing.T) {
	var urls []string
	t.Run("tests", func(t *testing.T) {
		for range 2 {
			url := testbed.Postgres(t)
			urls = append(urls, url)
			if err := run(t, url, "CREATE TABLE rows (id int)"); err != nil {
				t.Fatal(err)
			}
		}
	})
	for _, url := range urls {
		if err := run(t, url, "SELECT 1"); err == nil || !strings.Contains(err.Error(), "does not exist") {
			t.Errorf("after the test: %v, want a database that does not exist", err)
		}
	}
}

// What was committed is there after a crash; while it is down nobody answers.
func TestOwnPostgres(t *testing.T) {
	server := testbed.OwnPostgres(t)
	db := server.Database()
	if err := run(t, db, "CREATE TABLE rows AS SELECT 1"); err != nil {
		t.Fatal(err)
	}
	server.Stop("immediate")
	if err := run(t, db, "SELECT * FROM rows"); err == nil {
		t.Error("a stopped server answers")
	}
	server.Start()
	if err := run(t, db, "SELECT * FROM rows"); err != nil {
		t.Errorf("started again: %v", err)
	}
}

func run(t *testing.T, url, statement string) error {
	t.Helper()
	conn, err := pgx.Connect(t.Context(), url)
	if err != nil {
		return err
	}
	defer conn.Close(t.Context())
	_, err = conn.Exec(t.Context(), statement)
	return err
}

// recorder is a test that notes its end and goes on.
type recorder struct {
	testing.TB
	ends []string
}

func (*recorder) Helper()                 {}
func (*recorder) Name() string            { return "TestOfSomebody" }
func (r *recorder) Skipf(string, ...any)  { r.ends = append(r.ends, "skipped") }
func (r *recorder) Fatalf(string, ...any) { r.ends = append(r.ends, "failed") }

func TestSkip(t *testing.T) {
	file := filepath.Join(t.TempDir(), "skips")
	t.Setenv("FIREHOSE_SKIPS", file)
	for _, c := range []struct{ required, end string }{
		{"", "skipped"}, {"kafka", "skipped"}, {"kafka,docker", "failed"}, {"docker", "failed"},
	} {
		t.Setenv("FIREHOSE_REQUIRE", c.required)
		r := &recorder{TB: t}
		testbed.Skip(r, "docker", "no engine answers")
		if got := r.ends[0]; got != c.end {
			t.Errorf("FIREHOSE_REQUIRE=%s: %s, want %s", c.required, got, c.end)
		}
	}
	got, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	line := "docker\tTestOfSomebody\tno engine answers\n"
	if diff := cmp.Diff(line+line, strings.Join(strings.SplitAfter(string(got), "\n")[:2], "")); diff != "" {
		t.Errorf("written down (-want +got):\n%s", diff)
	}
}
