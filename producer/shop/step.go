package shop

import (
	"slices"
	"strconv"
	"time"

	"firehose/internal/publish"
	"firehose/schemas"
)

// none is the cause of an event that nothing caused.
const none int64 = -1

// staples is how many of the best-selling products are never withdrawn, so that
// there is always something to buy.
const staples = 10

// Step lets one thing happen and returns its events, one or more, in order. The
// slice is good until the next call, the events for ever.
func (s *Shop) Step() []*publish.Event {
	s.out = s.out[:0]
	switch dice := s.below(100); {
	case len(s.st.Open) == 0, dice < 30 && len(s.st.Open) < s.st.Config.MaxOpen:
		s.placeOrder()
	case dice < 91:
		s.settleOrder(s.below(len(s.st.Open)))
	case dice < 94:
		s.changeProduct()
	case dice < 98:
		s.changeCustomer()
	default:
		s.countStock()
	}
	return s.out
}

// placeOrder has a customer, often a new one, order a few products.
func (s *Shop) placeOrder() {
	c := s.anyCustomer()
	o := order{Number: s.st.Placed, Customer: c, Version: 1, Status: placed, Channel: s.below(len(channels)),
		Method: s.below(len(methods)), Note: -1}
	s.st.Placed++
	if s.percent(10) {
		o.Note = s.below(len(notes))
	}
	for n := 1 + s.below(3); n > 0; n-- {
		rank := s.anyProduct()
		// A product is one line, however often it was put into the basket.
		if slices.ContainsFunc(o.Lines, func(l line) bool { return l.Rank == rank }) {
			continue
		}
		o.Lines = append(o.Lines, line{Rank: rank, Quantity: int32(1 + s.below(4)), Price: s.st.Products[rank].Price})
	}
	s.tick()
	o.PlacedAt = s.st.Clock
	o.Cause = none
	s.emitOrder(&o, schemas.OrderPlaced, schemas.OrderStatusPlaced)
	s.st.Open = append(s.st.Open, o)
}

// settleOrder takes an open order one step further.
func (s *Shop) settleOrder(i int) {
	o := &s.st.Open[i]
	switch o.Status {
	case placed:
		if s.percent(8) {
			s.advance(o, schemas.OrderCancelled, schemas.OrderStatusCancelled)
			s.close(i)
			return
		}
		s.emitPayment(o, schemas.PaymentReceived, "", o.total())
		s.advance(o, schemas.OrderPaid, schemas.OrderStatusPaid)
		o.Status = paid
	case paid:
		s.ship(o)
		o.Status = shipped
		if !s.percent(6) {
			s.close(i)
		}
	case shipped: // and it is one of those that come back
		for n, l := range o.Lines {
			s.moveStock(l.Rank, int64(l.Quantity), schemas.MovementReasonReturned, o, "-returned-"+strconv.Itoa(n+1))
		}
		s.emitPayment(o, schemas.PaymentRefunded, "-refund", -o.total())
		s.advance(o, schemas.OrderReturned, schemas.OrderStatusReturned)
		s.close(i)
	}
}

// close forgets an order. The last one takes its place: the order of open orders
// means nothing.
func (s *Shop) close(i int) {
	last := len(s.st.Open) - 1
	s.st.Open[i] = s.st.Open[last]
	s.st.Open[last] = order{}
	s.st.Open = s.st.Open[:last]
}

func (s *Shop) ship(o *order) {
	var units int32
	var grams int64
	for n, l := range o.Lines {
		p := &s.st.Products[l.Rank]
		if missing := int64(l.Quantity) - p.OnHand; missing > 0 {
			// What sells often is ordered in bigger lots.
			lot := int64(20 + 400/(l.Rank+1))
			s.moveStock(l.Rank, (missing+lot-1)/lot*lot, schemas.MovementReasonReceived, nil, "")
		}
		s.moveStock(l.Rank, -int64(l.Quantity), schemas.MovementReasonSold, o, "-sold-"+strconv.Itoa(n+1))
		units += l.Quantity
		grams += int64(l.Quantity) * s.grams(l.Rank)
	}
	s.tick()
	id := s.orderID(o)
	carrier := &carriers[o.Number%int64(len(carriers))]
	o.Cause = s.emit(schemas.ShipmentSent, id, 0, id, o.Cause, &schemas.Shipment{
		ShipmentID: id + "-shipment", OrderID: id, CustomerID: s.customerID(o.Customer), Units: units,
		WeightKg: float64(grams) / 1000, Carrier: carrier, ShippedAt: s.now(),
	})
	s.advance(o, schemas.OrderShipped, schemas.OrderStatusShipped)
}

// advance makes the next version of an order.
func (s *Shop) advance(o *order, eventType string, to schemas.OrderStatus) {
	o.Version++
	s.tick()
	s.emitOrder(o, eventType, to)
}

func (s *Shop) emitOrder(o *order, eventType string, to schemas.OrderStatus) {
	id := s.orderID(o)
	v := &schemas.Order{
		OrderID: id, Version: o.Version, CustomerID: s.customerID(o.Customer), Status: to,
		Lines: make([]schemas.OrderLine, len(o.Lines)), Currency: "USD", Channel: channels[o.Channel],
		PlacedAt: time.UnixMicro(o.PlacedAt).UTC(), UpdatedAt: s.now(),
	}
	for i, l := range o.Lines {
		v.Lines[i] = schemas.OrderLine{SKU: s.sku(l.Rank), Quantity: l.Quantity, UnitPriceCents: l.Price, AmountCents: l.Price * int64(l.Quantity)}
		v.Units += l.Quantity
	}
	if to != schemas.OrderStatusCancelled && to != schemas.OrderStatusReturned {
		v.TotalCents = o.total()
	}
	if o.Note >= 0 {
		v.Note = &notes[o.Note]
	}
	o.Cause = s.emit(eventType, id, o.Version, id, o.Cause, v)
}

func (s *Shop) emitPayment(o *order, eventType, suffix string, cents int64) {
	s.tick()
	id := s.orderID(o)
	o.Cause = s.emit(eventType, id, 0, id, o.Cause, &schemas.Payment{
		PaymentID: id + "-payment" + suffix, OrderID: id, CustomerID: s.customerID(o.Customer),
		AmountCents: cents, Currency: "USD", Method: methods[o.Method], PaidAt: s.now(),
	})
}

// moveStock changes what is on hand, for an order or for none. Movements without
// an order are named after their sequence.
func (s *Shop) moveStock(rank int, quantity int64, reason schemas.MovementReason, o *order, suffix string) {
	s.tick()
	s.st.Products[rank].OnHand += quantity
	v := &schemas.StockMovement{SKU: s.sku(rank), Quantity: quantity, Reason: reason, MovedAt: s.now()}
	if o == nil {
		v.MovementID = s.name + "-m" + strconv.FormatInt(s.Sequence(), 10)
		s.emit(schemas.StockMoved, v.SKU, 0, "", none, v)
		return
	}
	id := s.orderID(o)
	v.MovementID, v.OrderID = id+suffix, &id
	o.Cause = s.emit(schemas.StockMoved, v.SKU, 0, id, o.Cause, v)
}

// countStock finds a little more or less on the shelf than the books say.
func (s *Shop) countStock() {
	rank := s.anyProduct()
	found := int64(s.below(7)) - 3
	if found == 0 || s.st.Products[rank].OnHand+found < 0 {
		found = 1
	}
	s.moveStock(rank, found, schemas.MovementReasonAdjusted, nil, "")
}

func (o *order) total() int64 {
	var cents int64
	for _, l := range o.Lines {
		cents += l.Price * int64(l.Quantity)
	}
	return cents
}

func (s *Shop) orderID(o *order) string { return s.name + "-o" + strconv.FormatInt(o.Number+1, 10) }
