package sqlite_test

import (
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"slices"
	"testing"

	"go.uber.org/goleak"

	"firehose/internal/store"
	"firehose/internal/store/sqlite"
	"firehose/internal/store/storetest"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	storetest.Run(t, func(t testing.TB, tables []*store.Table) storetest.Store {
		path := filepath.Join(t.TempDir(), "test.db")
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path}, tables)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return readable{s, path}
	})
}

func TestOwner(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	storetest.RunOwned(t, func(owner string) (storetest.Store, error) {
		s, err := sqlite.Open(t.Context(), sqlite.Config{Path: path, Owner: owner}, nil)
		return readable{s, path}, err
	})
}

func TestReserved(t *testing.T) {
	path := filepath.Join(t.TempDir(), "test.db")
	mustOpen(t, path)
	names, err := read(t.Context(), path, `SELECT name FROM sqlite_master`)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Reserved(t, slices.Concat(names...))
}

// readable reads the file beside the store, as any SQLite tool does.
type readable struct {
	*sqlite.Store
	path string
}

func (r readable) Read(ctx context.Context, query string) ([][]string, error) {
	return read(ctx, r.path, query)
}

func read(ctx context.Context, path, query string) ([][]string, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return nil, err
	}
	defer db.Close()
	rows, err := db.QueryContext(ctx, query)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	columns, err := rows.Columns()
	if err != nil {
		return nil, err
	}
	var all [][]string
	for rows.Next() {
		values, to := make([]any, len(columns)), make([]any, len(columns))
		for i := range values {
			to[i] = &values[i]
		}
		if err := rows.Scan(to...); err != nil {
			return nil, err
		}
		row := make([]string, len(values))
		for i, v := range values {
			switch v := v.(type) {
			case nil:
				row[i] = "NULL"
			case []byte:
				row[i] = string(v)
			default:
				row[i] = fmt.Sprint(v)
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}
