package bench

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"firehose"
	"firehose/firehosetest"
	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/store"
	"firehose/internal/store/sqlite"
	"firehose/schemas"
)

// BenchmarkSeen is the stock, folded from movements, with the IDs of the
// movements looked up and remembered, against the same without: a store that
// knows no ID and keeps none. Both hash the values, which is part of decoding.
func BenchmarkSeen(b *testing.B) {
	for _, ids := range []struct {
		name string
		make func(i int) string
	}{
		{"UUIDv7", func(int) string { return event.NewID() }},
		{"UUIDv5", func(i int) string { return event.DerivedID("bench", fmt.Sprint(i)) }},
	} {
		b.Run(ids.name, func(b *testing.B) {
			n := scale(150_000)
			cluster := firehosetest.Start(b, schemas.Shop())
			for from := 0; from < n; from += 10_000 {
				moves := make([]firehose.Outgoing, min(10_000, n-from))
				for i := range moves {
					moves[i] = firehose.Outgoing{Type: schemas.StockMoved, ID: ids.make(from + i), Data: movementOf(from + i)}
				}
				cluster.Publish(moves...)
			}
			round := 0
			fold := func(remember bool) func() time.Duration {
				return func() time.Duration {
					round++
					return foldMovements(b, cluster, fmt.Sprintf("stock-%d", round), n, remember)
				}
			}
			compare(b, "seen, "+ids.name,
				side{name: "remembering", cost: fold(true)},
				side{name: "not remembering", cost: fold(false)})
		})
	}
}

func movementOf(n int) *schemas.StockMovement {
	return &schemas.StockMovement{
		MovementID: fmt.Sprintf("movement-%08d", n), SKU: fmt.Sprintf("CD-%05d", n%500), Quantity: -1,
		Reason: schemas.MovementReasonSold, MovedAt: day,
	}
}

// forgetful is a store without firehose_seen.
type forgetful struct{ consume.Store }

func (f forgetful) Lookup(ctx context.Context, l *store.Lookup) (store.Known, error) {
	return f.Store.Lookup(ctx, &store.Lookup{Images: l.Images})
}

func (f forgetful) Apply(ctx context.Context, b *store.Batch) (store.Result, error) {
	b.Seen = nil
	return f.Store.Apply(ctx, b)
}

// foldMovements runs a fresh engine until it has applied all, and returns what
// an event took.
func foldMovements(b *testing.B, cluster *firehosetest.Cluster, group string, n int, remember bool) time.Duration {
	topic := topicOf(b, schemas.TopicStockMovements)
	schema := topic.Latest()
	stock := &store.Table{
		Name: "stock", Kind: store.Counters, Key: []store.Column{{Name: "sku", Type: store.Text}},
		Columns: []store.Column{{Name: "on_hand", Type: store.Int}, {Name: "units_sold", Type: store.Int}},
	}
	file, err := sqlite.Open(b.Context(), sqlite.Config{Path: filepath.Join(b.TempDir(), "stock.db")}, []*store.Table{stock})
	if err != nil {
		b.Fatal(err)
	}
	defer file.Close()
	var into consume.Store = file
	if !remember {
		into = forgetful{file}
	}
	decoder := codec.NewDecoder(writer{schema.Avro}, schema.Avro)
	fields := codec.FieldsOf(schema)
	engine, err := consume.New(consume.Config{
		Group: group, Kafka: kafka.Config{Brokers: cluster.Brokers()},
		Handlers: []*consume.Handler{{
			Topic: topic,
			Decode: func(ctx context.Context, f codec.Frame) (any, error) {
				v := new(schemas.StockMovement)
				return v, decoder.Decode(ctx, f, v)
			},
			Field: consume.Fields{Key: fields.Key, Version: fields.Version, Time: fields.Time},
			Project: func(e, _ *consume.Event, c *consume.Changes) error {
				m := e.Value.(*schemas.StockMovement)
				c.Add(stock, []any{m.SKU}, []int64{m.Quantity, -m.Quantity})
				return nil
			},
		}},
	}, into)
	if err != nil {
		b.Fatal(err)
	}
	ctx, stop := context.WithCancel(b.Context())
	ended := make(chan error, 1)
	go func() { ended <- engine.Run(ctx, nil) }()
	until(func() bool { return engine.Ready() == nil })
	start := time.Now()
	until(func() bool { return engine.Counts().Applied >= int64(n) })
	took := time.Since(start) / time.Duration(n)
	stop()
	if err := <-ended; err != nil && !errors.Is(err, context.Canceled) {
		b.Fatal(err)
	}
	return took
}
