package firehosetest_test

import (
	"context"
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose"
	"firehose/consumers/billing"
	"firehose/consumers/inventory"
	"firehose/consumers/replicator"
	"firehose/firehosetest"
	"firehose/producer/shop"
	"firehose/schemas"
)

func TestMain(m *testing.M) { firehosetest.Main(m) }

// traffic is what a shop sends in some steps.
func traffic(t *testing.T, steps int) []firehose.Outgoing {
	t.Helper()
	s, err := shop.New(shop.Config{Seed: 7, Products: 20, MaxCustomers: 20, MaxOpen: 20})
	if err != nil {
		t.Fatal(err)
	}
	var out []firehose.Outgoing
	for range steps {
		for _, e := range s.Step() {
			out = append(out, firehose.Outgoing{
				Type: e.Type, Data: e.Data, ID: e.ID, Source: e.Source, Time: e.Time,
				CorrelationID: e.CorrelationID, CausationID: e.CausationID,
			})
		}
	}
	return out
}

// The engine in batches, over Kafka, into SQLite, comes to what folding the
// events one by one in memory comes to, whatever came twice or out of order.
func TestFoldIsWhatTheServiceHolds(t *testing.T) {
	events := traffic(t, 400)
	rng := rand.New(rand.NewPCG(1, 2))
	for range 200 {
		events = append(events, events[rng.IntN(len(events))])
	}
	cluster := firehosetest.Start(t, schemas.Shop())
	tests := []struct {
		service firehose.Service
		tables  map[string]string // name → query, in the order of Rows
	}{
		{inventory.Service(), map[string]string{"stock": "SELECT * FROM stock ORDER BY sku"}},
		{billing.Service(), map[string]string{
			"ledger":   "SELECT entry, entry_id, account, order_id, cents FROM ledger ORDER BY 1, 2, 3",
			"balances": "SELECT * FROM balances ORDER BY account",
		}},
		{replicator.Service(), map[string]string{
			"shop_orders": "SELECT order_id, version, customer_id, status, lines, units, total_cents, currency, note FROM shop_orders ORDER BY 1",
		}},
	}
	var running []*firehosetest.Service
	for _, tt := range tests {
		running = append(running, cluster.Run(tt.service))
	}
	cluster.Publish(events...)
	for i, tt := range tests {
		running[i].Wait()
		folded, err := tt.service.Fold()
		if err != nil {
			t.Fatal(err)
		}
		reads := map[string]bool{}
		for _, topic := range tt.service.Topics() {
			reads[topic] = true
		}
		for _, e := range events {
			if topic, _ := schemas.Shop().ByType(e.Type); reads[topic.Topic] {
				if err := folded.Apply(e); err != nil {
					t.Fatal(err)
				}
			}
		}
		for table, query := range tt.tables {
			got, want := running[i].Query(query), folded.Rows(table)
			if len(got) == 0 || len(want) == 0 {
				t.Fatalf("%s: %d rows stored and %d folded, so nothing was shown", table, len(got), len(want))
			}
			for r, columns := range want { // the query leaves the last ones out, where they are times
				want[r] = columns[:len(got[0])]
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s (-folded +stored):\n%s", table, diff)
			}
		}
		if letters := running[i].DeadLetters(); len(letters) != 0 {
			t.Errorf("%s: dead letters: got %v, want none", tt.service.Name, letters)
		}
	}
	if sum := running[1].Value("SELECT SUM(cents) FROM balances"); sum != int64(0) {
		t.Errorf("sum of all accounts: got %v, want 0", sum)
	}
}

func TestPublisher(t *testing.T) {
	cluster := firehosetest.Start(t, schemas.Shop())
	p, err := firehose.NewPublisher(firehose.PublisherConfig{
		Schemas: schemas.Shop(), Source: "/service/test", Brokers: cluster.Brokers(), Registry: cluster.Registry(),
	})
	if err != nil {
		t.Fatal(err)
	}
	moved := func(sku string) *firehose.Outgoing {
		return &firehose.Outgoing{Type: schemas.StockMoved, Data: &schemas.StockMovement{
			MovementID: "m", SKU: sku, Quantity: 1, Reason: schemas.MovementReasonAdjusted, MovedAt: time.Unix(1e9, 0),
		}}
	}
	e := moved("CD-1")
	receipt, err := p.Send(t.Context(), e)
	if err != nil {
		t.Fatal(err)
	}
	if receipt.Topic != schemas.TopicStockMovements || receipt.TopicID == "" || receipt.Offset != 0 || e.ID == "" {
		t.Errorf("got receipt %+v of event %q", receipt, e.ID)
	}

	refused := []struct {
		name   string
		event  *firehose.Outgoing
		reason string
	}{
		{"unknown type", &firehose.Outgoing{Type: "shop.nothing.happened"}, "unknown_type"},
		{"no key", moved(""), "data"},
		{"another key", &firehose.Outgoing{Type: schemas.StockMoved, Key: "other", Data: moved("CD-1").Data}, "envelope"},
		{"NaN", &firehose.Outgoing{Type: schemas.ProductListed, Data: &schemas.Product{SKU: "s", WeightKg: math.NaN()}}, "data"},
		{"a fact deleted", &firehose.Outgoing{Type: schemas.StockMoved, Delete: true, Key: "CD-1", Version: 2}, "envelope"},
	}
	for _, tt := range refused {
		t.Run(tt.name, func(t *testing.T) {
			_, err := p.Send(t.Context(), tt.event)
			var failed *firehose.PublishError
			if !errors.Is(err, firehose.ErrRejected) || errors.Is(err, firehose.ErrUnknown) || !errors.As(err, &failed) {
				t.Fatalf("got %v, want ErrRejected", err)
			}
			if failed.Reason != tt.reason || failed.EventID == "" || failed.EventID != tt.event.ID {
				t.Errorf("got reason %s of event %q, want %s of %q", failed.Reason, failed.EventID, tt.reason, tt.event.ID)
			}
		})
	}

	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := p.Send(ended, moved("CD-1")); err != nil && !errors.Is(err, firehose.ErrUnknown) && !errors.Is(err, firehose.ErrRejected) {
		t.Errorf("with a context that has ended: got %v, want rejected or unknown", err)
	}
	if err := p.Close(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := p.TryPublish(t.Context(), moved("CD-1"), func(firehose.Receipt, error) { t.Error("called back after Close") }); !errors.Is(err, firehose.ErrClosed) {
		t.Errorf("after Close: got %v, want ErrClosed", err)
	}
}

func TestFoldNeedsTheContracts(t *testing.T) {
	s := firehose.Service{Name: "copies", Schemas: schemas.Shop(), Projections: []firehose.Projection{firehose.Replica("bank.accounts")}}
	if _, err := s.Fold(); err == nil {
		t.Error("got no error, want one that names the topic")
	}
}
