package store

import (
	"fmt"
	"strings"
)

var typeNames = [...]string{
	Text: "text", Int: "int", Float: "float", Bool: "bool",
	Bytes: "bytes", Timestamp: "timestamp", Decimal: "decimal", JSON: "json",
}

// String is the type's name in a store's catalogue.
func (t Type) String() string { return typeNames[t] }

var kindNames = [...]string{Rows: "rows", Counters: "counters", Log: "log"}

// String is the kind's name in a store's catalogue.
func (k Kind) String() string { return kindNames[k] }

// Catalogued is a table as a database has it.
type Catalogued struct {
	Name    string
	Kind    string             // Kind.String, or what that database makes of it
	Columns []CataloguedColumn // in the order of the database, the key's too
}

// CataloguedColumn is one of its columns.
type CataloguedColumn struct {
	Name     string
	Key      bool
	Type     string // of Type.String
	Nullable bool
	Default  string // an SQL literal of that database
}

// Relation is the name of the table that holds the rows.
func (c *Catalogued) Relation() string {
	if c.Kind == Rows.String() {
		return "firehose_" + c.Name
	}
	return c.Name
}

// Missing returns the columns of t that the database has to add, of which the
// rows already there hold the default; kind is what t is there. The error, an ErrFatal, names what is
// declared otherwise than it was and cannot be brought about.
func (c *Catalogued) Missing(t *Table, kind string) ([]Column, error) {
	wrong := func(format string, args ...any) error {
		return fmt.Errorf("%w: table %s: %s", ErrFatal, t.Name, fmt.Sprintf(format, args...))
	}
	if c.Kind != kind {
		return nil, wrong("was declared as %s, now as %s", c.Kind, kind)
	}
	var missing []Column
	declared := map[string]bool{}
	for i, d := range append(append([]Column(nil), t.Key...), t.Columns...) {
		key := i < len(t.Key)
		declared[strings.ToLower(d.Name)] = true
		have := c.column(d.Name)
		switch {
		case have == nil && key:
			return nil, wrong("column %s: the key cannot get another column", d.Name)
		case have == nil && !d.Nullable && d.Default == nil && t.Kind != Counters:
			return nil, wrong("column %s: a new column wants a default or to be nullable, for the rows already there", d.Name)
		case have == nil:
			missing = append(missing, d)
		case have.Type != d.Type.String() || have.Nullable != d.Nullable || have.Key != key:
			return nil, wrong("column %s: was declared as %s, now as %s", d.Name,
				describe(have.Type, have.Nullable, have.Key), describe(d.Type.String(), d.Nullable, key))
		}
	}
	for _, have := range c.Columns {
		if !declared[strings.ToLower(have.Name)] && (have.Key || !have.Nullable && have.Default == "NULL") {
			return nil, wrong("column %s: is no longer declared, but no row can be without it", have.Name)
		}
	}
	return missing, nil
}

func (c *Catalogued) column(name string) *CataloguedColumn {
	for i := range c.Columns {
		if strings.EqualFold(c.Columns[i].Name, name) {
			return &c.Columns[i]
		}
	}
	return nil
}

func describe(typ string, nullable, key bool) string {
	switch {
	case key:
		return "key " + typ
	case nullable:
		return "nullable " + typ
	default:
		return typ
	}
}
