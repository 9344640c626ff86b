package postgres

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"

	"firehose/internal/store"
)

// How long a statement, a lock and an open transaction may take. What frees the
// locks of a process that was frozen is idleTimeout, so it is far below the time
// in which a group notices a member that is gone; lockTimeout ends whoever waits
// for them, statementTimeout a server that does not answer.
const (
	connectTimeout   = 10 * time.Second
	statementTimeout = 60 * time.Second
	lockTimeout      = 15 * time.Second
	idleTimeout      = 10 * time.Second
	userTimeout      = 30 * time.Second // unacknowledged by the other side's TCP

	// patienceFactor times its statement_timeout is how long a server may take
	// to answer a pipeline. A server that is only slow answers before, with an
	// error of its own: this is for one that is frozen, or a proxy that is. The
	// statements of a pipeline share it; where a database needs longer, a longer
	// statement_timeout in its address makes this longer, too.
	patienceFactor = 2
)

// source is where the database is and how to log in. It is read anew for each
// connection, so that a password may be rotated.
type source struct{ address, passwordFile string }

// config reads the address. Its errors do not show it.
func (src source) config() (*pgx.ConnConfig, error) {
	address := src.address
	cfg, err := pgx.ParseConfig(address)
	if err != nil {
		return nil, fmt.Errorf("%w: the address cannot be read: want postgres://USER@HOST:PORT/DATABASE?search_path=SCHEMA&sslmode=verify-full", store.ErrFatal)
	}
	if src.passwordFile != "" {
		password, err := os.ReadFile(src.passwordFile)
		if err != nil {
			return nil, fmt.Errorf("%w: password file: %w", store.ErrTransient, err)
		}
		cfg.Password = strings.TrimRight(string(password), "\r\n")
	}
	defaultTo := func(name, value string) {
		if _, ok := cfg.RuntimeParams[name]; !ok {
			cfg.RuntimeParams[name] = value
		}
	}
	milliseconds := func(d time.Duration) string { return fmt.Sprint(d.Milliseconds()) }
	defaultTo("application_name", "firehose")
	defaultTo("statement_timeout", milliseconds(statementTimeout))
	defaultTo("lock_timeout", milliseconds(lockTimeout))
	defaultTo("idle_in_transaction_session_timeout", milliseconds(idleTimeout))
	defaultTo("tcp_user_timeout", milliseconds(userTimeout))
	cfg.RuntimeParams["TimeZone"] = "UTC"
	// What a batch was merged from is checked in its transaction, which needs no
	// stricter level than this one and fails without need at any.
	cfg.RuntimeParams["default_transaction_isolation"] = "read committed"
	cfg.RuntimeParams["client_min_messages"] = "warning"
	if cfg.ConnectTimeout == 0 || cfg.ConnectTimeout > connectTimeout {
		cfg.ConnectTimeout = connectTimeout
	}
	cfg.DialFunc = (&net.Dialer{Control: control, KeepAliveConfig: net.KeepAliveConfig{
		Enable: true, Idle: 10 * time.Second, Interval: 5 * time.Second, Count: 3,
	}}).DialContext
	return cfg, nil
}

func (src source) connect(ctx context.Context) (*pgx.Conn, error) {
	cfg, err := src.config()
	if err != nil {
		return nil, err
	}
	return pgx.ConnectConfig(ctx, cfg)
}

// session is one connection with what it has prepared and staged. Whoever took
// it from the pool owns it.
type session struct {
	conn   *pgx.Conn         // nil until it is connected, and again when it broke
	name   string            // no other session's
	stages map[string]*stage // by purpose
	staged int               // made so far
	batch  int               // the batch that is staged now
	spare  []byte            // of what was copied last, to be filled again

	patience time.Duration // how long an answer may take; 0: for ever
}

// open connects a session.
func (src source) open(ctx context.Context) (*session, error) {
	conn, err := src.connect(ctx)
	if err != nil {
		return nil, err
	}
	s := &session{conn: conn, name: strings.ToLower(rand.Text()[:10]), stages: map[string]*stage{}, patience: connectTimeout}
	var timeout int64
	err = s.ask(ctx, func(ctx context.Context) error {
		return conn.QueryRow(ctx, `SELECT setting::bigint FROM pg_settings WHERE name = 'statement_timeout'`,
			pgx.QueryExecModeSimpleProtocol).Scan(&timeout)
	})
	if err != nil {
		_ = closeNow(conn) // says nothing more
		return nil, err
	}
	s.patience = patienceFactor * time.Duration(timeout) * time.Millisecond
	return s, nil
}

// errNoAnswer says that the server, or something between, takes what it is sent
// and does not answer.
var errNoAnswer = errors.New("the server does not answer")

// ask runs fn, which waits for one pipeline of statements, for as long as the
// session is patient. When that is over the connection is closed, since nobody
// knows what its next answer would belong to; and so it is when it leads to
// another session than before.
func (s *session) ask(ctx context.Context, fn func(ctx context.Context) error) error {
	bounded, cancel := ctx, func() {}
	if s.patience > 0 {
		bounded, cancel = context.WithTimeout(ctx, s.patience)
	}
	defer cancel()
	err := fn(bounded)
	switch {
	case errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil:
		return fmt.Errorf("%w: waited %v", errNoAnswer, s.patience)
	case ofAnotherSession(err):
		_ = closeNow(s.conn) // says nothing more
	}
	return err
}

// pool is a fixed number of sessions.
type pool struct {
	src  source
	free chan *session
	size int
}

func newPool(src source, size int) *pool {
	p := &pool{src: src, free: make(chan *session, size), size: size}
	for range size {
		p.free <- &session{}
	}
	return p
}

// acquire waits for a session and connects it where it is not.
func (p *pool) acquire(ctx context.Context) (*session, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var s *session
	select {
	case taken, ok := <-p.free:
		if !ok {
			return nil, errClosed
		}
		s = taken
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	if s.conn != nil && s.conn.IsClosed() {
		s.conn = nil
	}
	if s.conn == nil {
		opened, err := p.src.open(ctx)
		if err != nil {
			p.free <- s
			return nil, err
		}
		s = opened
	}
	return s, nil
}

// release gives a session back. One that stands in a transaction, or whose state
// is not known, is closed: the server rolls back.
func (p *pool) release(s *session) error {
	var err error
	if s.conn != nil && (s.conn.IsClosed() || s.conn.PgConn().TxStatus() != 'I') {
		err = closeNow(s.conn)
		*s = session{}
	}
	p.free <- s
	return err
}

// close waits for all sessions and closes them.
func (p *pool) close() error {
	var first error
	for range p.size {
		s, ok := <-p.free
		if !ok {
			return nil
		}
		if s.conn != nil {
			if err := closeNow(s.conn); err != nil && first == nil {
				first = err
			}
		}
	}
	close(p.free)
	return first
}

// closeNow closes a connection, whatever became of the context of its last call.
func closeNow(conn *pgx.Conn) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	return conn.Close(ctx)
}

// firstOf is the first schema of a search path.
func firstOf(path string) string {
	first, _, _ := strings.Cut(path, ",")
	first = strings.TrimSpace(first)
	if unquoted, ok := strings.CutPrefix(first, `"`); ok {
		return strings.ReplaceAll(strings.TrimSuffix(unquoted, `"`), `""`, `"`)
	}
	return first
}
