// Package cdnow turns a public record of real purchases, the CDNOW data set of
// Fader and Hardie (its source and form are in README.md), into the events of
// the shop, in time order:
//
//	for index, event := range cdnow.Events() {
//		...
//	}
//
// A purchase becomes, in this order:
//
//	step      type                      when
//	customer  shop.customer.registered  the customer's first purchase
//	product   shop.product.listed       the first appearance of its SKU
//	received  shop.stock.moved          the stock would fall below zero
//	placed    shop.order.placed         always; the order's version 1
//	payment   shop.payment.received     always, of 0 cents too
//	paid      shop.order.paid           always; version 2
//	sold      shop.stock.moved          always
//	shipment  shop.shipment.sent        always
//	shipped   shop.order.shipped        always; version 3
//
// The record names no products, so a product is a unit price: what was paid by
// the number of CDs, rounded half up to a cent. Its SKU is "CD-" and these cents
// in five digits: 1 CD for $11.77 is a CD-01177, 5 for $77.00 are five CD-01540.
// The line's amount stays exactly what was paid. Stock is received in lots of
// LotSize, as many as are missing.
//
// The record knows days only. The purchases of a day share it evenly, in the
// order of their lines, and the steps of a purchase share its part: times rise
// strictly from event to event, and no date is changed.
//
// Identity comes from the number of the line, from 1, because lines repeat.
// An event's ID is derived from the line and the step, so every run yields the
// same events.
package cdnow

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"strconv"
	"time"

	"firehose/internal/event"
	"firehose/internal/publish"
	"firehose/schemas"
)

// Source is the ce_source of the events.
const Source = "/producer/cdnow"

// LotSize is how many CDs of a product come in at once.
const LotSize = 25

// unitGrams is what a CD in its case weighs.
const unitGrams = 100

// The steps of a purchase, in order.
const (
	stepCustomer = iota
	stepProduct
	stepReceived
	stepPlaced
	stepPayment
	stepPaid
	stepSold
	stepShipment
	stepShipped
	steps
)

// stepNames end the names from which event IDs are derived: they never change.
var stepNames = [steps]string{
	"customer", "product", "received", "placed", "payment", "paid", "sold", "shipment", "shipped",
}

// Events returns all events, in time order, with their indexes from 0. Each run
// yields the same ones; an event may be kept.
func Events() iter.Seq2[int64, *publish.Event] {
	return func(yield func(int64, *publish.Event) bool) {
		purchases := slices.AppendSeq(make([]Purchase, 0, TotalPurchases), Purchases())
		// Stable: purchases of one day stay in the order of their lines.
		slices.SortStableFunc(purchases, func(a, b Purchase) int { return cmp.Compare(a.Day, b.Day) })
		g := generator{yield: yield, products: map[int64]*product{}, customers: map[int]bool{}}
		for len(purchases) > 0 {
			n := 1
			for n < len(purchases) && purchases[n].Day == purchases[0].Day {
				n++
			}
			day, part := purchases[0].Date(), 24*time.Hour/time.Duration(n)
			for i, p := range purchases[:n] {
				if !g.purchase(p, day.Add(time.Duration(i)*part), part/steps) {
					return
				}
			}
			purchases = purchases[n:]
		}
	}
}

// generator is what has to be remembered between purchases.
type generator struct {
	yield     func(int64, *publish.Event) bool
	next      int64 // index of the next event
	customers map[int]bool
	products  map[int64]*product // by unit price
}

type product struct {
	sku    string
	onHand int64
}

// purchase yields the events of one purchase that begins at start, a step of
// time between two of them. It returns false when no more are wanted.
func (g *generator) purchase(p Purchase, start time.Time, step time.Duration) bool {
	var (
		line       = digits(p.Line)
		orderID    = "cdnow-o" + line
		customerID = "cdnow-c" + digits(p.Customer)
		price      = p.unitPrice()
		item, sold = g.products[price]
		cause      string
	)
	at := func(n int) time.Time { return start.Add(time.Duration(n) * step).Truncate(time.Microsecond) }
	send := func(n int, eventType, key string, version int64, data any) bool {
		e := &publish.Event{
			Envelope: event.Envelope{
				ID:     event.DerivedID("cdnow", strconv.Itoa(p.Line)+"/"+stepNames[n]),
				Source: Source, Type: eventType, Time: at(n), Subject: key,
				Sequence: version, HasSequence: version > 0, CausationID: cause,
			},
			Data: data,
		}
		if n >= stepPlaced {
			e.CorrelationID = orderID
			cause = e.ID // of the order's next event
		}
		index := g.next
		g.next++
		return g.yield(index, e)
	}

	if !g.customers[p.Customer] {
		g.customers[p.Customer] = true
		if !send(stepCustomer, schemas.CustomerRegistered, customerID, 1, &schemas.Customer{
			CustomerID: customerID, Version: 1, Name: "Customer " + digits(p.Customer), Country: "US",
			RegisteredAt: at(stepCustomer), UpdatedAt: at(stepCustomer),
		}) {
			return false
		}
	}
	if !sold {
		item = &product{sku: "CD-" + digits(int(price))}
		g.products[price] = item
		if !send(stepProduct, schemas.ProductListed, item.sku, 1, &schemas.Product{
			SKU: item.sku, Version: 1, Name: fmt.Sprintf("CD at $%d.%02d", price/100, price%100), Category: "music",
			PriceCents: price, WeightKg: unitGrams / 1000.0, Active: true, Tags: []string{"cd"},
			ListedAt: at(stepProduct), UpdatedAt: at(stepProduct),
		}) {
			return false
		}
	}
	units := int64(p.Units)
	if missing := units - item.onHand; missing > 0 {
		lots := (missing + LotSize - 1) / LotSize
		item.onHand += lots * LotSize
		if !send(stepReceived, schemas.StockMoved, item.sku, 0, &schemas.StockMovement{
			MovementID: "cdnow-m" + line + "-received", SKU: item.sku, Quantity: lots * LotSize,
			Reason: schemas.MovementReasonReceived, MovedAt: at(stepReceived),
		}) {
			return false
		}
	}
	item.onHand -= units
	lines := []schemas.OrderLine{{SKU: item.sku, Quantity: p.Units, UnitPriceCents: price, AmountCents: p.Cents}}
	order := func(n int, eventType string, version int64, status schemas.OrderStatus) bool {
		return send(n, eventType, orderID, version, &schemas.Order{
			OrderID: orderID, Version: version, CustomerID: customerID, Status: status,
			Lines: lines, Units: p.Units, TotalCents: p.Cents, Currency: "USD",
			PlacedAt: at(stepPlaced), UpdatedAt: at(n), Channel: schemas.ChannelWeb,
		})
	}
	return order(stepPlaced, schemas.OrderPlaced, 1, schemas.OrderStatusPlaced) &&
		// How it was paid and carried, the record does not say.
		send(stepPayment, schemas.PaymentReceived, orderID, 0, &schemas.Payment{
			PaymentID: "cdnow-p" + line, OrderID: orderID, CustomerID: customerID, AmountCents: p.Cents,
			Currency: "USD", Method: schemas.PaymentMethodUnknown, PaidAt: at(stepPayment),
		}) &&
		order(stepPaid, schemas.OrderPaid, 2, schemas.OrderStatusPaid) &&
		send(stepSold, schemas.StockMoved, item.sku, 0, &schemas.StockMovement{
			MovementID: "cdnow-m" + line + "-sold", SKU: item.sku, Quantity: -units,
			Reason: schemas.MovementReasonSold, OrderID: &orderID, MovedAt: at(stepSold),
		}) &&
		send(stepShipment, schemas.ShipmentSent, orderID, 0, &schemas.Shipment{
			ShipmentID: "cdnow-s" + line, OrderID: orderID, CustomerID: customerID, Units: p.Units,
			WeightKg: float64(units*unitGrams) / 1000, ShippedAt: at(stepShipment),
		}) &&
		order(stepShipped, schemas.OrderShipped, 3, schemas.OrderStatusShipped)
}

// digits writes a number in at least five digits.
func digits(n int) string {
	s := strconv.Itoa(n)
	return "00000"[:max(0, 5-len(s))] + s
}
