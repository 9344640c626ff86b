package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
)

// table is where a contender's rows end up, and how they are looked at from
// another connection.
type table struct {
	positions string  // of which the sum of next is the number of events applied; "" for none
	tails     []tail  // then these rows are there when all is
	rows      string  // table of the orders, or of the counters
	sum       string  // what is summed over them, and is events at the end
	query     querier // of the database

	// What is there after a warm-up of a fifth, for those whose rows are watched.
	warm           int64
	warmAt, doneAt time.Time
}

type querier func(ctx context.Context, query string, args ...any) (int64, error)

// watch asks how far it is.
func (t *table) watch(events int) watch {
	return func(ctx context.Context) (begun, done bool, err error) {
		if t.positions == "" {
			return t.watchTails(ctx, events)
		}
		n, err := t.query(ctx, "SELECT coalesce(sum(next), 0) FROM "+t.positions)
		return n > 0, n == int64(events), err
	}
}

func (t *table) watchTails(ctx context.Context, events int) (begun, done bool, err error) {
	if t.warm < int64(events)/5 { // not longer: reading all rows takes time
		if t.warm, err = t.query(ctx, "SELECT coalesce(sum("+t.sum+"), 0) FROM "+t.rows); err != nil || t.warm == 0 {
			return false, false, err
		}
		t.warmAt = time.Now()
	}
	for _, last := range t.tails {
		n, err := t.query(ctx, "SELECT count(*) FROM "+t.rows+" WHERE order_id = $1 AND version = $2", last.Key, last.Version)
		if err != nil || n == 0 {
			return true, false, err
		}
	}
	t.doneAt = time.Now()
	return true, true, nil
}

// behindWarmUp is how long all would have taken at the rate behind the warm-up.
func (t *table) behindWarmUp(events int) (float64, error) {
	if t.warm >= int64(events) {
		return 0, errors.New("all was there at once: ask for more events")
	}
	return t.doneAt.Sub(t.warmAt).Seconds() * float64(events) / float64(int64(events)-t.warm), nil
}

// right fails unless all is there, once.
func (t *table) right(ctx context.Context, rows, events int) error {
	if t.sum == "" {
		return nil
	}
	gotRows, err := t.query(ctx, "SELECT count(*) FROM "+t.rows)
	if err != nil {
		return err
	}
	sum, err := t.query(ctx, "SELECT sum("+t.sum+") FROM "+t.rows)
	if err == nil && (gotRows != int64(rows) || sum != int64(events)) {
		err = fmt.Errorf("it is wrong: %d rows, sum %d; want %d and %d", gotRows, sum, rows, events)
	}
	return err
}

// inPostgres reads what may not be there yet as 0.
func inPostgres(conn *pgx.Conn) querier {
	return func(ctx context.Context, query string, args ...any) (n int64, err error) {
		err = conn.QueryRow(ctx, query, append([]any{pgx.QueryExecModeSimpleProtocol}, args...)...).Scan(&n)
		var e *pgconn.PgError
		if errors.As(err, &e) && e.Code == "42P01" { // undefined_table
			return 0, nil
		}
		return n, err
	}
}

// inSQLite opens the file when it is there.
func inSQLite(path string) (querier, func() error) {
	var db *sql.DB
	closer := func() error {
		if db == nil {
			return nil
		}
		return db.Close()
	}
	return func(ctx context.Context, query string, args ...any) (n int64, err error) {
		if db == nil {
			if _, err := os.Stat(path); err != nil {
				return 0, nil //nolint:nilerr // not yet
			}
			if db, err = sql.Open("sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(1000)"); err != nil {
				return 0, err
			}
		}
		err = db.QueryRowContext(ctx, query, args...).Scan(&n)
		if err != nil && (strings.Contains(err.Error(), "no such table") || strings.Contains(err.Error(), "unable to open")) {
			return 0, nil
		}
		return n, err
	}, closer
}
