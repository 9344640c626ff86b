package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
)

// row is one piece of work and those who do it, in turns.
type row struct {
	name, work string
	input      string // topic that is filled once for all; "" where they write it
	events     int    // 0: as many as are asked for
	rows       int    // of the table at the end; 0: a fifth of the events
	rounds     int    // 0: as many as are asked for
	noRate     bool   // it is not about how fast
	contenders []contender
	goals      []goal
	shows      []string // figures beside the rate, for the page
}

// contender is one who does the work. Ours is the first of a row.
type contender struct {
	name string
	run  func(ctx context.Context, b *bench, r *row, round string) (measured, error)
}

const ours = "firehose"

const (
	raw     = "raw franz-go, encoded before"
	reads   = "raw franz-go, read and thrown away"
	perf    = "kafka-producer-perf-test"
	bareTwo = "bare COPY and merge, two transactions in flight"
	bareOne = "bare prepared upserts"
	bareIDs = "bare bulk insert of the event IDs"
	connect = "Kafka Connect, Debezium JDBC sink"
	atLeast = "Kafka Streams, at least once"
	exactly = "Kafka Streams, exactly once"
)

func allRows() []row {
	var rows []row
	for _, brokers := range []int{1, 3} {
		for _, compression := range []string{"none", "lz4"} {
			least := map[string]float64{"1 none": 1.8, "1 lz4": 1.3, "3 none": 1.2, "3 lz4": 1.2}[fmt.Sprint(brokers, " ", compression)]
			rows = append(rows, publishRow(brokers, compression, least))
		}
	}
	for _, input := range []string{clustered, spread} {
		kind, _, _ := strings.Cut(input, ".")
		rows = append(rows,
			row{name: "postgres-" + kind, work: "orders into PostgreSQL, " + kind, input: input,
				contenders: []contender{{ours, replicateIntoPostgres}, {bareTwo, bareIntoPostgres}, {connect, connectIntoPostgres}, {reads, readOnly}},
				goals:      []goal{rate(bareTwo, 0.8), rate(connect, 4), memory(connect, 1.0/6), cpu(connect, 1.0/8)}},
			row{name: "sqlite-" + kind, work: "orders into SQLite, " + kind, input: input,
				contenders: []contender{{ours, replicateIntoSQLite}, {bareOne, bareIntoSQLite}, {atLeast, streamsWith("at_least_once")}, {exactly, streamsWith("exactly_once_v2")}},
				goals: []goal{rate(bareOne, 0.8), rate(atLeast, 1.5), rate(exactly, 3), memory(atLeast, 1.0/8), cpu(atLeast, 1.0/4),
					memory(exactly, 1.0/8), cpu(exactly, 1.0/4)}})
	}
	rows = append(rows,
		row{name: "facts-postgres", work: "facts into counters, each once, in PostgreSQL", input: facts, rows: skus,
			contenders: []contender{{ours, countIntoPostgres}, {bareIDs, bareIntoPostgres}}, goals: []goal{rate(bareIDs, 0.7)}},
		row{name: "facts-sqlite", work: "facts into counters, each once, in SQLite", input: facts, rows: skus,
			contenders: []contender{{ours, countIntoSQLite}, {bareIDs, bareIntoSQLite}}, goals: []goal{rate(bareIDs, 0.7)}})
	return append(rows, ownRows()...)
}

func publishRow(brokers int, compression string, least float64) row {
	at := func(b *bench) []string {
		if brokers == 3 {
			return b.three
		}
		return b.one
	}
	side := func(name string) func(context.Context, *bench, *row, string) (measured, error) {
		return func(ctx context.Context, b *bench, _ *row, _ string) (measured, error) {
			if err := b.prepare(ctx, at(b), published, int16(brokers)); err != nil {
				return measured{}, err
			}
			m, lines, err := runProcess(ctx, b.side(name, "--brokers", strings.Join(at(b), ","), "--compression", compression), nil)
			if err != nil {
				return m, err
			}
			return m, ownTime(lines, b.events, &m)
		}
	}
	return row{
		name: fmt.Sprintf("publish-%d-%s", brokers, compression),
		work: fmt.Sprintf("publish, acks=all, idempotent, %d broker(s), compression %s", brokers, compression),
		contenders: []contender{{ours, side("publish-ours")}, {raw, side("publish-raw")}, {perf, func(ctx context.Context, b *bench, _ *row, _ string) (measured, error) {
			if err := b.prepare(ctx, at(b), published, int16(brokers)); err != nil {
				return measured{}, err
			}
			cmd, err := b.perfTest(ctx, at(b), compression)
			if err != nil {
				return measured{}, err
			}
			m, lines, err := runProcess(ctx, cmd, nil)
			if err != nil {
				return m, err
			}
			return m, perfTime(lines, b.events, &m)
		}}},
		goals: []goal{rate(raw, 0.85), rate(perf, least)},
	}
}

var perfLine = regexp.MustCompile(`^(\d+) records sent, ([0-9.]+) records/sec`)

// perfTime reads a line for each second, "412345 records sent, 412345.6
// records/sec (...", and one of all at the end, which is told from the others by
// its percentiles. What was sent in the first fifth is its warm-up.
func perfTime(lines []string, events int, m *measured) error {
	sent, counted, seconds := 0.0, 0.0, 0.0
	for _, line := range lines {
		found := perfLine.FindStringSubmatch(line)
		if found == nil || strings.Contains(line, "99.9th") {
			continue
		}
		n, _ := strconv.ParseFloat(found[1], 64)
		perSecond, _ := strconv.ParseFloat(found[2], 64)
		if sent += n; sent > float64(events*perfTimes)/5 && perSecond > 0 {
			counted += n
			seconds += n / perSecond
		}
	}
	if counted == 0 {
		return fmt.Errorf("it printed %q", lines)
	}
	m.Seconds = float64(events) * seconds / counted
	return nil
}

func replicateIntoPostgres(ctx context.Context, b *bench, r *row, round string) (measured, error) {
	kind, _, _ := strings.Cut(r.input, ".")
	return b.serviceIntoPostgres(ctx, r, "replicate-ours", round, table{positions: "positions", rows: kind + "_orders", sum: "version"})
}

func countIntoPostgres(ctx context.Context, b *bench, r *row, round string) (measured, error) {
	return b.serviceIntoPostgres(ctx, r, "count-ours", round, table{positions: "positions", rows: "stock", sum: "n"})
}

func (b *bench) serviceIntoPostgres(ctx context.Context, r *row, side, round string, t table, more ...string) (measured, error) {
	schema := "peers_" + round
	defer b.exec(ctx, "DROP SCHEMA IF EXISTS "+schema+" CASCADE") //nolint:errcheck // the next round has another one
	store := b.postgres + "&search_path=" + schema
	conn, err := b.connect(ctx, store)
	if err != nil {
		return measured{}, err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only read from
	t.query = inPostgres(conn)
	return b.work(ctx, r, b.side(side, append([]string{"--topic", r.input, "--store", store, "--group", "peers-" + round}, more...)...), &t)
}

// instances is a service of n processes. Their memory is not summed.
func instances(n int) func(context.Context, *bench, *row, string) (measured, error) {
	return func(ctx context.Context, b *bench, r *row, round string) (measured, error) {
		m, err := b.serviceIntoPostgres(ctx, r, "several-ours", round, table{positions: "positions", rows: "wide_orders", sum: "version"},
			"--instances", strconv.Itoa(n))
		m.PeakMB, m.EndMB = 0, 0
		return m, err
	}
}

// readOnly is what no consumer can be faster than.
func readOnly(ctx context.Context, b *bench, r *row, _ string) (measured, error) {
	m, lines, err := runProcess(ctx, b.side("read-raw", "--topic", r.input), nil)
	if err != nil {
		return m, err
	}
	return m, ownTime(lines, b.events, &m)
}

func bareIntoPostgres(ctx context.Context, b *bench, r *row, _ string) (measured, error) {
	if err := b.exec(ctx, bareTables); err != nil {
		return measured{}, err
	}
	conn, err := b.connect(ctx, b.postgres)
	if err != nil {
		return measured{}, err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only read from
	t := table{positions: "bare_positions", rows: "bare_orders", sum: "version", query: inPostgres(conn)}
	if r.input == facts {
		t.sum = ""
	}
	return b.work(ctx, r, b.side("bare-postgres", "--topic", r.input, "--store", b.postgres), &t)
}

func replicateIntoSQLite(ctx context.Context, b *bench, r *row, round string) (measured, error) {
	kind, _, _ := strings.Cut(r.input, ".")
	return b.sideIntoSQLite(ctx, r, "replicate-ours", round, table{positions: "positions", rows: kind + "_orders", sum: "version"})
}

func countIntoSQLite(ctx context.Context, b *bench, r *row, round string) (measured, error) {
	return b.sideIntoSQLite(ctx, r, "count-ours", round, table{positions: "positions", rows: "stock", sum: "n"})
}

func bareIntoSQLite(ctx context.Context, b *bench, r *row, round string) (measured, error) {
	t := table{positions: "bare_positions", rows: "bare_orders", sum: "version"}
	if r.input == facts {
		t.sum = ""
	}
	return b.sideIntoSQLite(ctx, r, "bare-sqlite", "bare_"+round, t)
}

func (b *bench) sideIntoSQLite(ctx context.Context, r *row, side, round string, t table) (measured, error) {
	dir, err := os.MkdirTemp(b.dir, "sqlite-")
	if err != nil {
		return measured{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is under the folder of this benchmark
	path := filepath.Join(dir, "db")
	query, closeFile := inSQLite(path)
	defer closeFile() //nolint:errcheck // it was only read
	t.query = query
	return b.work(ctx, r, b.side(side, "--topic", r.input, "--store", "sqlite:"+path, "--group", "peers-"+round), &t)
}

func connectIntoPostgres(ctx context.Context, b *bench, r *row, round string) (measured, error) {
	dir, err := os.MkdirTemp(b.dir, "connect-")
	if err != nil {
		return measured{}, err
	}
	defer os.RemoveAll(dir) //nolint:errcheck // it is under the folder of this benchmark
	if err := b.exec(ctx, connectTable); err != nil {
		return measured{}, err
	}
	conn, err := b.connect(ctx, b.postgres)
	if err != nil {
		return measured{}, err
	}
	defer conn.Close(ctx) //nolint:errcheck // it was only read from
	cmd, err := b.jdbcSink(r.input, dir, "peers-"+round)
	if err != nil {
		return measured{}, err
	}
	t := &table{tails: b.tails[r.input], rows: "connect_orders", sum: "version", query: inPostgres(conn)}
	m, err := b.work(ctx, r, cmd, t)
	if err == nil {
		m.Seconds, err = t.behindWarmUp(b.events)
	}
	return m, err
}

func streamsWith(guarantee string) func(context.Context, *bench, *row, string) (measured, error) {
	return func(ctx context.Context, b *bench, r *row, round string) (measured, error) {
		dir, err := os.MkdirTemp(b.dir, "streams-")
		if err != nil {
			return measured{}, err
		}
		defer os.RemoveAll(dir) //nolint:errcheck // it is under the folder of this benchmark
		m, lines, err := runProcess(ctx, b.streams(r.input, guarantee, dir, "peers-"+round), nil)
		if err != nil {
			return m, err
		}
		if want := fmt.Sprintf(`"rows":%d,"versions":%d}`, b.events/versions, b.events); !strings.HasSuffix(last(lines), want) {
			return m, fmt.Errorf("it is wrong: %s, want %s", last(lines), want)
		}
		return m, ownTime(lines, b.events, &m)
	}
}

// work runs who writes to the table, and looks whether it is right.
func (b *bench) work(ctx context.Context, r *row, cmd *exec.Cmd, t *table) (measured, error) {
	m, _, err := runProcess(ctx, cmd, t.watch(b.events))
	if err != nil {
		return m, err
	}
	rows := r.rows
	if rows == 0 {
		rows = b.events / versions
	}
	return m, t.right(ctx, rows, b.events)
}
