package loadtest

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strconv"
	"strings"

	"firehose/internal/store/postgres"
	"firehose/internal/store/sqlite"
	"firehose/loadtest/tally"
)

// reader reads the service's store on connections of its own: what it sees is
// what any other connection sees.
type reader struct {
	db       *sql.DB
	postgres bool
	names    [streams]string // of the topics
	run      string

	position, snapshot string // queries
	sampled            []any  // keys whose rows a snapshot looks at
}

// openReader opens the store that --store names.
func openReader(store, passwordFile string) (*reader, error) {
	scheme, rest, _ := strings.Cut(store, ":")
	r := &reader{}
	var err error
	switch {
	case scheme == "sqlite" && rest != "":
		r.db, err = sqlite.OpenReader(rest)
	case (scheme == "postgres" || scheme == "postgresql") && strings.HasPrefix(rest, "//"):
		r.postgres = true
		r.db, err = postgres.OpenReader(store, passwordFile)
	default:
		err = errors.New("want sqlite:PATH or postgres://USER@HOST:PORT/DATABASE?search_path=SCHEMA")
	}
	if err != nil {
		return nil, fmt.Errorf("store: %w", err)
	}
	r.db.SetMaxOpenConns(2)
	r.db.SetMaxIdleConns(2)
	return r, nil
}

// numbered puts PostgreSQL's placeholders for each ?.
func (r *reader) numbered(query string) string {
	if !r.postgres {
		return query
	}
	var b strings.Builder
	n := 0
	for _, c := range query {
		if c != '?' {
			b.WriteRune(c)
			continue
		}
		n++
		b.WriteString("$" + strconv.Itoa(n))
	}
	return b.String()
}

// follow prepares the queries of a run. Of items only those that are sampled are
// looked at while the run lasts.
func (r *reader) follow(run string, names tally.Names, sampled []uint32) {
	r.run, r.names = run, [streams]string{names.Items, names.Ticks}
	r.position = r.numbered(`SELECT topic, partition, next FROM positions WHERE topic IN (?, ?)`)
	r.sampled = nil
	rows := ""
	if len(sampled) > 0 {
		for _, number := range sampled {
			r.sampled = append(r.sampled, int64(number))
		}
		rows = `UNION ALL SELECT '', item, sequence, 0, 0 FROM items WHERE run = ? AND item IN (?` + strings.Repeat(", ?", len(sampled)-1) + `)`
	}
	// One statement sees one state of the store.
	r.snapshot = r.numbered(`SELECT p.topic, p.partition, p.next, COALESCE(c.events, 0), COALESCE(c.checksum, 0)
		FROM positions p LEFT JOIN partitions c ON c.run = ? AND c.partition = p.partition AND p.topic = ?
		WHERE p.topic IN (?, ?) ` + rows)
}

// streamOf returns which topic a row of positions is of.
func (r *reader) streamOf(topic string) stream {
	if topic == r.names[ticks] {
		return ticks
	}
	return items
}

// positions calls each with the position of every partition.
func (r *reader) positions(ctx context.Context, each func(s stream, partition int32, next int64)) error {
	rows, err := r.db.QueryContext(ctx, r.position, r.names[items], r.names[ticks])
	if err != nil {
		return fmt.Errorf("read positions: %w", err)
	}
	defer rows.Close()
	for rows.Next() {
		var topic string
		var partition int32
		var next int64
		if err := rows.Scan(&topic, &partition, &next); err != nil {
			return fmt.Errorf("read positions: %w", err)
		}
		each(r.streamOf(topic), partition, next)
	}
	return rows.Err()
}

// state is the store at one moment.
type state struct {
	parts []partState
	rows  map[uint32]int64 // sequence of the sampled items that are there
}

type partState struct {
	stream           stream
	partition        int32
	next             int64
	events, checksum int64 // of ticks
}

// look returns the positions and what belongs to them, of one moment.
func (r *reader) look(ctx context.Context) (state, error) {
	args := append([]any{r.run, r.names[ticks], r.names[items], r.names[ticks]}, r.withRun()...)
	rows, err := r.db.QueryContext(ctx, r.snapshot, args...)
	if err != nil {
		return state{}, fmt.Errorf("read state: %w", err)
	}
	defer rows.Close()
	s := state{rows: map[uint32]int64{}}
	for rows.Next() {
		var topic string
		var number, next, events, checksum int64
		if err := rows.Scan(&topic, &number, &next, &events, &checksum); err != nil {
			return state{}, fmt.Errorf("read state: %w", err)
		}
		if topic == "" {
			s.rows[uint32(number)] = next
			continue
		}
		s.parts = append(s.parts, partState{r.streamOf(topic), int32(number), next, events, checksum})
	}
	return s, rows.Err()
}

func (r *reader) withRun() []any {
	if len(r.sampled) == 0 {
		return nil
	}
	return append([]any{r.run}, r.sampled...)
}

// items calls each with every item of the run.
func (r *reader) items(ctx context.Context, each func(number, sequence, checksum int64)) error {
	return r.scan(ctx, "items", `SELECT item, sequence, checksum, 0 FROM items WHERE run = ?`, func(v [4]int64) { each(v[0], v[1], v[2]) })
}

// ticks calls each with the sums of every key of the run.
func (r *reader) ticks(ctx context.Context, each func(number int64, s sums)) error {
	return r.scan(ctx, "ticks", `SELECT tick, events, sequences, checksum FROM ticks WHERE run = ?`, func(v [4]int64) {
		each(v[0], sums{events: uint32(v[1]), sequences: v[2], checksum: v[3]})
	})
}

func (r *reader) scan(ctx context.Context, table, query string, each func([4]int64)) error {
	rows, err := r.db.QueryContext(ctx, r.numbered(query), r.run)
	if err != nil {
		return fmt.Errorf("read %s: %w", table, err)
	}
	defer rows.Close()
	for rows.Next() {
		var v [4]int64
		if err := rows.Scan(&v[0], &v[1], &v[2], &v[3]); err != nil {
			return fmt.Errorf("read %s: %w", table, err)
		}
		each(v)
	}
	return rows.Err()
}

// setAside returns how many records the service has ever set aside.
func (r *reader) setAside(ctx context.Context) (n int64, err error) {
	if err = r.db.QueryRowContext(ctx, `SELECT count(*) FROM firehose_dead_letters`).Scan(&n); err != nil {
		return 0, fmt.Errorf("read dead letters: %w", err)
	}
	return n, nil
}

// version says which database it is.
func (r *reader) version(ctx context.Context) string {
	query, name := `SELECT sqlite_version()`, "SQLite "
	if r.postgres {
		query, name = `SHOW server_version`, "PostgreSQL "
	}
	var v string
	if r.db.QueryRowContext(ctx, query).Scan(&v) != nil {
		return name + "of unknown version"
	}
	return name + v
}

func (r *reader) close() error { return r.db.Close() }
