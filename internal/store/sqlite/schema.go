package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"strconv"
	"strings"
	"time"

	"firehose/internal/store"
)

// format is the user_version of the files that this version writes.
const format = 1

// engineTables are the tables of the format's first version. A STRICT primary
// key column of a WITHOUT ROWID table is NOT NULL by itself.
var engineTables = []string{
	`CREATE TABLE positions (
		topic TEXT, partition INTEGER, topic_id TEXT NOT NULL, next INTEGER NOT NULL,
		leader_epoch INTEGER NOT NULL, generation INTEGER NOT NULL, updated_at TEXT NOT NULL,
		PRIMARY KEY (topic, partition)) STRICT, WITHOUT ROWID`,
	// topic to offset are of the record that brought the conflict to light. body
	// is as encoding says: 'event' the loser's framed value, 'columns' its row as
	// a JSON object, 'none' a delete. recorded_at is for expiry.
	`CREATE TABLE conflicts (
		id BLOB PRIMARY KEY, topic TEXT NOT NULL, topic_id TEXT NOT NULL, partition INTEGER NOT NULL, "offset" INTEGER NOT NULL,
		key TEXT NOT NULL, policy TEXT NOT NULL, outcome TEXT NOT NULL,
		loser_version INTEGER NOT NULL, loser_time INTEGER NOT NULL, loser_origin TEXT NOT NULL, loser_event_id TEXT NOT NULL,
		winner_version INTEGER NOT NULL, winner_time INTEGER NOT NULL, winner_origin TEXT NOT NULL, winner_event_id TEXT NOT NULL,
		encoding TEXT NOT NULL, body BLOB, recorded_at TEXT NOT NULL) STRICT, WITHOUT ROWID`,
	`CREATE TABLE firehose_images (
		topic TEXT, key TEXT, version INTEGER NOT NULL, time INTEGER NOT NULL, origin TEXT NOT NULL, event_id TEXT NOT NULL,
		deleted INTEGER NOT NULL, body BLOB,
		PRIMARY KEY (topic, key)) STRICT, WITHOUT ROWID`,
	`CREATE TABLE firehose_dead_letters (
		topic_id TEXT, partition INTEGER, "offset" INTEGER, topic TEXT NOT NULL,
		class TEXT NOT NULL, error TEXT NOT NULL, time TEXT NOT NULL,
		PRIMARY KEY (topic_id, partition, "offset")) STRICT, WITHOUT ROWID`,
	// One row per table of seen IDs: the record times that it holds, and the
	// clock (microseconds) at its last use.
	`CREATE TABLE firehose_seen_slices (
		name TEXT PRIMARY KEY, horizon INTEGER NOT NULL, slice INTEGER NOT NULL, used INTEGER NOT NULL,
		starts TEXT NOT NULL, ends TEXT NOT NULL) STRICT, WITHOUT ROWID`,
	`CREATE TABLE firehose_columns (
		"table" TEXT, position INTEGER, kind TEXT NOT NULL, name TEXT NOT NULL, key INTEGER NOT NULL,
		type TEXT NOT NULL, nullable INTEGER NOT NULL, "default" TEXT NOT NULL,
		PRIMARY KEY ("table", position)) STRICT, WITHOUT ROWID`,
}

var typeNames = [...]string{
	store.Text: "text", store.Int: "int", store.Float: "float", store.Bool: "bool",
	store.Bytes: "bytes", store.Timestamp: "timestamp", store.Decimal: "decimal", store.JSON: "json",
}

var kindNames = [...]string{store.Rows: "rows", store.Counters: "counters", store.Log: "log"}

// sqlType returns the STRICT type of a column.
func sqlType(t store.Type) string {
	switch t {
	case store.Int, store.Bool:
		return "INTEGER"
	case store.Float:
		return "REAL"
	case store.Bytes:
		return "BLOB"
	default:
		return "TEXT"
	}
}

// physical is a table as the file has it.
type physical struct {
	name    string
	kind    string
	columns []physicalColumn // in the order of the file
}

type physicalColumn struct {
	name         string
	key          bool
	typ          string // of typeNames
	nullable     bool
	defaultValue string // an SQL literal
}

func (p *physical) column(name string) *physicalColumn {
	for i := range p.columns {
		if strings.EqualFold(p.columns[i].name, name) {
			return &p.columns[i]
		}
	}
	return nil
}

// migrate brings the file to this format and to the declared tables.
func (w *writer) migrate(ctx context.Context, tables []*store.Table) error {
	names := map[string]bool{}
	for _, t := range tables {
		if err := store.CheckTable(t); err != nil {
			return fmt.Errorf("%w: %w", store.ErrFatal, err)
		}
		if lower := strings.ToLower(t.Name); names[lower] {
			return fmt.Errorf("%w: table %s: declared twice", store.ErrFatal, t.Name)
		} else {
			names[lower] = true
		}
	}
	return w.transaction(ctx, func() error {
		var version int64
		if err := w.conn.query(ctx, `PRAGMA user_version`, func(v []driver.Value) error {
			version = v[0].(int64)
			return nil
		}); err != nil {
			return err
		}
		switch {
		case version > format || version < 0:
			return fmt.Errorf("%w: format %d of the file is newer than this program, which knows up to %d", store.ErrFatal, version, format)
		case version == 0:
			for _, create := range engineTables {
				if err := w.conn.ddl(create); err != nil {
					return err
				}
			}
			if err := w.conn.ddl(fmt.Sprintf(`PRAGMA user_version = %d`, format)); err != nil {
				return err
			}
		}
		if err := w.load(ctx); err != nil {
			return err
		}
		for _, t := range tables {
			if _, err := w.table(t); err != nil {
				return err
			}
		}
		return nil
	})
}

// load reads what tables and slices the file has.
func (w *writer) load(ctx context.Context) error {
	w.tables = map[string]*physical{}
	if err := w.dropCompiled(); err != nil {
		return err
	}
	err := w.conn.query(ctx, `SELECT "table", kind, name, key, type, nullable, "default" FROM firehose_columns ORDER BY "table", position`,
		func(v []driver.Value) error {
			name := v[0].(string)
			p := w.tables[name]
			if p == nil {
				p = &physical{name: name, kind: v[1].(string)}
				w.tables[name] = p
			}
			if v[2].(string) != "" {
				p.columns = append(p.columns, physicalColumn{
					name: v[2].(string), key: v[3].(int64) != 0, typ: v[4].(string), nullable: v[5].(int64) != 0, defaultValue: v[6].(string),
				})
			}
			return nil
		})
	if err != nil {
		return err
	}
	return w.seen.load(ctx, w.conn)
}

// ensure creates the table or adds its new columns.
func (w *writer) ensure(t *store.Table) (*physical, error) {
	p := w.tables[t.Name]
	if p == nil {
		return w.createTable(t)
	}
	if p.kind != kindNames[t.Kind] {
		return nil, fmt.Errorf("%w: table %s: was declared as %s, now as %s", store.ErrFatal, t.Name, p.kind, kindNames[t.Kind])
	}
	declared := map[string]bool{}
	changed := false
	for i, c := range append(append([]store.Column(nil), t.Key...), t.Columns...) {
		key := i < len(t.Key)
		declared[strings.ToLower(c.Name)] = true
		have := p.column(c.Name)
		if have == nil {
			if err := w.addColumn(p, t, c, key); err != nil {
				return nil, err
			}
			changed = true
			continue
		}
		if have.typ != typeNames[c.Type] || have.nullable != c.Nullable || have.key != key {
			return nil, fmt.Errorf("%w: table %s: column %s: was declared as %s, now as %s", store.ErrFatal, t.Name, c.Name,
				describe(have.typ, have.nullable, have.key), describe(typeNames[c.Type], c.Nullable, key))
		}
	}
	for _, c := range p.columns {
		if !declared[strings.ToLower(c.name)] && (c.key || !c.nullable && c.defaultValue == "NULL") {
			return nil, fmt.Errorf("%w: table %s: column %s: is no longer declared, but no row can be without it", store.ErrFatal, t.Name, c.name)
		}
	}
	if changed && t.Kind == store.Rows {
		if err := w.conn.ddl(`DROP VIEW IF EXISTS ` + quote(p.name)); err != nil {
			return nil, err
		}
		return p, w.conn.ddl(viewSQL(p))
	}
	return p, nil
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

func (w *writer) createTable(t *store.Table) (*physical, error) {
	w.altered = true
	p := &physical{name: t.Name, kind: kindNames[t.Kind]}
	var defs, key []string
	for _, c := range t.Key {
		p.columns = append(p.columns, columnOf(c, true))
		defs = append(defs, quote(c.Name)+" "+sqlType(c.Type))
		key = append(key, quote(c.Name))
	}
	if t.Kind == store.Log {
		defs = append(defs, "firehose_source TEXT", "firehose_event_id TEXT", "firehose_line INTEGER")
		key = []string{"firehose_source", "firehose_event_id", "firehose_line"}
	}
	for _, c := range t.Columns {
		p.columns = append(p.columns, columnOf(c, false))
		defs = append(defs, columnSQL(t.Kind, c))
	}
	if t.Kind == store.Rows {
		defs = append(defs, "firehose_version INTEGER NOT NULL", "firehose_time INTEGER NOT NULL", "firehose_origin TEXT NOT NULL",
			"firehose_event_id TEXT NOT NULL", "firehose_deleted INTEGER NOT NULL")
	}
	// Wide rows under keys in no order go into a tree by rowid with a small index
	// beside it: three times as fast as a tree by key, which rewrites a page per
	// row. Narrow ones are smaller and faster without.
	options := "STRICT, WITHOUT ROWID"
	if t.Kind == store.Rows {
		options = "STRICT"
	}
	if err := w.conn.ddl(fmt.Sprintf("CREATE TABLE %s (%s, PRIMARY KEY (%s)) %s",
		quote(p.physicalName()), strings.Join(defs, ", "), strings.Join(key, ", "), options)); err != nil {
		return nil, err
	}
	if t.Kind == store.Rows {
		if err := w.conn.ddl(viewSQL(p)); err != nil {
			return nil, err
		}
	}
	// A log without columns still has a row in the catalogue, without a name.
	catalogued := p.columns
	if len(catalogued) == 0 {
		catalogued = []physicalColumn{{defaultValue: "NULL"}}
	}
	for i, c := range catalogued {
		if err := w.catalogue(p, i, c); err != nil {
			return nil, err
		}
	}
	w.tables[t.Name] = p
	return p, nil
}

// addColumn adds a column that rows already there hold the default of.
func (w *writer) addColumn(p *physical, t *store.Table, c store.Column, key bool) error {
	w.altered = true
	if key {
		return fmt.Errorf("%w: table %s: column %s: the key cannot get another column", store.ErrFatal, t.Name, c.Name)
	}
	if !c.Nullable && c.Default == nil && t.Kind != store.Counters {
		return fmt.Errorf("%w: table %s: column %s: a new column wants a default or to be nullable, for the rows already there",
			store.ErrFatal, t.Name, c.Name)
	}
	if err := w.conn.ddl(fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", quote(p.physicalName()), columnSQL(t.Kind, c))); err != nil {
		return err
	}
	added := columnOf(c, false)
	if err := w.catalogue(p, max(len(p.columns), 1), added); err != nil {
		return err
	}
	p.columns = append(p.columns, added)
	return nil
}

func (w *writer) catalogue(p *physical, position int, c physicalColumn) error {
	_, err := w.conn.exec(`INSERT INTO firehose_columns ("table", position, kind, name, key, type, nullable, "default") VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		p.name, int64(position), p.kind, c.name, c.key, c.typ, c.nullable, c.defaultValue)
	return err
}

func columnOf(c store.Column, key bool) physicalColumn {
	return physicalColumn{name: c.Name, key: key, typ: typeNames[c.Type], nullable: c.Nullable, defaultValue: literal(c)}
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

func viewSQL(p *physical) string {
	names := make([]string, len(p.columns))
	for i, c := range p.columns {
		names[i] = quote(c.name)
	}
	return fmt.Sprintf("CREATE VIEW %s AS SELECT %s FROM %s WHERE NOT firehose_deleted",
		quote(p.name), strings.Join(names, ", "), quote(p.physicalName()))
}

// physicalName is the name of the table that holds the rows.
func (p *physical) physicalName() string {
	if p.kind == kindNames[store.Rows] {
		return "firehose_" + p.name
	}
	return p.name
}

// quote makes a name safe to stand in SQL. Names of tables and columns have been
// checked to be identifiers; some are keywords.
func quote(name string) string { return `"` + strings.ReplaceAll(name, `"`, `""`) + `"` }

// literal writes a column's default as SQL.
func literal(c store.Column) string {
	switch v := c.Default.(type) {
	case string:
		return "'" + strings.ReplaceAll(v, "'", "''") + "'"
	case int64:
		return strconv.FormatInt(v, 10)
	case float64:
		s := strconv.FormatFloat(v, 'e', -1, 64)
		return strings.NewReplacer("+Inf", "9e999", "-Inf", "-9e999").Replace(s)
	case bool:
		if v {
			return "1"
		}
		return "0"
	case []byte:
		return "X'" + hex.EncodeToString(v) + "'"
	case time.Time:
		return "'" + v.UTC().Format(store.TimestampLayout) + "'"
	default:
		return "NULL"
	}
}
