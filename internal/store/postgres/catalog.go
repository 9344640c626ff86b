package postgres

import (
	"context"
	"encoding/hex"
	"fmt"
	"maps"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"

	"firehose/internal/store"
)

// catalog is what the tables of the database were declared as, as of one version
// of it. It is not changed once others can see it.
type catalog struct {
	version int64
	tables  map[string]*store.Catalogued
}

// loadCatalog reads it, within the transaction of tx if that is one.
func loadCatalog(ctx context.Context, tx querier) (*catalog, error) {
	c := &catalog{tables: map[string]*store.Catalogued{}}
	if err := tx.QueryRow(ctx, readCatalogVersion).Scan(&c.version); err != nil {
		return nil, err
	}
	rows, err := tx.Query(ctx, `SELECT "table", kind, name, key, type, nullable, "default" FROM firehose_columns ORDER BY "table", position`)
	if err != nil {
		return nil, err
	}
	var name, kind string
	var col store.CataloguedColumn
	_, err = pgx.ForEachRow(rows, []any{&name, &kind, &col.Name, &col.Key, &col.Type, &col.Nullable, &col.Default}, func() error {
		t := c.tables[name]
		if t == nil {
			t = &store.Catalogued{Name: name, Kind: kind}
			c.tables[name] = t
		}
		if col.Name != "" {
			t.Columns = append(t.Columns, col)
		}
		return nil
	})
	return c, err
}

const readCatalogVersion = `SELECT version FROM firehose_catalog`

// querier is a connection or a transaction.
type querier interface {
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// executor is one that can write, too.
type executor interface {
	querier
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
}

// has reports whether the table is there with all columns of t. The error is
// Missing's: it cannot be had at all.
func (c *catalog) has(t *store.Table) (bool, error) {
	have := c.tables[t.Name]
	if have == nil {
		return false, nil
	}
	missing, err := have.Missing(t, kindOf(t))
	return len(missing) == 0, err
}

// alter brings the tables to what is declared, within tx, and returns the
// catalogue as it is then. Instances that do so at the same time take turns.
func alter(ctx context.Context, tx executor, tables []*store.Table) (*catalog, error) {
	if _, err := tx.Exec(ctx, `SELECT pg_advisory_xact_lock($1, hashtext(current_schema()))`, lockSchema); err != nil {
		return nil, err
	}
	c, err := loadCatalog(ctx, tx)
	if err != nil {
		return nil, err
	}
	a := &alteration{ctx: ctx, tx: tx, tables: maps.Clone(c.tables)}
	for _, t := range tables {
		if err := a.ensure(t); err != nil {
			return nil, err
		}
	}
	if !a.altered {
		return c, nil
	}
	next := &catalog{tables: a.tables}
	err = tx.QueryRow(ctx, `UPDATE firehose_catalog SET version = version + 1 RETURNING version`).Scan(&next.version)
	return next, err
}

// alteration is one change of the catalogue under way.
type alteration struct {
	ctx     context.Context //nolint:containedctx // lives as long as the call that it belongs to
	tx      executor
	tables  map[string]*store.Catalogued
	altered bool
}

func (a *alteration) ddl(statement string) error {
	_, err := a.tx.Exec(a.ctx, statement, pgx.QueryExecModeSimpleProtocol)
	return err
}

func (a *alteration) ensure(t *store.Table) error {
	have := a.tables[t.Name]
	if have == nil {
		return a.create(t)
	}
	missing, err := have.Missing(t, kindOf(t))
	if err != nil || len(missing) == 0 {
		return err
	}
	a.altered = true
	added := *have
	added.Columns = have.Columns[:len(have.Columns):len(have.Columns)]
	for _, c := range missing {
		if err := a.ddl(fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", quote(relation(t)), columnSQL(t.Kind, c))); err != nil {
			return err
		}
		col := columnOf(c, false)
		if err := a.catalogue(&added, max(len(added.Columns), 1), col); err != nil {
			return err
		}
		added.Columns = append(added.Columns, col)
	}
	a.tables[t.Name] = &added
	return a.view(t, &added)
}

func (a *alteration) create(t *store.Table) error {
	a.altered = true
	made := &store.Catalogued{Name: t.Name, Kind: kindOf(t)}
	var defs, key []string
	for _, c := range t.Key {
		made.Columns = append(made.Columns, columnOf(c, true))
		defs = append(defs, quote(c.Name)+" "+sqlType(c.Type))
		key = append(key, quote(c.Name))
	}
	if t.Kind == store.Log {
		defs = append(defs, `firehose_source text COLLATE "C"`, `firehose_event_id text COLLATE "C"`, "firehose_line bigint")
		key = []string{"firehose_source", "firehose_event_id", "firehose_line"}
	}
	if t.Sharded {
		defs, key = append(defs, "firehose_shard integer"), append(key, "firehose_shard")
	}
	for _, c := range t.Columns {
		made.Columns = append(made.Columns, columnOf(c, false))
		defs = append(defs, columnSQL(t.Kind, c))
	}
	if t.Kind == store.Rows {
		defs = append(defs, "firehose_version bigint NOT NULL", "firehose_time bigint NOT NULL", "firehose_origin text NOT NULL",
			"firehose_event_id text NOT NULL", "firehose_deleted boolean NOT NULL")
	}
	options := ""
	if t.Kind == store.Counters {
		options = " WITH (fillfactor = 70)" // room for the next state of a row beside it
	}
	if err := a.ddl(fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (%s))%s",
		quote(relation(t)), strings.Join(defs, ", "), strings.Join(key, ", "), options)); err != nil {
		return err
	}
	// A log without columns still has a row in the catalogue, without a name.
	catalogued := made.Columns
	if len(catalogued) == 0 {
		catalogued = []store.CataloguedColumn{{Default: "NULL"}}
	}
	for i, c := range catalogued {
		if err := a.catalogue(made, i, c); err != nil {
			return err
		}
	}
	a.tables[t.Name] = made
	return a.view(t, made)
}

func (a *alteration) catalogue(t *store.Catalogued, position int, c store.CataloguedColumn) error {
	_, err := a.tx.Exec(a.ctx, `INSERT INTO firehose_columns ("table", position, kind, name, key, type, nullable, "default")
		VALUES ($1, $2, $3, $4, $5, $6, $7, $8)`, t.Name, position, t.Kind, c.Name, c.Key, c.Type, c.Nullable, c.Default)
	return err
}

// view makes the view that shows a table's live rows, or its sums.
func (a *alteration) view(t *store.Table, have *store.Catalogued) error {
	var shown string
	names := make([]string, len(have.Columns))
	switch {
	case t.Kind == store.Rows:
		for i, c := range have.Columns {
			names[i] = quote(c.Name)
		}
		shown = " WHERE NOT firehose_deleted"
	case t.Sharded:
		var key []string
		for i, c := range have.Columns {
			names[i] = quote(c.Name)
			if c.Key {
				key = append(key, names[i])
				continue
			}
			names[i] = fmt.Sprintf("sum(%s)::bigint AS %s", names[i], names[i])
		}
		shown = " GROUP BY " + strings.Join(key, ", ")
	default:
		return nil
	}
	// A view can be replaced with more columns at its end, and that is where
	// they come.
	return a.ddl(fmt.Sprintf("CREATE OR REPLACE VIEW %s AS SELECT %s FROM %s%s",
		quote(t.Name), strings.Join(names, ", "), quote(relation(t)), shown))
}

// sharded is the kind of a table of counters that keeps a row per shard.
const sharded = "sharded counters"

func kindOf(t *store.Table) string {
	if t.Sharded {
		return sharded
	}
	return t.Kind.String()
}

// relation is the table that holds the rows.
func relation(t *store.Table) string {
	if t.Kind == store.Rows || t.Sharded {
		return "firehose_" + t.Name
	}
	return t.Name
}

func columnOf(c store.Column, key bool) store.CataloguedColumn {
	return store.CataloguedColumn{Name: c.Name, Key: key, Type: c.Type.String(), Nullable: c.Nullable, Default: literal(c)}
}

// sqlType is a column's type. JSON is kept as it was written, and text is
// compared byte by byte.
func sqlType(t store.Type) string {
	switch t {
	case store.Int:
		return "bigint"
	case store.Float:
		return "double precision"
	case store.Bool:
		return "boolean"
	case store.Bytes:
		return "bytea"
	case store.Timestamp:
		return "timestamptz"
	case store.Decimal:
		return "numeric"
	case store.JSON:
		return "json"
	default:
		return `text COLLATE "C"`
	}
}

// columnSQL declares a column that is no key. A row of a Rows table that was
// removed holds NULL everywhere, hence the CHECK.
func columnSQL(kind store.Kind, c store.Column) string {
	def := quote(c.Name) + " " + sqlType(c.Type)
	switch {
	case kind == store.Counters:
		def += " NOT NULL"
	case kind == store.Rows && !c.Nullable:
		def += fmt.Sprintf(" CHECK (%s IS NOT NULL OR firehose_deleted)", quote(c.Name))
	case !c.Nullable:
		def += " NOT NULL"
	}
	if l := literal(c); l != "NULL" {
		def += " DEFAULT " + l
	} else if kind == store.Counters {
		def += " DEFAULT 0"
	}
	return def
}

// literal writes a column's default as SQL.
func literal(c store.Column) string {
	switch v := c.Default.(type) {
	case string:
		return text(v)
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		return "'" + strconv.FormatFloat(v, 'g', -1, 64) + "'::double precision"
	case bool:
		return strconv.FormatBool(v)
	case []byte:
		return `'\x` + hex.EncodeToString(v) + "'::bytea"
	case time.Time:
		return "'" + store.FormatTimestamp(v) + "'::timestamptz"
	default:
		return "NULL"
	}
}

// text writes a string as SQL, whatever standard_conforming_strings says.
func text(s string) string {
	quoted := "'" + strings.ReplaceAll(s, "'", "''") + "'"
	if strings.Contains(s, `\`) {
		return "E" + strings.ReplaceAll(quoted, `\`, `\\`)
	}
	return quoted
}

// quote makes a name safe to stand in SQL. Names of tables and columns have been
// checked to be identifiers; some are keywords.
func quote(name string) string { return pgx.Identifier{name}.Sanitize() }
