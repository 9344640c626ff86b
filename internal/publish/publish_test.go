package publish_test

import (
	"context"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"
	"github.com/prometheus/client_golang/prometheus"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/publish"
	"firehose/schemas"
)

func TestPublishWritesTheRecord(t *testing.T) {
	s := start(t, config())
	e := placed("order-1")
	a := get(t, s.send(t.Context(), e))
	if a.err != nil {
		t.Fatal(a.err)
	}
	ids, err := kafka.TopicIDs(t.Context(), s.client, schemas.TopicOrders)
	if err != nil {
		t.Fatal(err)
	}
	records := s.records(t, schemas.TopicOrders)
	if len(records) != 1 {
		t.Fatalf("got %d records, want 1", len(records))
	}
	r := records[0]
	want := publish.Receipt{Topic: schemas.TopicOrders, TopicID: ids[schemas.TopicOrders].String(), Partition: r.Partition, Offset: r.Offset}
	if diff := cmp.Diff(want, a.Receipt); diff != "" {
		t.Errorf("receipt (-want +got):\n%s", diff)
	}
	if string(r.Key) != "order-1" {
		t.Errorf("got key %q", r.Key)
	}
	if age := time.Since(r.Timestamp); age < -time.Second || age > time.Minute {
		t.Errorf("record's timestamp is %v, want when it was sent", r.Timestamp)
	}
	got, err := event.ParseHeaders(r.Headers)
	if err != nil {
		t.Fatal(err)
	}
	topic, _ := schemas.Shop().Topic(schemas.TopicOrders)
	id, err := s.schemas.Lookup(t.Context(), topic.Latest())
	if err != nil {
		t.Fatal(err)
	}
	envelope := event.Envelope{
		ID: e.ID, Source: "/service/test", Type: schemas.OrderPlaced, Time: day, Subject: "order-1",
		DataSchema: s.schemas.Address(id), Sequence: 1, HasSequence: true,
	}
	if diff := cmp.Diff(envelope, got); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
	if parsed, err := uuid.Parse(e.ID); err != nil || parsed.Version() != 7 {
		t.Errorf("got ID %q, want a UUIDv7 in the caller's event too", e.ID)
	}
	frame, err := codec.ParseFrame(r.Value, nil)
	if err != nil {
		t.Fatal(err)
	}
	var decoded schemas.Order
	if err := codec.NewDecoder(s.schemas, topic.Latest().Avro).Decode(t.Context(), frame, &decoded); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(*order("order-1", 1), decoded); diff != "" {
		t.Errorf("value (-want +got):\n%s", diff)
	}
}

func TestPublishKeepsWhatTheCallerSaid(t *testing.T) {
	s := start(t, config())
	at := time.Date(2001, 2, 3, 4, 5, 6, 0, time.UTC)
	e := &publish.Event{
		Envelope: event.Envelope{
			ID: "mine", Source: "/service/other", Type: schemas.StockMoved, Time: at, Origin: "/pos/7", Hops: 1,
			CorrelationID: "c", CausationID: "d", Traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
		},
		Data: map[string]any{
			"movement_id": "m1", "sku": "sku-1", "quantity": int64(-1), "reason": "SOLD", "order_id": nil, "moved_at": day,
		},
	}
	if a := get(t, s.send(t.Context(), e)); a.err != nil {
		t.Fatal(a.err)
	}
	got, err := event.ParseHeaders(s.records(t, schemas.TopicStockMovements)[0].Headers)
	if err != nil {
		t.Fatal(err)
	}
	want := e.Envelope
	want.Subject, want.Time = "sku-1", day // the contract's time field is the event's own
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("envelope (-want +got):\n%s", diff)
	}
}

func TestPublishTombstone(t *testing.T) {
	s := start(t, config())
	a := get(t, s.send(t.Context(), &publish.Event{
		Envelope:  event.Envelope{Type: schemas.OrderCancelled, Subject: "order-1", Sequence: 4, HasSequence: true},
		Tombstone: true,
	}))
	if a.err != nil {
		t.Fatal(a.err)
	}
	r := s.records(t, schemas.TopicOrders)[0]
	if r.Value != nil || string(r.Key) != "order-1" {
		t.Errorf("got value %v of key %q, want null of order-1", r.Value, r.Key)
	}
	if got, err := event.ParseHeaders(r.Headers); err != nil || got.Sequence != 4 || !got.HasSequence || got.ID == "" {
		t.Errorf("got %+v, %v", got, err)
	}
}

// Rejected without a word to the broker, with a stable reason, and the field
// named where there is one; the text of the value is in no error.
func TestPublishRejects(t *testing.T) {
	cfg := config()
	cfg.MaxEventBytes = 2048
	s := start(t, cfg)
	change := func(f func(*publish.Event, *schemas.Order)) *publish.Event {
		e := placed("secret-order")
		f(e, e.Data.(*schemas.Order))
		return e
	}
	for _, test := range []struct {
		name, reason, names string
		event               *publish.Event
	}{
		{"unknown type", publish.ReasonUnknownType, "ce_type", change(func(e *publish.Event, _ *schemas.Order) { e.Type = "shop.order.eaten" })},
		{"no type", publish.ReasonUnknownType, "ce_type", change(func(e *publish.Event, _ *schemas.Order) { e.Type = "" })},
		{"no data", publish.ReasonData, "data", change(func(e *publish.Event, _ *schemas.Order) { e.Data = nil })},
		{"another type's data", publish.ReasonData, "", change(func(e *publish.Event, _ *schemas.Order) { e.Data = &schemas.Payment{OrderID: "secret-order"} })},
		{"empty key", publish.ReasonData, "order_id", change(func(_ *publish.Event, o *schemas.Order) { o.OrderID = "" })},
		{"U+0000", publish.ReasonData, "currency", change(func(_ *publish.Event, o *schemas.Order) { o.Currency = "secret\x00" })},
		{"invalid UTF-8 deep inside", publish.ReasonData, "lines[1].sku", change(func(_ *publish.Event, o *schemas.Order) { o.Lines[1].SKU = "secret\xff" })},
		{"unknown enum symbol", publish.ReasonData, "status", change(func(_ *publish.Event, o *schemas.Order) { o.Status = "secret" })},
		{"negative version", publish.ReasonData, "version", change(func(_ *publish.Event, o *schemas.Order) { o.Version = -1 })},
		{"key too long", publish.ReasonData, "order_id", change(func(_ *publish.Event, o *schemas.Order) { o.OrderID = strings.Repeat("secret", 200) })},
		{"U+0000 in the key", publish.ReasonData, "order_id", change(func(_ *publish.Event, o *schemas.Order) { o.OrderID = "secret\x00" })},
		{"time beyond what has a text", publish.ReasonData, "updated_at", change(func(e *publish.Event, o *schemas.Order) { e.Time, o.UpdatedAt = day, day.AddDate(8003, 0, 0) })},
		{"caller's own time beyond it", publish.ReasonEnvelope, "ce_time", &publish.Event{
			Envelope:  event.Envelope{Type: schemas.OrderCancelled, Subject: "s", HasSequence: true, Time: day.AddDate(8003, 0, 0)},
			Tombstone: true,
		}},
		{"caller's own key too long", publish.ReasonEnvelope, "ce_subject", &publish.Event{
			Envelope:  event.Envelope{Type: schemas.OrderCancelled, Subject: strings.Repeat("secret", 200), HasSequence: true},
			Tombstone: true,
		}},
		{"other subject", publish.ReasonEnvelope, "ce_subject", change(func(e *publish.Event, _ *schemas.Order) { e.Subject = "secret-other" })},
		{"other sequence", publish.ReasonEnvelope, "ce_sequence", change(func(e *publish.Event, _ *schemas.Order) { e.Sequence, e.HasSequence = 2, true })},
		{"U+0000 in the ID", publish.ReasonEnvelope, "ce_id", change(func(e *publish.Event, _ *schemas.Order) { e.ID = "secret\x00" })},
		{"over the limit", publish.ReasonTooLarge, "2048", change(func(_ *publish.Event, o *schemas.Order) { o.CustomerID = strings.Repeat("secret", 400) })},
		{"tombstone of a fact", publish.ReasonEnvelope, "ce_type", &publish.Event{Tombstone: true, Envelope: event.Envelope{Type: schemas.StockMoved, Subject: "s", HasSequence: true}}},
		{"tombstone without key", publish.ReasonEnvelope, "ce_subject", &publish.Event{Tombstone: true, Envelope: event.Envelope{Type: schemas.OrderCancelled, HasSequence: true}}},
		{"tombstone without version", publish.ReasonEnvelope, "ce_sequence", &publish.Event{Tombstone: true, Envelope: event.Envelope{Type: schemas.OrderCancelled, Subject: "s"}}},
		{"NaN", publish.ReasonData, "weight_kg", &publish.Event{Envelope: event.Envelope{Type: schemas.ShipmentSent}, Data: &schemas.Shipment{OrderID: "secret-o", WeightKg: math.NaN(), ShippedAt: day}}},
	} {
		t.Run(test.name, func(t *testing.T) {
			a := get(t, s.send(t.Context(), test.event))
			e := theError(t, a, publish.Rejected, test.reason)
			if !strings.Contains(e.Error(), test.names) {
				t.Errorf("%q does not name %q", e, test.names)
			}
			if field := new(codec.FieldError); test.names != "" && errors.As(e, &field) && field.Field != test.names {
				t.Errorf("got field %q, want %q", field.Field, test.names)
			}
			if strings.Contains(e.Error(), "secret") {
				t.Errorf("%q quotes the event", e)
			}
			if e.EventID == "" {
				t.Error("the answer does not name the event")
			}
		})
	}
	for _, topic := range []string{schemas.TopicOrders, schemas.TopicStockMovements, schemas.TopicShipments} {
		if got := s.records(t, topic); len(got) != 0 {
			t.Errorf("%d records on %s, want none", len(got), topic)
		}
	}
}

func TestPublishKeepsTheOrderOfAKey(t *testing.T) {
	s := start(t, config())
	const keys, versions = 20, 200
	for v := range int64(versions) {
		for k := range keys {
			e := placed(fmt.Sprintf("order-%d", k))
			e.Data.(*schemas.Order).Version = v
			s.Publish(t.Context(), e, func(_ publish.Receipt, err error) {
				if err != nil {
					t.Error(err)
				}
			})
		}
	}
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	next := map[string]int64{}
	for _, r := range s.records(t, schemas.TopicOrders) {
		e, err := event.ParseHeaders(r.Headers)
		if err != nil {
			t.Fatal(err)
		}
		if e.Sequence != next[e.Subject] {
			t.Fatalf("%s: version %d, want %d", e.Subject, e.Sequence, next[e.Subject])
		}
		next[e.Subject]++
	}
	if len(next) != keys {
		t.Errorf("got %d keys, want %d", len(next), keys)
	}
}

func TestPublishGoesOnWithoutTheRegistry(t *testing.T) {
	s := start(t, config())
	if err := s.Prepare(t.Context(), schemas.TopicOrders); err != nil {
		t.Fatal(err)
	}
	s.registry.Close()
	if a := get(t, s.send(t.Context(), placed("order-1"))); a.err != nil {
		t.Errorf("a topic already known: %v", a.err)
	}
	customer := &publish.Event{Envelope: event.Envelope{Type: schemas.CustomerRegistered}, Data: &schemas.Customer{CustomerID: "c", Version: 1, RegisteredAt: day, UpdatedAt: day}}
	e := theError(t, get(t, s.send(t.Context(), customer)), publish.Rejected, publish.ReasonUnavailable)
	if !errors.Is(e, codec.ErrUnavailable) {
		t.Errorf("got %v, want the registry's error inside", e)
	}
	if err := s.Prepare(t.Context()); err == nil {
		t.Error("Prepare of all topics: got nil")
	}
}

func TestNewValidates(t *testing.T) {
	s := start(t, config())
	for _, test := range []struct {
		name, names string
		change      func(*publish.Config)
	}{
		{"no source", "source", func(c *publish.Config) { c.Source = "" }},
		{"bad source", "source", func(c *publish.Config) { c.Source = "a\x00" }},
		{"negative bound", "bounds", func(c *publish.Config) { c.MaxRecords = -1 }},
		{"event larger than all", "event bytes", func(c *publish.Config) { c.MaxBytes = 1000 }},
		{"event larger than a batch", "event bytes", func(c *publish.Config) { c.MaxEventBytes = 2 << 20 }},
	} {
		t.Run(test.name, func(t *testing.T) {
			cfg := config()
			test.change(&cfg)
			if _, err := publish.New(s.client, s.schemas, schemas.Shop(), cfg); err == nil || !strings.Contains(err.Error(), test.names) {
				t.Errorf("got %v, want an error that names %s", err, test.names)
			}
		})
	}
}

func TestMetrics(t *testing.T) {
	registry := prometheus.NewRegistry()
	cfg := config()
	cfg.Metrics = registry
	s := start(t, cfg)
	get(t, s.send(t.Context(), placed("order-1")))
	get(t, s.send(t.Context(), &publish.Event{}))
	if err := s.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	got := map[string]float64{}
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range families {
		for _, m := range f.GetMetric() {
			name := f.GetName()
			for _, l := range m.GetLabel() {
				name += " " + l.GetName() + "=" + l.GetValue()
			}
			if v := m.GetCounter().GetValue() + m.GetGauge().GetValue() + float64(m.GetHistogram().GetSampleCount()); v != 0 {
				got[name] = v
			}
		}
	}
	want := map[string]float64{
		"firehose_producer_accepted_total topic=shop.orders":     1,
		"firehose_producer_acknowledged_total topic=shop.orders": 1,
		"firehose_producer_rejected_total reason=unknown_type":   1,
		"firehose_producer_ack_seconds":                          1,
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("metrics (-want +got):\n%s", diff)
	}
	if err := s.Close(context.Background()); err != nil {
		t.Fatal(err)
	}
	if families, _ := registry.Gather(); len(families) != 0 {
		t.Errorf("%d metrics are left after Close", len(families))
	}
}
