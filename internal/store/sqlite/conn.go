package sqlite

import (
	"context"
	"database/sql/driver"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strconv"
	"time"

	"modernc.org/sqlite"
)

// conn is one connection with its prepared statements. It speaks to the driver
// below database/sql: the pool, its locks and a goroutine per cancellable
// statement cost about as much as writing a row does. One goroutine at a time.
type conn struct {
	raw   driver.Conn
	stmts map[string]*stmt
}

// stmt is a prepared statement with the argument slice that it reuses.
type stmt struct {
	exe  driver.StmtExecContext
	qry  driver.StmtQueryContext
	raw  driver.Stmt
	args []driver.NamedValue
}

// busyTimeout bounds the wait for another program that writes to the file.
const busyTimeout = 5 * time.Second

func openConn(ctx context.Context, path string, pragmas ...string) (*conn, error) {
	dsn := url.URL{Scheme: "file", Opaque: (&url.URL{Path: path}).EscapedPath()}
	values := url.Values{
		"_busy_timeout": {strconv.FormatInt(busyTimeout.Milliseconds(), 10)}, "_pragma": pragmas, "_dqs": {"0"}, "_error_rc": {"1"},
	}
	dsn.RawQuery = values.Encode()
	connector, err := sqlite.NewConnector(dsn.String())
	if err != nil {
		return nil, err
	}
	raw, err := connector.Connect(ctx)
	if err != nil {
		return nil, err
	}
	return &conn{raw: raw, stmts: map[string]*stmt{}}, nil
}

func (c *conn) close() error {
	var errs []error
	for _, s := range c.stmts {
		errs = append(errs, s.raw.Close())
	}
	return errors.Join(append(errs, c.raw.Close())...)
}

// prepare returns the statement of a text, prepared once.
func (c *conn) prepare(query string) (*stmt, error) {
	if s, ok := c.stmts[query]; ok {
		return s, nil
	}
	raw, err := c.raw.Prepare(query)
	if err != nil {
		return nil, err
	}
	s := &stmt{raw: raw}
	var ok bool
	if s.exe, ok = raw.(driver.StmtExecContext); !ok {
		return nil, fmt.Errorf("driver statement %T cannot execute", raw)
	}
	if s.qry, ok = raw.(driver.StmtQueryContext); !ok {
		return nil, fmt.Errorf("driver statement %T cannot query", raw)
	}
	c.stmts[query] = s
	return s, nil
}

// forget closes the prepared statement of a text, if there is one.
func (c *conn) forget(query string) error {
	s, ok := c.stmts[query]
	if !ok {
		return nil
	}
	delete(c.stmts, query)
	return s.raw.Close()
}

// exec prepares, runs and returns the number of rows changed.
func (c *conn) exec(query string, args ...any) (int64, error) {
	s, err := c.prepare(query)
	if err != nil {
		return 0, err
	}
	return s.exec(args...)
}

// ddl runs a statement once, without keeping it prepared.
func (c *conn) ddl(query string) error {
	s, err := c.raw.Prepare(query)
	if err != nil {
		return err
	}
	_, err = s.(driver.StmtExecContext).ExecContext(context.Background(), nil)
	return errors.Join(err, s.Close())
}

// once prepares, runs and closes: for statements whose text will not come again.
func (c *conn) once(query string, args ...any) (int64, error) {
	n, err := c.exec(query, args...)
	return n, errors.Join(err, c.forget(query))
}

// queryOnce is to query what once is to exec.
func (c *conn) queryOnce(ctx context.Context, query string, row func([]driver.Value) error, args ...any) error {
	err := c.query(ctx, query, row, args...)
	return errors.Join(err, c.forget(query))
}

// query prepares, runs and calls row for each row; row's values are valid until
// it returns, the bytes in them for ever.
func (c *conn) query(ctx context.Context, query string, row func([]driver.Value) error, args ...any) error {
	s, err := c.prepare(query)
	if err != nil {
		return err
	}
	return s.query(ctx, row, args...)
}

func (s *stmt) bind(args []any) []driver.NamedValue {
	s.args = s.args[:0]
	for i, a := range args {
		s.args = append(s.args, driver.NamedValue{Ordinal: i + 1, Value: a})
	}
	return s.args
}

// exec runs without a context: statements are short, and whoever runs many asks
// the context between them.
func (s *stmt) exec(args ...any) (int64, error) {
	r, err := s.exe.ExecContext(context.Background(), s.bind(args))
	if err != nil {
		return 0, err
	}
	return r.RowsAffected()
}

func (s *stmt) query(ctx context.Context, row func([]driver.Value) error, args ...any) (err error) {
	rows, err := s.qry.QueryContext(ctx, s.bind(args))
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	dest := make([]driver.Value, len(rows.Columns()))
	for {
		switch err := rows.Next(dest); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return err
		}
		if err := row(dest); err != nil {
			return err
		}
	}
}
