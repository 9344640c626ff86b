package bench

import (
	"fmt"
	"testing"
	"time"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/schemas"
)

var day = time.Date(1997, 3, 1, 12, 30, 15, 250_000_000, time.UTC)

// orderOf is an order of twelve fields and three lines. Its ID is derived from
// n, as those of the recorded purchases are: the keys come in no order.
func orderOf(n int) *schemas.Order {
	at := day.Add(time.Duration(n) * time.Second)
	return &schemas.Order{
		OrderID: event.DerivedID("bench", fmt.Sprint(n)), Version: 1,
		CustomerID: fmt.Sprintf("customer-%05d", n%23570), Status: schemas.OrderStatusPlaced,
		Lines: []schemas.OrderLine{
			{SKU: "CD-01177", Quantity: 1, UnitPriceCents: 1177, AmountCents: 1177},
			{SKU: "CD-02999", Quantity: 2, UnitPriceCents: 2999, AmountCents: 5998},
			{SKU: "CD-00500", Quantity: 1, UnitPriceCents: 500, AmountCents: 500},
		},
		Units: 4, TotalCents: 7675, Currency: "USD", PlacedAt: at, UpdatedAt: at, Channel: schemas.ChannelWeb,
	}
}

func topicOf(tb testing.TB, name string) *schemas.Topic {
	tb.Helper()
	t, ok := schemas.Shop().Topic(name)
	if !ok {
		tb.Fatalf("no topic %s", name)
	}
	return t
}

// envelopeOf is what the publisher stamps on an order.
func envelopeOf(o *schemas.Order) event.Envelope {
	return event.Envelope{
		ID: event.NewID(), Source: "/service/bench", Type: schemas.OrderPlaced, Time: o.UpdatedAt, Subject: o.OrderID,
		DataSchema: "http://127.0.0.1:8081/schemas/ids/4", Sequence: o.Version, HasSequence: true,
	}
}

// encodedOrder is the framed value of an order.
func encodedOrder(tb testing.TB, o *schemas.Order, id int) []byte {
	tb.Helper()
	value, err := codec.NewEncoder(topicOf(tb, schemas.TopicOrders).Latest(), id).AppendEncode(nil, o)
	if err != nil {
		tb.Fatal(err)
	}
	return value
}
