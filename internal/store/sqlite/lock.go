package sqlite

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"firehose/internal/store"
)

// takeLock makes this process the only one that opens a database through this
// package; any SQLite tool may still read it. The lock lies beside the database,
// because SQLite's own locks on the file are taken and released all the time. It
// is held by the open file: a killed process releases it.
func takeLock(database string) (*os.File, error) {
	f, err := os.OpenFile(database+"-lock", os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", store.ErrTransient, err)
	}
	switch ok, err := tryLock(f); {
	case err != nil:
		f.Close()
		return nil, fmt.Errorf("lock %s: %w: %w", f.Name(), store.ErrTransient, err)
	case !ok:
		holder, _ := os.ReadFile(f.Name())
		f.Close()
		return nil, fmt.Errorf("%w: %s is in use by process %s: a database on SQLite belongs to one instance; "+
			"use PostgreSQL for more", store.ErrFatal, filepath.Base(database), orUnknown(strings.TrimSpace(string(holder))))
	}
	// Only a hint for whoever is refused; the lock does not depend on it.
	if err := f.Truncate(0); err == nil {
		_, _ = f.WriteAt([]byte(strconv.Itoa(os.Getpid())+"\n"), 0)
	}
	return f, nil
}

func orUnknown(pid string) string {
	if _, err := strconv.Atoi(pid); err != nil {
		return "(unknown)"
	}
	return pid
}
