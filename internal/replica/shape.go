package replica

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/twmb/avro"

	"firehose/internal/codec"
	"firehose/internal/store"
	"firehose/schemas"
)

// shape is the table with the columns of the schemas met so far. It is never
// changed; a wider one begins with the columns of a narrower one.
type shape struct {
	table   *store.Table
	columns map[string]int // field → index in a row: 0 is the key, n the column n-1
}

// plan says how values of one schema become rows.
type plan struct {
	contract schemas.Contract
	table    *store.Table
	reader   *codec.RowReader
	at       []int // where the reader's fields go
	width    int   // of a row
	missing  []filled
	convert  []int // indexes whose values change between text and bytes
	version  int
	time     int // -1 for none
	err      error
}

// filled is a default for a column that the schema has no field for.
type filled struct {
	at    int
	value any
}

// plan returns how values of writer become rows, and the shape with its columns.
func (s *shape) plan(t *schemas.Topic, writer *avro.Schema) (*plan, *shape, error) {
	for _, version := range t.Versions {
		if err := schemas.Compatible(version.Avro, writer); err != nil {
			return nil, nil, fmt.Errorf("against version %d: %w", version.N, err)
		}
	}
	reader, err := codec.NewRowReader(writer)
	if err != nil {
		return nil, nil, err
	}
	next, err := s.grow(t.Contract, reader.Fields(), false)
	if err != nil {
		return nil, nil, err
	}
	p := &plan{contract: t.Contract, table: next.table, reader: reader, width: 1 + len(next.table.Columns), time: -1}
	has := make([]bool, p.width)
	for _, f := range reader.Fields() {
		at := next.columns[f.Name]
		has[at] = true
		p.at = append(p.at, at)
		if next.column(at).Type != typeOf(f.Form) {
			p.convert = append(p.convert, at)
		}
	}
	for i := range has {
		c := next.column(i)
		switch {
		case has[i]:
		case c.Default == nil && !c.Nullable:
			return nil, nil, fmt.Errorf("field of column %s: missing, and it has no default", c.Name)
		default:
			p.missing = append(p.missing, filled{i, c.Default})
		}
	}
	p.version = next.columns[t.Version]
	if t.Time != "" {
		p.time = next.columns[t.Time]
	}
	return p, next, nil
}

func (s *shape) column(at int) store.Column {
	if at == 0 {
		return s.table.Key[0]
	}
	return s.table.Columns[at-1]
}

// grow returns the shape with columns for these fields. Fields that come later
// than the first version's need a default, for the rows already there.
func (s *shape) grow(c schemas.Contract, fields []codec.RowField, first bool) (*shape, error) {
	next := &shape{
		table: &store.Table{
			Name: s.table.Name, Kind: store.Rows,
			Key: s.table.Key, Columns: slices.Clip(s.table.Columns),
		},
		columns: maps.Clone(s.columns),
	}
	grown := false
	for _, f := range fields {
		col := columnOf(f)
		if at, ok := s.columns[f.Name]; ok {
			if err := fits(s.column(at), col); err != nil {
				return nil, fmt.Errorf("field %s: %w", f.Name, err)
			}
			continue
		}
		grown = true
		if f.Name == c.Key {
			next.table.Key = []store.Column{{Name: col.Name, Type: col.Type}}
			next.columns[f.Name] = 0
			continue
		}
		if !first && !f.HasDefault {
			return nil, fmt.Errorf("field %s: is new and has no default", f.Name)
		}
		next.table.Columns = append(next.table.Columns, col)
		next.columns[f.Name] = len(next.table.Columns)
	}
	if !grown {
		return s, nil
	}
	if err := store.CheckTable(next.table); err != nil {
		return nil, err
	}
	return next, nil
}

// fits reports whether a field's values can stand in a column.
func fits(have, want store.Column) error {
	switch {
	case want.Nullable && !have.Nullable:
		return errors.New("may be null, its column may not")
	case have.Type == want.Type:
	case have.Type == store.Text && want.Type == store.Bytes, have.Type == store.Bytes && want.Type == store.Text:
	default:
		return errors.New("has another type than its column")
	}
	return nil
}

func columnOf(f codec.RowField) store.Column {
	c := store.Column{Name: columnName(f.Name), Type: typeOf(f.Form), Nullable: f.Nullable}
	if f.HasDefault {
		c.Default = f.Default
	}
	return c
}

func typeOf(f codec.Form) store.Type {
	switch f {
	case codec.FormBool:
		return store.Bool
	case codec.FormInt:
		return store.Int
	case codec.FormFloat:
		return store.Float
	case codec.FormBytes:
		return store.Bytes
	case codec.FormTime:
		return store.Timestamp
	case codec.FormDecimal:
		return store.Decimal
	case codec.FormJSON:
		return store.JSON
	case codec.FormText, codec.FormNull:
	}
	return store.Text
}

// columnName returns the name of a field's column: the field's own, unless the
// stores keep it for themselves ("field_" comes before it) or it is too long
// (its end gives way to a hash). It depends on the field alone.
func columnName(field string) string {
	name := field
	switch lower := strings.ToLower(field); lower {
	case "ctid", "xmin", "xmax", "cmin", "cmax", "tableoid": // every table of PostgreSQL has them
		name = "field_" + field
	default:
		for _, reserved := range []string{"firehose_", "sqlite_", "pg_"} {
			if strings.HasPrefix(lower, reserved) {
				name = "field_" + field
			}
		}
	}
	if len(name) <= store.MaxIdentifier {
		return name
	}
	sum := sha256.Sum256([]byte(field))
	hash := hex.EncodeToString(sum[:4])
	return name[:store.MaxIdentifier-len(hash)-1] + "_" + hash
}
