package sqlite

import (
	"context"
	"database/sql/driver"
	"encoding/hex"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"firehose/internal/store"
)

// format is the user_version of the files that this version writes.
const format = 3

// engineTables are the tables of the format's first version. A STRICT primary
// key column of a WITHOUT ROWID table is NOT NULL by itself.
var engineTables = []string{
	`CREATE TABLE positions (
		topic TEXT, partition INTEGER, topic_id TEXT NOT NULL, next INTEGER NOT NULL,
		leader_epoch INTEGER NOT NULL, generation INTEGER NOT NULL, updated_at TEXT NOT NULL,
		PRIMARY KEY (topic, partition)) STRICT, WITHOUT ROWID`,
	// topic to offset are of the record that brought the conflict to light. body
	// is as encoding says: 'event' the loser's framed value, 'columns' its row as
	// a JSON object, 'none' a delete. recorded_at is for store.Expiry.
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

// ownerTable came with format 2.
const ownerTable = `CREATE TABLE firehose_owner (name TEXT PRIMARY KEY) STRICT, WITHOUT ROWID`

// expiryTables came with format 3: what is kept for people goes by the time at
// which it was recorded. That of a dead letter's mark was not kept so far, since
// "time" is the record's own.
var expiryTables = []string{
	`ALTER TABLE firehose_dead_letters ADD COLUMN recorded_at TEXT NOT NULL DEFAULT ''`,
	`UPDATE firehose_dead_letters SET recorded_at = strftime('%Y-%m-%dT%H:%M:%f000Z', 'now')`,
	`CREATE INDEX firehose_dead_letters_recorded_at ON firehose_dead_letters (recorded_at)`,
	`CREATE INDEX firehose_conflicts_recorded_at ON conflicts (recorded_at)`,
}

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

// migrate brings the file to this format, to its owner and to the declared
// tables.
func (w *writer) migrate(ctx context.Context, owner string, tables []*store.Table) error {
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
		case version < format:
			steps := [format][]string{engineTables, {ownerTable}, expiryTables}
			missing := slices.Concat(steps[version:]...)
			for _, statement := range append(missing, fmt.Sprintf(`PRAGMA user_version = %d`, format)) {
				if err := w.conn.ddl(statement); err != nil {
					return err
				}
			}
		}
		if err := w.claim(ctx, owner); err != nil {
			return err
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

// claim makes the file the owner's, or refuses one that is another's.
func (w *writer) claim(ctx context.Context, owner string) error {
	if owner == "" {
		return nil
	}
	has := ""
	if err := w.conn.queryOnce(ctx, `SELECT name FROM firehose_owner`, func(v []driver.Value) error {
		has = v[0].(string)
		return nil
	}); err != nil {
		return err
	}
	switch has {
	case owner:
		return nil
	case "":
		_, err := w.conn.once(`INSERT INTO firehose_owner VALUES (?)`, owner)
		return err
	}
	return store.Owned(has, owner)
}

// load reads what tables and slices the file has.
func (w *writer) load(ctx context.Context) error {
	w.tables = map[string]*store.Catalogued{}
	if err := w.dropCompiled(); err != nil {
		return err
	}
	err := w.conn.query(ctx, `SELECT "table", kind, name, key, type, nullable, "default" FROM firehose_columns ORDER BY "table", position`,
		func(v []driver.Value) error {
			name := v[0].(string)
			p := w.tables[name]
			if p == nil {
				p = &store.Catalogued{Name: name, Kind: v[1].(string)}
				w.tables[name] = p
			}
			if v[2].(string) != "" {
				p.Columns = append(p.Columns, store.CataloguedColumn{
					Name: v[2].(string), Key: v[3].(int64) != 0, Type: v[4].(string), Nullable: v[5].(int64) != 0, Default: v[6].(string),
				})
			}
			return nil
		})
	if err != nil {
		return err
	}
	return w.seen.load(ctx, w.conn, w.now())
}

// ensure creates the table or adds its new columns.
func (w *writer) ensure(t *store.Table) (*store.Catalogued, error) {
	p := w.tables[t.Name]
	if p == nil {
		return w.createTable(t)
	}
	missing, err := p.Missing(t, t.Kind.String())
	if err != nil {
		return nil, err
	}
	for _, c := range missing {
		if err := w.addColumn(p, t, c); err != nil {
			return nil, err
		}
	}
	if len(missing) > 0 && t.Kind == store.Rows {
		if err := w.conn.ddl(`DROP VIEW IF EXISTS ` + quote(p.Name)); err != nil {
			return nil, err
		}
		return p, w.conn.ddl(viewSQL(p))
	}
	return p, nil
}

func (w *writer) createTable(t *store.Table) (*store.Catalogued, error) {
	w.altered = true
	p := &store.Catalogued{Name: t.Name, Kind: t.Kind.String()}
	var defs, key []string
	for _, c := range t.Key {
		p.Columns = append(p.Columns, columnOf(c, true))
		defs = append(defs, quote(c.Name)+" "+sqlType(c.Type))
		key = append(key, quote(c.Name))
	}
	if t.Kind == store.Log {
		defs = append(defs, "firehose_source TEXT", "firehose_event_id TEXT", "firehose_line INTEGER")
		key = []string{"firehose_source", "firehose_event_id", "firehose_line"}
	}
	for _, c := range t.Columns {
		p.Columns = append(p.Columns, columnOf(c, false))
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
		quote(p.Relation()), strings.Join(defs, ", "), strings.Join(key, ", "), options)); err != nil {
		return nil, err
	}
	if t.Kind == store.Rows {
		if err := w.conn.ddl(viewSQL(p)); err != nil {
			return nil, err
		}
	}
	// A log without columns still has a row in the catalogue, without a name.
	catalogued := p.Columns
	if len(catalogued) == 0 {
		catalogued = []store.CataloguedColumn{{Default: "NULL"}}
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
func (w *writer) addColumn(p *store.Catalogued, t *store.Table, c store.Column) error {
	w.altered = true
	if err := w.conn.ddl(fmt.Sprintf("ALTER TABLE %s ADD COLUMN %s", quote(p.Relation()), columnSQL(t.Kind, c))); err != nil {
		return err
	}
	added := columnOf(c, false)
	if err := w.catalogue(p, max(len(p.Columns), 1), added); err != nil {
		return err
	}
	p.Columns = append(p.Columns, added)
	return nil
}

func (w *writer) catalogue(p *store.Catalogued, position int, c store.CataloguedColumn) error {
	_, err := w.conn.exec(`INSERT INTO firehose_columns ("table", position, kind, name, key, type, nullable, "default") VALUES (?, ?, ?, ?, ?, ?, ?, ?)`,
		p.Name, int64(position), p.Kind, c.Name, c.Key, c.Type, c.Nullable, c.Default)
	return err
}

func columnOf(c store.Column, key bool) store.CataloguedColumn {
	return store.CataloguedColumn{Name: c.Name, Key: key, Type: c.Type.String(), Nullable: c.Nullable, Default: literal(c)}
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

func viewSQL(p *store.Catalogued) string {
	names := make([]string, len(p.Columns))
	for i, c := range p.Columns {
		names[i] = quote(c.Name)
	}
	return fmt.Sprintf("CREATE VIEW %s AS SELECT %s FROM %s WHERE NOT firehose_deleted",
		quote(p.Name), strings.Join(names, ", "), quote(p.Relation()))
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
