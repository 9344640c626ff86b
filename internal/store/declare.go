package store

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// MaxIdentifier is the longest name of a table or column. PostgreSQL cuts
// identifiers at 63 bytes and ours get a prefix.
const MaxIdentifier = 54

// engines are the relations firehose_… of the engine, in either store: tables,
// indexes and what PostgreSQL makes for them.
var engines = []string{
	"catalog", "columns", "conflicts_recorded_at", "dead_letters", "dead_letters_recorded_at", "images", "migrations", "migrations_id_seq", "owner",
}

var identifier = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

// CheckTable refuses a table that a store could not keep: names that are no
// identifiers or are reserved (PostgreSQL ends those of primary keys with _pkey,
// and they stand among the tables), columns that differ by case only, key columns
// without an exact order, counters that are not Ints. The error names the table
// and the column.
func CheckTable(t *Table) error {
	lower := strings.ToLower(t.Name)
	switch {
	case !identifier.MatchString(t.Name) || len(t.Name) > MaxIdentifier:
		return fmt.Errorf("table %q: want an identifier of at most %d letters, digits and _", t.Name, MaxIdentifier)
	case reserved(lower) || lower == "positions" || lower == "conflicts" || strings.HasSuffix(lower, "_pkey"):
		return fmt.Errorf("table %s: the name is reserved", t.Name)
	case t.Sharded && t.Kind != Counters:
		return fmt.Errorf("table %s: only counters can be sharded", t.Name)
	case (t.Kind == Rows || t.Sharded) && (slices.Contains(engines, lower) || strings.HasPrefix(lower, "seen_")):
		return fmt.Errorf("table %s: firehose_%s is reserved", t.Name, t.Name)
	case t.Kind > Log:
		return fmt.Errorf("table %s: unknown kind %d", t.Name, t.Kind)
	case t.Kind == Log && len(t.Key) > 0:
		return fmt.Errorf("table %s: a log is keyed by its event, want no key columns", t.Name)
	case t.Kind != Log && len(t.Key) == 0:
		return fmt.Errorf("table %s: want at least one key column", t.Name)
	case t.Kind == Counters && len(t.Columns) == 0:
		return fmt.Errorf("table %s: want at least one counter", t.Name)
	}
	seen := map[string]bool{}
	for i, c := range append(append([]Column(nil), t.Key...), t.Columns...) {
		if err := checkColumn(t, c, i < len(t.Key)); err != nil {
			return fmt.Errorf("table %s: column %q: %w", t.Name, c.Name, err)
		}
		if name := strings.ToLower(c.Name); seen[name] {
			return fmt.Errorf("table %s: column %q: declared twice (case does not count)", t.Name, c.Name)
		} else {
			seen[name] = true
		}
	}
	return nil
}

func checkColumn(t *Table, c Column, key bool) error {
	switch {
	case !identifier.MatchString(c.Name) || len(c.Name) > MaxIdentifier:
		return fmt.Errorf("want an identifier of at most %d letters, digits and _", MaxIdentifier)
	case reserved(strings.ToLower(c.Name)):
		return errors.New("the name is reserved")
	case c.Type > JSON:
		return fmt.Errorf("unknown type %d", c.Type)
	case key && c.Nullable:
		return errors.New("a key column cannot be nullable")
	case key && (c.Type == Float || c.Type == JSON || c.Type == Decimal):
		// 1.5 and 1.50 are one number and two texts, and 0.0 and -0.0 one number
		// of two forms: which rows are one would depend on the store.
		return fmt.Errorf("a key column cannot be of type %s: equal values must be equal bytes", c.Type)
	case !key && t.Kind == Counters && (c.Type != Int || c.Nullable):
		return errors.New("want a counter to be an Int that is not nullable")
	}
	if c.Default != nil {
		if err := CheckValue(c, c.Default); err != nil {
			return errors.New("default: " + err.Error()) // not ErrRefused: no record is at fault
		}
	}
	return nil
}

func reserved(lower string) bool {
	return strings.HasPrefix(lower, "firehose_") || strings.HasPrefix(lower, "sqlite_") || strings.HasPrefix(lower, "pg_")
}
