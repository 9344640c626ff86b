package sqlite_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"database/sql"

	"github.com/google/uuid"

	"firehose/internal/conflict"
	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/internal/store/sqlite"
)

const benchRows = 10_000

// orders is the table of a replica of orders, as wide as the shop's.
func orders() *store.Table {
	return &store.Table{
		Name: "shop_orders", Kind: store.Rows,
		Key: []store.Column{{Name: "order_id", Type: store.Text}},
		Columns: []store.Column{
			{Name: "customer_id", Type: store.Text}, {Name: "status", Type: store.Text}, {Name: "currency", Type: store.Text},
			{Name: "total_cents", Type: store.Int}, {Name: "lines", Type: store.JSON}, {Name: "note", Type: store.Text, Nullable: true},
			{Name: "placed_at", Type: store.Timestamp}, {Name: "updated_at", Type: store.Timestamp},
			{Name: "weight_kg", Type: store.Float}, {Name: "gift", Type: store.Bool}, {Name: "version", Type: store.Int},
		},
	}
}

const lines = `[{"sku":"SKU-000123","quantity":2,"unit_cents":1299},{"sku":"SKU-000777","quantity":1,"unit_cents":4999},{"sku":"SKU-000042","quantity":5,"unit_cents":250}]`

var placed = time.Date(1997, 3, 1, 12, 30, 0, 123456000, time.UTC)

// batchOf makes n rows of keys in order. Clustered keys count up, the others
// come from the whole key space.
func batchOf(t *store.Table, r *rand.Rand, next *int, n int, clustered bool) []store.Row {
	rows := make([]store.Row, n)
	for i := range rows {
		*next++
		key := fmt.Sprintf("ord-%012d", *next)
		if !clustered {
			key = fmt.Sprintf("%016x-%08x", r.Uint64(), *next)
		}
		rows[i] = store.Row{
			Key: []any{key},
			Values: []any{
				fmt.Sprintf("cust-%06d", r.IntN(23570)), "placed", "USD", int64(r.IntN(100_000)), lines, nil,
				placed, placed.Add(time.Duration(i) * time.Second), 1.25, i%7 == 0, int64(1),
			},
			Stamp: conflict.Stamp{Version: 1, Time: placed.UnixMicro(), Origin: "/shop/orders", EventID: fmt.Sprintf("0190f5fe-0000-7000-8000-%012d", *next)},
			Body:  []byte(lines),
		}
	}
	slices.SortFunc(rows, func(a, b store.Row) int {
		if a.Key[0].(string) < b.Key[0].(string) {
			return -1
		}
		return 1
	})
	return rows
}

func benchStore(b *testing.B, tables ...*store.Table) (*sqlite.Store, string) {
	b.Helper()
	path := filepath.Join(b.TempDir(), "bench.db")
	s, err := sqlite.Open(b.Context(), sqlite.Config{Path: path}, tables)
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s, path
}

func benchKeys(b *testing.B, run func(b *testing.B, clustered bool)) {
	b.Run("keys=random", func(b *testing.B) { run(b, false) })
	b.Run("keys=clustered", func(b *testing.B) { run(b, true) })
}

func perRow(b *testing.B) {
	b.ReportMetric(float64(b.N)*benchRows/b.Elapsed().Seconds(), "rows/s")
	b.ReportMetric(0, "ns/op")
}

// BenchmarkApply applies batches of 10,000 distinct new orders.
func BenchmarkApply(b *testing.B) {
	benchKeys(b, func(b *testing.B, clustered bool) {
		t := orders()
		s, _ := benchStore(b, t)
		at := start(b, s, "shop.orders")
		r, next := rand.New(rand.NewPCG(1, 2)), 0
		for b.Loop() {
			b.StopTimer()
			rows := batchOf(t, r, &next, benchRows, clustered)
			b.StartTimer()
			batch := &store.Batch{
				Moves:   []store.Move{{From: at, Next: at.Next + benchRows, LeaderEpoch: 1}},
				Changes: []store.Changes{{Table: t, Rows: rows}},
			}
			result, err := s.Apply(b.Context(), batch)
			if err != nil || result.Written != benchRows {
				b.Fatal(result, err)
			}
			at.Next += benchRows
		}
		perRow(b)
	})
}

// BenchmarkBareUpsert is what Apply is measured by: a program that does nothing
// but upsert the same rows into the same table, newer wins, with one prepared
// statement in one transaction per batch, with the same settings of the file.
func BenchmarkBareUpsert(b *testing.B) {
	benchKeys(b, func(b *testing.B, clustered bool) {
		t := orders()
		s, path := benchStore(b, t)
		s.Close()
		db, err := sql.Open("sqlite", "file:"+path+"?_pragma=journal_mode(WAL)&_pragma=synchronous(NORMAL)&_pragma=cache_size(-32768)&_pragma=wal_autocheckpoint(8000)")
		if err != nil {
			b.Fatal(err)
		}
		defer db.Close()
		db.SetMaxOpenConns(1)
		upsert, err := db.Prepare(`INSERT INTO firehose_shop_orders VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0)
			ON CONFLICT (order_id) DO UPDATE SET customer_id = excluded.customer_id, status = excluded.status,
			currency = excluded.currency, total_cents = excluded.total_cents, lines = excluded.lines, note = excluded.note,
			placed_at = excluded.placed_at, updated_at = excluded.updated_at, weight_kg = excluded.weight_kg,
			gift = excluded.gift, version = excluded.version, firehose_version = excluded.firehose_version,
			firehose_time = excluded.firehose_time, firehose_origin = excluded.firehose_origin,
			firehose_event_id = excluded.firehose_event_id, firehose_deleted = excluded.firehose_deleted
			WHERE excluded.firehose_version > firehose_version`)
		if err != nil {
			b.Fatal(err)
		}
		r, next := rand.New(rand.NewPCG(1, 2)), 0
		for b.Loop() {
			b.StopTimer()
			rows := batchOf(t, r, &next, benchRows, clustered)
			b.StartTimer()
			tx, err := db.Begin()
			if err != nil {
				b.Fatal(err)
			}
			bound := tx.Stmt(upsert) //nolint:sqlclosecheck // closed with the transaction, whose Commit closes it
			var args [16]any
			for i := range rows {
				args[0] = rows[i].Key[0]
				copy(args[1:], rows[i].Values)
				args[7] = rows[i].Values[6].(time.Time).Format(store.TimestampLayout)
				args[8] = rows[i].Values[7].(time.Time).Format(store.TimestampLayout)
				args[12], args[13] = rows[i].Stamp.Version, rows[i].Stamp.Time
				args[14], args[15] = rows[i].Stamp.Origin, rows[i].Stamp.EventID
				if _, err := bound.Exec(args[:]...); err != nil {
					b.Fatal(err)
				}
			}
			if err := tx.Commit(); err != nil {
				b.Fatal(err)
			}
		}
		perRow(b)
	})
}

func start(tb testing.TB, s *sqlite.Store, topic string) offsets.Position {
	tb.Helper()
	at, err := s.Positions(context.Background(), []offsets.Position{{Topic: topic, TopicID: offsets.TopicID{1}, LeaderEpoch: offsets.NoEpoch}})
	if err != nil {
		tb.Fatal(err)
	}
	return at[0]
}

// BenchmarkSeen is what remembering an event ID adds to a fact: the look-up
// before and the insert in the transaction.
func BenchmarkSeen(b *testing.B) {
	ids := map[string]func(i int) string{
		"v7":  func(i int) string { return fmt.Sprintf("0190f5fe-0000-7000-8000-%012x", i) },
		"v5":  func(i int) string { return uuid.NewSHA1(uuid.NameSpaceURL, []byte(fmt.Sprint(i))).String() },
		"own": func(i int) string { return fmt.Sprintf("movement-%d", i) },
	}
	for _, kind := range []string{"none", "v7", "v5", "own"} {
		b.Run("ids="+kind, func(b *testing.B) {
			remember := kind != "none"
			t := &store.Table{
				Name: "ledger", Kind: store.Counters,
				Key: []store.Column{{Name: "sku", Type: store.Text}}, Columns: []store.Column{{Name: "on_hand", Type: store.Int}},
			}
			s, _ := benchStore(b, t)
			at := start(b, s, "shop.stock-movements")
			next := 0
			for b.Loop() {
				b.StopTimer()
				sums := make([]store.Sum, 100)
				for i := range sums {
					sums[i] = store.Sum{Key: []any{fmt.Sprintf("SKU-%03d", i)}, Deltas: []int64{1}}
				}
				batch := &store.Batch{
					Moves:   []store.Move{{From: at, Next: at.Next + benchRows, LeaderEpoch: 1}},
					Changes: []store.Changes{{Table: t, Sums: sums}},
				}
				if remember {
					batch.Seen = make([]store.Seen, benchRows)
					for i := range batch.Seen {
						next++
						batch.Seen[i] = store.Seen{
							EventKey: store.EventKeyOf("/shop/warehouse", ids[kind](next)),
							Time:     placed.Add(time.Duration(next) * time.Millisecond * 10), Horizon: 168 * time.Hour,
						}
					}
				}
				b.StartTimer()
				if _, err := s.Lookup(b.Context(), &store.Lookup{Seen: batch.Seen}); err != nil {
					b.Fatal(err)
				}
				if _, err := s.Apply(b.Context(), batch); err != nil {
					b.Fatal(err)
				}
				at.Next += benchRows
			}
			b.ReportMetric(float64(b.Elapsed().Microseconds())/float64(b.N)/benchRows, "µs/fact")
			b.ReportMetric(0, "ns/op")
		})
	}
}

// BenchmarkCommit is the latency of a transaction of one event: what an idle
// service pays.
func BenchmarkCommit(b *testing.B) {
	t := orders()
	s, _ := benchStore(b, t)
	at := start(b, s, "shop.orders")
	r, next := rand.New(rand.NewPCG(1, 2)), 0
	rows := batchOf(t, r, &next, 100_000, true)
	i := 0
	for b.Loop() {
		batch := &store.Batch{
			Moves:   []store.Move{{From: at, Next: at.Next + 1, LeaderEpoch: 1}},
			Changes: []store.Changes{{Table: t, Rows: rows[i%len(rows) : i%len(rows)+1]}},
		}
		if _, err := s.Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		at.Next++
		i++
	}
}

// BenchmarkContested applies rows that are all there already: a redelivery.
func BenchmarkContested(b *testing.B) {
	t := orders()
	s, _ := benchStore(b, t)
	at := start(b, s, "shop.orders")
	r, next := rand.New(rand.NewPCG(1, 2)), 0
	rows := batchOf(t, r, &next, benchRows, true)
	for b.Loop() {
		batch := &store.Batch{
			Moves:   []store.Move{{From: at, Next: at.Next + 1, LeaderEpoch: 1}},
			Changes: []store.Changes{{Table: t, Rows: rows}},
		}
		if _, err := s.Apply(b.Context(), batch); err != nil {
			b.Fatal(err)
		}
		at.Next++
	}
	perRow(b)
}
