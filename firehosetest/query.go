package firehosetest

import (
	"context"
	"database/sql"
	"errors"
	"strings"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // so that a service on PostgreSQL can be looked into, too

	"firehose/internal/store"
)

// read queries the service's store on a connection of its own.
func (s *Service) read(ctx context.Context, query string, args ...any) (out [][]any, err error) {
	driver, address := "pgx", s.cfg.Store
	if path, ok := strings.CutPrefix(address, "sqlite:"); ok {
		driver, address = "sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(5000)"
	}
	db, err := sql.Open(driver, address)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types, err := rows.ColumnTypes()
	if err != nil {
		return nil, err
	}
	for rows.Next() {
		row, into := make([]any, len(types)), make([]any, len(types))
		for i := range row {
			into[i] = &row[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		for i := range row {
			row[i] = plain(types[i].DatabaseTypeName(), row[i])
		}
		out = append(out, row)
	}
	return out, rows.Err()
}

// plain is a value of PostgreSQL as SQLite would hold it.
func plain(typ string, v any) any {
	switch v := v.(type) {
	case bool:
		if v {
			return int64(1)
		}
		return int64(0)
	case time.Time:
		return store.FormatTimestamp(v)
	case []byte:
		if typ == "JSON" {
			return string(v)
		}
	}
	return v
}
