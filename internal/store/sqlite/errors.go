package sqlite

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"

	"firehose/internal/store"
)

// classify wraps an error of the database in its class. SQLite's messages name
// tables and columns, never values, so they may be logged.
func classify(op string, err error) error {
	if err == nil {
		return nil
	}
	for _, class := range []error{store.ErrFenced, store.ErrChanged, store.ErrTransient, store.ErrRefused, store.ErrFatal} {
		if errors.Is(err, class) {
			return fmt.Errorf("%s: %w", op, err)
		}
	}
	return fmt.Errorf("%s: %w: %w", op, classOf(err), err)
}

func classOf(err error) error {
	if errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded) {
		return store.ErrTransient
	}
	if path := (*fs.PathError)(nil); errors.As(err, &path) {
		return store.ErrTransient
	}
	var e *sqlite.Error
	if !errors.As(err, &e) {
		return store.ErrFatal // the driver refuses the call: a fault of this package
	}
	switch e.Code() & 0xff {
	case sqlite3.SQLITE_CONSTRAINT, sqlite3.SQLITE_MISMATCH, sqlite3.SQLITE_TOOBIG, sqlite3.SQLITE_RANGE:
		return store.ErrRefused
	case sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED, sqlite3.SQLITE_IOERR, sqlite3.SQLITE_FULL, sqlite3.SQLITE_CANTOPEN,
		sqlite3.SQLITE_INTERRUPT, sqlite3.SQLITE_NOMEM, sqlite3.SQLITE_PROTOCOL, sqlite3.SQLITE_SCHEMA, sqlite3.SQLITE_ABORT:
		return store.ErrTransient
	default:
		// Corrupt, no database, read-only, or a statement that this schema
		// does not know: retrying cannot help.
		return store.ErrFatal
	}
}
