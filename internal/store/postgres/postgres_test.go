package postgres_test

import (
	"context"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgtype"
	"go.uber.org/goleak"

	"firehose/internal/store"
	"firehose/internal/store/postgres"
	"firehose/internal/store/storetest"
	"firehose/internal/testbed"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestStore(t *testing.T) {
	address := testbed.Postgres(t)
	var schemas atomic.Int64
	storetest.Run(t, func(t testing.TB, tables []*store.Table) storetest.Store {
		of := fmt.Sprintf("%s&search_path=test_%d", address, schemas.Add(1))
		s, err := postgres.Open(t.Context(), postgres.Config{Address: of}, tables)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return readable{s, of}
	})
}

func TestOwner(t *testing.T) {
	of := testbed.Postgres(t) + "&search_path=owned"
	storetest.RunOwned(t, func(owner string) (storetest.Store, error) {
		s, err := postgres.Open(t.Context(), postgres.Config{Address: of, Owner: owner}, nil)
		return readable{s, of}, err
	})
}

func TestReserved(t *testing.T) {
	t.Parallel()
	address := testbed.Postgres(t)
	s, err := postgres.Open(t.Context(), postgres.Config{Address: address}, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	names, err := readable{s, address}.Read(t.Context(), `SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace`)
	if err != nil {
		t.Fatal(err)
	}
	storetest.Reserved(t, slices.Concat(names...))
}

// readable reads the database beside the store, as any client does.
type readable struct {
	*postgres.Store
	address string
}

func (r readable) Read(ctx context.Context, query string) ([][]string, error) {
	conn, err := pgx.Connect(ctx, r.address+"&timezone=UTC")
	if err != nil {
		return nil, err
	}
	defer conn.Close(context.WithoutCancel(ctx))
	rows, err := conn.Query(ctx, query, pgx.QueryExecModeSimpleProtocol)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all [][]string
	for rows.Next() {
		row := make([]string, len(rows.RawValues()))
		for i, raw := range rows.RawValues() {
			if row[i], err = asText(rows.FieldDescriptions()[i].DataTypeOID, raw); err != nil {
				return nil, err
			}
		}
		all = append(all, row)
	}
	return all, rows.Err()
}

// asText writes a value as the suite wants it, from PostgreSQL's own text.
func asText(oid uint32, raw []byte) (string, error) {
	switch {
	case raw == nil:
		return "NULL", nil
	case oid == pgtype.BoolOID:
		return map[string]string{"t": "1", "f": "0"}[string(raw)], nil
	case oid == pgtype.ByteaOID:
		b, err := hex.DecodeString(strings.TrimPrefix(string(raw), `\x`))
		return string(b), err
	case oid == pgtype.TimestamptzOID:
		at, err := time.Parse("2006-01-02 15:04:05.999999-07", string(raw))
		return store.FormatTimestamp(at), err
	}
	return string(raw), nil
}

// A database without any schema, and no search_path of its own: the user's schema is
// made, as the default search_path means it.
func TestSchemaOfTheUser(t *testing.T) {
	address := testbed.Postgres(t)
	conn, err := pgx.Connect(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close(context.Background())
	if _, err := conn.Exec(t.Context(), `DROP SCHEMA public CASCADE`); err != nil {
		t.Fatal(err)
	}
	s, err := postgres.Open(t.Context(), postgres.Config{Address: address, Owner: "group"}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
	var inUsers bool
	if err := conn.QueryRow(t.Context(), `SELECT to_regclass(format('%I.positions', current_user)) IS NOT NULL`).Scan(&inUsers); err != nil || !inUsers {
		t.Errorf("the user's schema has positions: %v, %v", inUsers, err)
	}
}
