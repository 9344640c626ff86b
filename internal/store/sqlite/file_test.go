package sqlite_test

import (
	"bufio"
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"firehose/internal/conflict"
	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/internal/store/sqlite"
)

func things(columns ...store.Column) *store.Table {
	return &store.Table{
		Name: "things", Kind: store.Rows, Key: []store.Column{{Name: "id", Type: store.Text}},
		Columns: append([]store.Column{{Name: "state", Type: store.Text}}, columns...),
	}
}

func thing(id, state string, version int64) store.Row {
	return store.Row{
		Key: []any{id}, Values: []any{state}, Body: []byte(state),
		Stamp: conflict.Stamp{Version: version, Time: 1, Origin: "/o", EventID: state},
	}
}

func mustOpen(t *testing.T, path string, tables ...*store.Table) *sqlite.Store {
	t.Helper()
	s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}, tables)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s
}

func mustApply(t *testing.T, s *sqlite.Store, at *offsets.Position, b *store.Batch) store.Result {
	t.Helper()
	b.Moves = []store.Move{{From: *at, Next: at.Next + 1, LeaderEpoch: at.LeaderEpoch}}
	r, err := s.Apply(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	at.Next++
	return r
}

func put(t *store.Table, rows ...store.Row) *store.Batch {
	return &store.Batch{Changes: []store.Changes{{Table: t, Rows: rows}}}
}

// TestReopened: everything is there after a restart, and a later declaration
// adds its columns.
func TestReopened(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a b?c%20.db")
	s := mustOpen(t, path, things())
	at := start(t, s, "shop.things")
	seen := store.Seen{EventKey: store.EventKeyOf("/s", "1"), Hash: store.Hash{1}, Time: placed, Horizon: time.Hour}
	b := put(things(), thing("a", "one", 1))
	b.Seen = []store.Seen{seen}
	mustApply(t, s, &at, b)
	before, err := s.Hash(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path, things())
	if got := start(t, s, "shop.things"); got != at {
		t.Errorf("got position %v, want %v", got, at)
	}
	if after, err := s.Hash(t.Context()); err != nil || after != before {
		t.Errorf("got hash %s, %v, want %s", after, err, before)
	}
	known, err := s.Lookup(t.Context(), &store.Lookup{Seen: []store.Seen{seen}})
	if err != nil || known.Seen[seen.EventKey] != seen.Hash {
		t.Errorf("got %v, %v, want the seen ID", known.Seen, err)
	}
	s.Close()
	s = mustOpen(t, path, things(store.Column{Name: "note", Type: store.Text, Default: "none"}))
	if got, err := read(t.Context(), escaped(path), `SELECT id, state, note FROM things`); err != nil || fmt.Sprint(got) != "[[a one none]]" {
		t.Errorf("got %v, %v", got, err)
	}
	s.Close()
}

func escaped(path string) string {
	return strings.NewReplacer("%", "%25", "?", "%3f", " ", "%20").Replace(path)
}

// TestRefusedFiles: what cannot be used is refused with an error that says why.
func TestRefusedFiles(t *testing.T) {
	cases := []struct {
		name  string
		make  func(t *testing.T, path string)
		class error
		want  string
	}{
		{"no database", func(t *testing.T, path string) {
			if err := os.WriteFile(path, []byte(strings.Repeat("not a database. ", 1000)), 0o644); err != nil {
				t.Fatal(err)
			}
		}, store.ErrFatal, "not a database"},
		{"newer format", func(t *testing.T, path string) { execute(t, path, `PRAGMA user_version = 99`) }, store.ErrFatal, "newer"},
		{"another program's", func(t *testing.T, path string) { execute(t, path, `CREATE TABLE positions (x)`) }, store.ErrFatal, "positions already exists"},
		{"type changed", func(t *testing.T, path string) {
			changed := things()
			changed.Columns[0].Type = store.Timestamp
			mustOpen(t, path, changed).Close()
		}, store.ErrFatal, "table things: column state: was declared as timestamp, now as text"},
		{"no directory", func(t *testing.T, path string) {
			if err := os.Remove(filepath.Dir(path)); err != nil {
				t.Fatal(err)
			}
		}, store.ErrTransient, "no such file or directory"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "sub", "test.db")
			if err := os.Mkdir(filepath.Dir(path), 0o755); err != nil {
				t.Fatal(err)
			}
			c.make(t, path)
			s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}, []*store.Table{things()})
			if err == nil {
				s.Close()
			}
			if !errors.Is(err, c.class) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want %v about %q", err, c.class, c.want)
			}
		})
	}
	for _, path := range []string{"", ":memory:"} {
		if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}, nil); !errors.Is(err, store.ErrFatal) {
			t.Errorf("path %q: got error %v, want ErrFatal", path, err)
		}
	}
}

func execute(t *testing.T, path, statement string) {
	t.Helper()
	db, err := sql.Open("sqlite", path)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.Exec(statement); err != nil {
		t.Fatal(err)
	}
}

// TestCorrupt: damage that is met while it runs is fatal, not refused content.
func TestCorrupt(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path, things())
	at := start(t, s, "shop.things")
	var rows []store.Row
	for i := range 5000 {
		rows = append(rows, thing(fmt.Sprintf("%05d", i), strings.Repeat("x", 100), 1))
	}
	mustApply(t, s, &at, put(things(), rows...))
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 40 * 4096; i < len(content); i++ {
		content[i] ^= 0x5a
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	s = mustOpen(t, path, things())
	if _, err := s.Hash(t.Context()); !errors.Is(err, store.ErrFatal) {
		t.Errorf("got error %v, want ErrFatal", err)
	}
}

// TestOneProcess: a second process is refused and told by whom; once the first
// is killed, the lock is free and what it committed is there.
func TestOneProcess(t *testing.T) {
	if path := os.Getenv("FIREHOSE_TEST_HOLD"); path != "" {
		holdOpen(t, path)
		return
	}
	path := filepath.Join(t.TempDir(), "test.db")
	child := exec.Command(os.Args[0], "-test.run=^TestOneProcess$")
	child.Env = append(os.Environ(), "FIREHOSE_TEST_HOLD="+path)
	stdin, err := child.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := child.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := child.Start(); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "open\n" {
		t.Fatalf("child: %q, %v", line, err)
	}
	_, err = sqlite.Open(t.Context(), sqlite.Config{Path: path}, []*store.Table{things()})
	if !errors.Is(err, store.ErrFatal) || !strings.Contains(err.Error(), fmt.Sprintf("in use by process %d", child.Process.Pid)) {
		t.Errorf("got error %v, want ErrFatal naming the process", err)
	}
	link := filepath.Join(t.TempDir(), "link.db")
	if err := os.Symlink(path, link); err == nil {
		if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: link}, nil); !errors.Is(err, store.ErrFatal) {
			t.Errorf("through a link: got error %v, want ErrFatal", err)
		}
	}
	if err := child.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = child.Wait() // killed
	s := mustOpen(t, path, things())
	if got := start(t, s, "shop.things"); got.Next != 1 {
		t.Errorf("got position %v, want what was committed before the kill", got)
	}
	if got, err := read(t.Context(), path, `SELECT id FROM things`); err != nil || fmt.Sprint(got) != "[[a]]" {
		t.Errorf("got %v, %v, want the row", got, err)
	}
}

// holdOpen commits one batch, is in the middle of another, and waits to be
// killed.
func holdOpen(t *testing.T, path string) {
	s := mustOpen(t, path, things())
	at := start(t, s, "shop.things")
	mustApply(t, s, &at, put(things(), thing("a", "one", 1)))
	s.Trace(func(stage string) {
		if stage == "rows" {
			fmt.Println("open")
			_, _ = os.Stdin.Read(make([]byte, 1))
		}
	})
	mustApply(t, s, &at, put(things(), thing("b", "one", 1)))
}

// TestTwiceInOneProcess: the lock also holds against ourselves, and Close frees
// it.
func TestTwiceInOneProcess(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path)
	if _, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}, nil); !errors.Is(err, store.ErrFatal) {
		t.Errorf("got error %v, want ErrFatal", err)
	}
	s.Close()
	mustOpen(t, path)
}

// TestReadersDoNotWait: while a transaction is open, look-ups answer with what
// was committed before it.
func TestReadersDoNotWait(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "test.db"), things())
	at := start(t, s, "shop.things")
	key := store.EntityKey{Topic: "t", Key: "k"}
	seen := store.Seen{EventKey: store.EventKeyOf("/s", "1"), Time: placed, Horizon: time.Hour}
	looked := 0
	s.Trace(func(stage string) {
		known, err := s.Lookup(t.Context(), &store.Lookup{Seen: []store.Seen{seen}, Images: []store.EntityKey{key}})
		if err != nil {
			t.Errorf("lookup at %s: %v", stage, err)
		}
		if want := map[bool]int{true: 1}[stage == "commit"]; len(known.Seen) != want || len(known.Images) != want {
			t.Errorf("at %s: got %v, want %d of each", stage, known, want)
		}
		looked++
	})
	b := put(things(), thing("a", "one", 1))
	b.Seen = []store.Seen{seen}
	b.Images = []store.ImageChange{{Image: store.Image{EntityKey: key, Stamp: conflict.Stamp{Version: 1}, Body: []byte("x")}}}
	mustApply(t, s, &at, b)
	if looked != 4 {
		t.Errorf("passed %d stages, want 4", looked)
	}
}

// TestLockedByAnother: a tool that holds the write lock makes Apply wait, and
// the context ends the wait as a transient error.
func TestLockedByAnother(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path, things())
	at := start(t, s, "shop.things")
	db, err := sql.Open("sqlite", path+"?_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	tx, err := db.Begin()
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	_, err = s.Apply(ctx, &store.Batch{Moves: []store.Move{{From: at, Next: 1}}})
	if !errors.Is(err, store.ErrTransient) {
		t.Errorf("got error %v, want ErrTransient", err)
	}
	if err := tx.Rollback(); err != nil {
		t.Fatal(err)
	}
	mustApply(t, s, &at, put(things(), thing("a", "one", 1)))
}

// TestFull: a database that cannot grow is away, not wrong, and goes on when
// there is room again.
func TestFull(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path, things())
	at := start(t, s, "shop.things")
	s.LimitPages(t, 40)
	big := put(things(), thing("a", strings.Repeat("x", 1<<20), 1))
	big.Moves = []store.Move{{From: at, Next: 1}}
	if _, err := s.Apply(t.Context(), big); !errors.Is(err, store.ErrTransient) {
		t.Errorf("got error %v, want ErrTransient", err)
	}
	s.LimitPages(t, 1<<20)
	mustApply(t, s, &at, big)
}

// TestCancelledMidway: a context that ends between the rows ends the
// transaction, and nothing of it stays.
func TestCancelledMidway(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	s := mustOpen(t, path, things())
	at := start(t, s, "shop.things")
	ctx, cancel := context.WithCancel(t.Context())
	s.Trace(func(stage string) {
		if stage == "positions" {
			cancel()
		}
	})
	var rows []store.Row
	for i := range 1000 {
		rows = append(rows, thing(fmt.Sprintf("%05d", i), "one", 1))
	}
	b := put(things(), rows...)
	b.Moves = []store.Move{{From: at, Next: 1}}
	if _, err := s.Apply(ctx, b); !errors.Is(err, store.ErrTransient) || !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v, want ErrTransient and context.Canceled", err)
	}
	if got := start(t, s, "shop.things"); got != at {
		t.Errorf("got position %v, want %v", got, at)
	}
	if got, err := read(t.Context(), path, `SELECT count(*) FROM firehose_things`); err != nil || fmt.Sprint(got) != "[[0]]" {
		t.Errorf("got %v rows, %v, want none", got, err)
	}
	mustApply(t, s, &at, b)
}

// TestNoPayloadInErrors: an error names table and column and holds nothing of
// the record.
func TestNoPayloadInErrors(t *testing.T) {
	s := mustOpen(t, filepath.Join(t.TempDir(), "test.db"), things())
	at := start(t, s, "shop.things")
	const canary = "canary-7f3a"
	for _, r := range []store.Row{
		{Key: []any{canary}, Values: []any{canary + "\x00"}},
		{Key: []any{canary}, Values: []any{nil}},
		{Key: []any{canary}, Values: []any{[]byte(canary)}},
		{Key: []any{canary + "\xff"}, Values: []any{canary}},
	} {
		b := put(things(), r)
		b.Moves = []store.Move{{From: at, Next: 1}}
		_, err := s.Apply(t.Context(), b)
		if !errors.Is(err, store.ErrRefused) || strings.Contains(err.Error(), canary) {
			t.Errorf("got error %v, want ErrRefused without the value", err)
		}
	}
}
