package bench

import (
	"context"
	"database/sql"
	"database/sql/driver"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"modernc.org/sqlite"

	"firehose"
	"firehose/firehosetest"
	"firehose/internal/codec"
	"firehose/internal/replica"
	"firehose/internal/store"
	sqlitestore "firehose/internal/store/sqlite"
	"firehose/schemas"
)

// BenchmarkApply is a service that keeps a replica of orders, all of them new:
// fetched, decoded, merged and written with their position. Against it stands a
// program that has the rows before it begins and does nothing but upsert them
// into the same table, with the same settings and transactions of the size that
// the service's have, in the order of the log or sorted as the service does.
func BenchmarkApply(b *testing.B) {
	n := scale(400_000)
	cluster := firehosetest.Start(b, schemas.Shop())
	for from := 0; from < n; from += 10_000 {
		orders := make([]firehose.Outgoing, min(10_000, n-from))
		for i := range orders {
			orders[i] = firehose.Outgoing{Type: schemas.OrderPlaced, Data: orderOf(from + i)}
		}
		cluster.Publish(orders...)
	}
	rows := bareRows(b, n)
	round, batch := 0, 10_000
	compare(b, "apply",
		side{name: "service", cost: func() time.Duration {
			round++
			took, events := applyOrders(b, cluster, fmt.Sprintf("replica-%d", round), n)
			batch = max(1, events)
			return took
		}},
		side{name: "bare upserts", most: 1 / 0.8, cost: func() time.Duration {
			return rows.upsert(b, batch, false, throughSQL)
		}},
		side{name: "bare upserts, sorted", cost: func() time.Duration {
			return rows.upsert(b, batch, true, throughSQL)
		}},
		side{name: "bare upserts, sorted, without database/sql", cost: func() time.Duration {
			return rows.upsert(b, batch, true, throughDriver)
		}})
}

// applyOrders runs a fresh service until it has applied all, and returns what an
// event took and how many there were in a transaction on average.
func applyOrders(b *testing.B, cluster *firehosetest.Cluster, name string, n int) (time.Duration, int) {
	metrics := prometheus.NewRegistry()
	service := cluster.Run(firehose.Service{
		Name: name, Schemas: schemas.Shop(), Projections: []firehose.Projection{firehose.Replica(schemas.TopicOrders)},
	}, func(cfg *firehose.Config) { cfg.Metrics = metrics })
	defer service.Stop()
	until(func() bool { return service.Instance().Ready() == nil }) // joining a group is not what is measured
	start := time.Now()
	until(func() bool { return service.Instance().Counts().Applied >= int64(n) })
	took := time.Since(start) / time.Duration(n)
	if got := service.Instance().Counts(); got.Rows != int64(n) {
		b.Fatalf("rows: got %d, want %d", got.Rows, n)
	}
	return took, int(histogramMean(b, metrics, "firehose_batch_events"))
}

// until looks every millisecond.
func until(done func() bool) {
	for tick := time.Tick(time.Millisecond); !done(); {
		<-tick
	}
}

func histogramMean(b *testing.B, g prometheus.Gatherer, name string) float64 {
	families, err := g.Gather()
	if err != nil {
		b.Fatal(err)
	}
	for _, f := range families {
		if f.GetName() == name {
			h := f.GetMetric()[0].GetHistogram()
			return h.GetSampleSum() / float64(h.GetSampleCount())
		}
	}
	b.Fatalf("no metric %s", name)
	return 0
}

// bare is a table and the arguments of its upserts.
type bare struct {
	table *store.Table
	args  [][]any
}

// bareRows makes the rows that the service makes of the orders.
func bareRows(b *testing.B, n int) *bare {
	topic := topicOf(b, schemas.TopicOrders)
	schema := topic.Latest()
	r, err := replica.New(topic, writer{schema.Avro})
	if err != nil {
		b.Fatal(err)
	}
	reader, err := codec.NewRowReader(schema.Avro)
	if err != nil {
		b.Fatal(err)
	}
	rows := &bare{table: r.Table()}
	columns := append(slices.Clone(rows.table.Key), rows.table.Columns...)
	at := make([]int, len(reader.Fields()))
	for i, f := range reader.Fields() {
		at[i] = slices.IndexFunc(columns, func(c store.Column) bool { return c.Name == f.Name })
	}
	for i := range n {
		order := orderOf(i)
		envelope := envelopeOf(order)
		row := make([]any, len(columns), len(columns)+5)
		if err := reader.Read(encodedOrder(b, order, 4)[5:], row, at); err != nil {
			b.Fatal(err)
		}
		for i, v := range row {
			if t, ok := v.(time.Time); ok {
				row[i] = store.FormatTimestamp(t)
			}
		}
		rows.args = append(rows.args, append(row, order.Version, envelope.Time.UnixMicro(), envelope.Source, envelope.ID, int64(0)))
	}
	return rows
}

// statement is what one would write by hand: newer wins.
func (r *bare) statement() string {
	var names, sets []string
	for _, c := range r.table.Key {
		names = append(names, c.Name)
	}
	key := strings.Join(names, ", ")
	columns := []string{}
	for _, c := range r.table.Columns {
		columns = append(columns, c.Name)
	}
	columns = append(columns, "firehose_version", "firehose_time", "firehose_origin", "firehose_event_id", "firehose_deleted")
	for _, c := range columns {
		sets = append(sets, c+" = excluded."+c)
	}
	names = append(names, columns...)
	return "INSERT INTO firehose_" + r.table.Name + " (" + strings.Join(names, ", ") + ") VALUES (?" + strings.Repeat(", ?", len(names)-1) +
		") ON CONFLICT (" + key + ") DO UPDATE SET " + strings.Join(sets, ", ") + " WHERE excluded.firehose_version > firehose_version"
}

// upsert writes all rows to a fresh file, batch by batch, and returns what one
// of them took.
func (r *bare) upsert(b *testing.B, batch int, sorted bool, open func(*testing.B, string, string) inserter) time.Duration {
	path := filepath.Join(b.TempDir(), "bare.db")
	s, err := sqlitestore.Open(b.Context(), sqlitestore.Config{Path: path}, []*store.Table{r.table})
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Close(); err != nil {
		b.Fatal(err)
	}
	// The store's own settings.
	dsn := "file:" + path + "?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-32768)" +
		"&_pragma=wal_autocheckpoint(8000)&_pragma=temp_store(MEMORY)"
	in := open(b, dsn, r.statement())
	defer in.close()
	args := slices.Clone(r.args)
	start := time.Now()
	for rows := range slices.Chunk(args, batch) {
		if sorted {
			slices.SortFunc(rows, func(x, y []any) int { return strings.Compare(x[0].(string), y[0].(string)) })
		}
		if err := in.insert(rows); err != nil {
			b.Fatal(err)
		}
	}
	return time.Since(start) / time.Duration(len(args))
}

// inserter writes rows in one transaction with a prepared statement.
type inserter struct {
	insert func(rows [][]any) error
	close  func()
}

// throughSQL is how Go programs use a database.
func throughSQL(b *testing.B, dsn, query string) inserter {
	db, err := sql.Open("sqlite", dsn)
	if err != nil {
		b.Fatal(err)
	}
	db.SetMaxOpenConns(1)
	prepared, err := db.Prepare(query)
	if err != nil {
		b.Fatal(err)
	}
	return inserter{close: func() { db.Close() }, insert: func(rows [][]any) error {
		tx, err := db.Begin()
		if err != nil {
			return err
		}
		defer tx.Rollback()
		bound := tx.Stmt(prepared)
		defer bound.Close()
		for _, row := range rows {
			if _, err := bound.Exec(row...); err != nil {
				return err
			}
		}
		return tx.Commit()
	}}
}

// throughDriver leaves out what database/sql does for many goroutines.
func throughDriver(b *testing.B, dsn, query string) inserter {
	connector, err := sqlite.NewConnector(dsn)
	if err != nil {
		b.Fatal(err)
	}
	conn, err := connector.Connect(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	prepared, err := conn.Prepare(query)
	if err != nil {
		b.Fatal(err)
	}
	upsert := prepared.(driver.StmtExecContext)
	var named []driver.NamedValue
	return inserter{close: func() { prepared.Close(); conn.Close() }, insert: func(rows [][]any) error {
		tx, err := conn.Begin() //nolint:staticcheck // the driver's own interface; there is no context to give
		if err != nil {
			return err
		}
		for _, row := range rows {
			named = named[:0]
			for i, v := range row {
				named = append(named, driver.NamedValue{Ordinal: i + 1, Value: v})
			}
			if _, err := upsert.ExecContext(context.Background(), named); err != nil {
				return err
			}
		}
		return tx.Commit()
	}}
}
