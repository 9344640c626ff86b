package sqlite

import (
	"context"
	"errors"
	"fmt"
	"time"

	"firehose/internal/store"
)

// writer is the write connection with what it knows of the file. All of it
// belongs to whoever holds the connection.
type writer struct {
	conn     *conn
	tables   map[string]*store.Catalogued
	compiled map[*store.Table]*table
	seen     seenTables
	now      func() time.Time
	expiry   store.Expiry

	// altered says that tables or seen changed in memory along with the file
	// within this transaction, so that a rollback has to read them again.
	altered bool
}

// maxCompiled bounds the statements that are kept prepared: a caller that makes
// a new store.Table each time must not fill the memory.
const maxCompiled = 64

// transaction runs fn in a transaction that takes the write lock at once, so
// that it cannot fail for a reader's sake halfway.
func (w *writer) transaction(ctx context.Context, fn func() error) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := w.reload(ctx); err != nil {
		return err
	}
	begin, err := w.conn.prepare("BEGIN IMMEDIATE")
	if err != nil {
		return err
	}
	if _, err := begin.exe.ExecContext(ctx, nil); err != nil {
		w.rollback() // the context may have ended just after the lock was taken
		return err
	}
	if err = fn(); err == nil {
		err = ctx.Err()
	}
	if err == nil {
		_, err = w.conn.exec("COMMIT")
	}
	if err != nil {
		w.rollback()
		return err
	}
	w.altered = false
	return nil
}

// reload reads the catalogue again after a transaction that changed it was
// rolled back.
func (w *writer) reload(ctx context.Context) error {
	if !w.altered || w.tables == nil {
		return nil
	}
	if err := w.load(ctx); err != nil {
		return err
	}
	w.altered = false
	return nil
}

// rollback ends the transaction. Its own error says nothing more than the one
// that led here: SQLite has rolled back by itself after some of them, and if
// this one did not, the next BEGIN refuses.
func (w *writer) rollback() { _, _ = w.conn.exec("ROLLBACK") }

// table returns the prepared form of a declared table; the file has its columns
// afterwards.
func (w *writer) table(t *store.Table) (*table, error) {
	if c, ok := w.compiled[t]; ok && c.physicalColumns == len(c.physical.Columns) {
		return c, nil
	} else if ok {
		if err := w.dropCompiled(); err != nil {
			return nil, err
		}
	}
	if err := store.CheckTable(t); err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrFatal, err)
	}
	p, err := w.ensure(t)
	if err != nil {
		return nil, err
	}
	if len(w.compiled) >= maxCompiled {
		if err := w.dropCompiled(); err != nil {
			return nil, err
		}
	}
	c, err := compile(w.conn, t, p)
	if err != nil {
		return nil, err
	}
	w.compiled[t] = c
	return c, nil
}

func (w *writer) dropCompiled() error {
	var errs []error
	for _, c := range w.compiled {
		errs = append(errs, c.close(w.conn))
	}
	w.compiled = map[*store.Table]*table{}
	return errors.Join(errs...)
}
