package postgres

import (
	"fmt"
	"strings"

	"firehose/internal/store"
)

// table is a declared table with its statements. Each of them has two forms: for
// one row, whose values are arguments, and for all rows of a staging table, whose
// name takes the place of %[1]s.
type table struct {
	decl    *store.Table
	version int64 // of the catalogue that this was compiled for
	stage   string

	write      string // Rows: insert, or update when it is newer; Counters: add; Log: insert
	writeStage string
	force      string // Rows: insert or update
	read       string // Rows: the stored row of a key
	contested  string // Rows, staged: the stored rows of a version that is equal and that differ
	stale      string // Rows, staged: how many stored rows are newer
}

var stampColumns = []string{"firehose_version", "firehose_time", "firehose_origin", "firehose_event_id", "firehose_deleted"}

func compile(t *store.Table, have *store.Catalogued, version int64) *table {
	c := &table{decl: t, version: version}
	rel := quote(relation(t))
	switch t.Kind {
	case store.Rows:
		c.rows(t, rel, have)
	case store.Counters:
		c.counters(t, rel)
	case store.Log:
		key := []string{"firehose_source", "firehose_event_id", "firehose_line"}
		into := "INSERT INTO " + rel + " (" + list(key, names(t.Columns)) + ") "
		end := " ON CONFLICT (" + list(key) + ") DO NOTHING"
		c.stage = `firehose_source text, firehose_event_id text, firehose_line bigint` + stageColumns(t.Columns)
		c.write = into + "VALUES (" + placeholders(3, t.Columns) + ")" + end
		c.writeStage = into + "SELECT " + list(key, staged(t.Columns)) + " FROM %[1]s ORDER BY " +
			`firehose_source COLLATE "C", firehose_event_id COLLATE "C", firehose_line` + end
	}
	return c
}

func (c *table) rows(t *store.Table, rel string, have *store.Catalogued) {
	key, columns := names(t.Key), names(t.Columns)
	into := "INSERT INTO " + rel + " (" + list(key, columns, stampColumns) + ") "
	force := " ON CONFLICT (" + list(key) + ") DO UPDATE SET " + setRow(t, have)
	newer := force + " WHERE excluded.firehose_version > " + rel + ".firehose_version"
	all := append(append([]store.Column(nil), t.Key...), t.Columns...)
	n := len(all)
	values := "VALUES (" + placeholders(0, all)
	for i := range stampColumns {
		values += fmt.Sprintf(", $%d", n+1+i)
	}
	c.write, c.force = into+values+")"+newer, into+values+")"+force
	c.stage = "firehose_i integer" + stageColumns(all) +
		", firehose_version bigint, firehose_time bigint, firehose_origin text, firehose_event_id text, firehose_deleted boolean"
	c.writeStage = into + "SELECT " + list(staged(t.Key), staged(t.Columns), stampColumns) + " FROM %[1]s ORDER BY " + list(staged(t.Key)) + newer

	var back, same []string
	for _, col := range t.Columns {
		back = append(back, shown("t."+quote(col.Name), col.Type))
		same = append(same, shown("t."+quote(col.Name), col.Type)+" IS DISTINCT FROM "+shown(fromStage("s."+quote(col.Name), col.Type), col.Type))
	}
	var stamps, join []string
	for _, s := range stampColumns {
		stamps = append(stamps, "t."+s)
	}
	for i, k := range key {
		join = append(join, fmt.Sprintf("t.%s = %s", k, fromStage("s."+k, t.Key[i].Type)))
	}
	differ := "(t.firehose_time, t.firehose_origin, t.firehose_event_id, t.firehose_deleted) IS DISTINCT FROM " +
		"(s.firehose_time, s.firehose_origin, s.firehose_event_id, s.firehose_deleted)"
	from := " FROM %[1]s s JOIN " + rel + " t ON " + strings.Join(join, " AND ")
	c.contested = "SELECT s.firehose_i, " + list(stamps, back) + from +
		" WHERE t.firehose_version = s.firehose_version AND (" + strings.Join(append([]string{differ}, same...), " OR ") + ") ORDER BY s.firehose_i"
	c.stale = "SELECT count(*)" + from + " WHERE t.firehose_version > s.firehose_version"

	var where []string
	for i, col := range t.Key {
		where = append(where, fmt.Sprintf("t.%s = %s", quote(col.Name), placeholder(i+1, col.Type)))
	}
	c.read = "SELECT " + list(stamps, back) + " FROM " + rel + " t WHERE " + strings.Join(where, " AND ")
}

func (c *table) counters(t *store.Table, rel string) {
	key, columns := names(t.Key), names(t.Columns)
	into, conflict := key, key
	values := placeholders(0, append(append([]store.Column(nil), t.Key...), t.Columns...))
	from := staged(t.Key)
	if t.Sharded {
		conflict = append(append([]string(nil), key...), "firehose_shard")
		into, from = conflict, append(from, "firehose_shard")
		values = placeholders(0, t.Key) + fmt.Sprintf(", $%d", len(key)+1)
		for i := range columns {
			values += fmt.Sprintf(", $%d", len(key)+2+i)
		}
	}
	sums := make([]string, len(columns))
	for i, col := range columns {
		sums[i] = fmt.Sprintf("%s = %s.%s + excluded.%s", col, rel, col, col)
	}
	end := " ON CONFLICT (" + list(conflict) + ") DO UPDATE SET " + strings.Join(sums, ", ")
	head := "INSERT INTO " + rel + " (" + list(into, columns) + ") "
	c.stage = strings.TrimPrefix(stageColumns(t.Key), ", ")
	if t.Sharded {
		c.stage += ", firehose_shard integer"
	}
	c.stage += stageColumns(t.Columns)
	c.write = head + "VALUES (" + values + ")" + end
	c.writeStage = head + "SELECT " + list(from, columns) + " FROM %[1]s ORDER BY " + list(staged(t.Key)) + end
}

// setRow replaces a whole row. A column that the database has and t does not (an
// older program runs after a newer one) gets its default, as an inserted row
// does: what is stored depends on the winning event alone.
func setRow(t *store.Table, have *store.Catalogued) string {
	var sets []string
	for _, c := range append(names(t.Columns), stampColumns...) {
		sets = append(sets, c+" = excluded."+c)
	}
	declared := map[string]bool{}
	for _, c := range t.Columns {
		declared[strings.ToLower(c.Name)] = true
	}
	for _, c := range have.Columns {
		if !c.Key && !declared[strings.ToLower(c.Name)] {
			sets = append(sets, quote(c.Name)+" = "+c.Default)
		}
	}
	return strings.Join(sets, ", ")
}

func names(columns []store.Column) []string {
	quoted := make([]string, len(columns))
	for i, c := range columns {
		quoted[i] = quote(c.Name)
	}
	return quoted
}

// staged are columns as they are read from a staging table.
func staged(columns []store.Column) []string {
	from := make([]string, len(columns))
	for i, c := range columns {
		from[i] = fromStage(quote(c.Name), c.Type)
	}
	return from
}

// stageColumns declares columns of a staging table, each behind a comma.
func stageColumns(columns []store.Column) string {
	var b strings.Builder
	for _, c := range columns {
		b.WriteString(", " + quote(c.Name) + " " + stageType(c.Type))
	}
	return b.String()
}

// placeholders are the arguments for columns, behind as many others.
func placeholders(others int, columns []store.Column) string {
	all := make([]string, 0, others+len(columns))
	for i := range others {
		all = append(all, fmt.Sprintf("$%d", i+1))
	}
	for i, c := range columns {
		all = append(all, placeholder(others+i+1, c.Type))
	}
	return strings.Join(all, ", ")
}

// placeholder is the nth argument, which is a text for the types that are given
// as text.
func placeholder(n int, t store.Type) string {
	p := fmt.Sprintf("$%d", n)
	if t == store.Decimal || t == store.JSON {
		p += "::text::" + sqlType(t)
	}
	return p
}

func list(parts ...[]string) string {
	var all []string
	for _, p := range parts {
		all = append(all, p...)
	}
	return strings.Join(all, ", ")
}
