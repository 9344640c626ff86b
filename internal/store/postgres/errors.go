package postgres

import (
	"context"
	"errors"
	"fmt"
	"net"
	"strings"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firehose/internal/store"
)

// Error classes of PostgreSQL (appendix A of its manual) that are about what a
// record holds. Their messages quote values, so nothing but the code is shown.
const (
	dataException      = "22"
	constraintViolated = "23"
	limitExceeded      = "54" // a key that does not fit an index, for one
)

// invalidAuthorization is the class of a login that is refused.
const invalidAuthorization = "28"

// classify wraps an error of the database in its class. Neither values nor
// credentials are in what it returns.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, class := range []error{store.ErrFenced, store.ErrChanged, store.ErrTransient, store.ErrRefused, store.ErrFatal} {
		if errors.Is(err, class) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	return fmt.Errorf("%s: %w: %w", op, classOf(err), describe(err))
}

// whileRunning is classify for a store that has been opened. What would have
// refused the start is waited for then, where an operator mends it while services
// run.
func whileRunning(op string, err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) && (e.Code[:2] == invalidAuthorization || ofAnotherSession(err)) {
		// A password is rotated in the server and in its file one after the other.
		err = fmt.Errorf("%w: %w", store.ErrTransient, describe(err))
	}
	return classify(op, err)
}

func classOf(err error) error {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		// The connection broke, could not be made, or the context ended.
		return store.ErrTransient
	}
	switch e.Code[:2] {
	case dataException, constraintViolated, limitExceeded:
		return store.ErrRefused
	case "08", "40", "53", "55", "57", "58", "25":
		// Connection, rollback of a deadlock, resources, locks, shutdown and
		// timeouts, input and output, a standby that is read-only.
		return store.ErrTransient
	default:
		// Login, a missing database, privileges, a relation that is not there:
		// somebody has to do something.
		return store.ErrFatal
	}
}

// describe is the error without what must not be shown: pgx's own text of a
// failed connection quotes the whole address, and PostgreSQL's details quote
// rows.
func describe(err error) error {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return &serverError{code: e.Code, text: textOf(e), cause: err}
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		if cause := connect.Unwrap(); cause != nil {
			return fmt.Errorf("connect: %w", innermost(cause))
		}
	}
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded), errors.Is(err, errNoAnswer):
		return err
	case errors.Is(err, pgx.ErrTxClosed), errors.Is(err, net.ErrClosed):
		return errors.New("the connection is closed")
	}
	return innermost(err)
}

// innermost unwraps to the error of the network, whose text is an address and a
// reason.
func innermost(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op
	}
	for {
		next := errors.Unwrap(err)
		if next == nil {
			return err
		}
		err = next
	}
}

// serverError shows a code and what of the server's message is no content.
type serverError struct {
	code, text string
	cause      error
}

func (e *serverError) Error() string { return e.text + " (SQLSTATE " + e.code + ")" }
func (e *serverError) Unwrap() error { return e.cause }

func textOf(e *pgconn.PgError) string {
	if ofAnotherSession(e) {
		return strings.ReplaceAll(e.Message, "\n", " ") + ": is there a pooler in transaction mode between? A store needs sessions of its own"
	}
	switch e.Code[:2] {
	case dataException, constraintViolated, limitExceeded:
		parts := []string{"PostgreSQL refuses a value"}
		for _, p := range [][2]string{{"table", e.TableName}, {"column", e.ColumnName}, {"constraint", e.ConstraintName}} {
			if p[1] != "" {
				parts = append(parts, p[0]+" "+p[1])
			}
		}
		return strings.Join(parts, ", ")
	}
	return strings.ReplaceAll(e.Message, "\n", " ")
}

// ofAnotherSession reports whether what the session has prepared or staged is not
// there. That it is in another session is the one explanation.
func ofAnotherSession(err error) bool {
	var e *pgconn.PgError
	if !errors.As(err, &e) {
		return false
	}
	switch e.Code {
	case "26000", "42P05": // a prepared statement is not there, or is there already
		return true
	case undefinedTable:
		return strings.Contains(e.Message, stagePrefix)
	case "3F000": // no schema: that of temporary tables, before there is one
		return strings.Contains(e.Message, "pg_temp")
	}
	return false
}

// hasCode reports whether err is PostgreSQL's error of that code.
func hasCode(err error, code string) bool {
	var e *pgconn.PgError
	return errors.As(err, &e) && e.Code == code
}

const (
	undefinedTable  = "42P01"
	duplicateSchema = "42P06"
)
