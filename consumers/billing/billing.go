// Package billing is the service that keeps the books: a double-entry ledger of
// what customers owe and have paid, and the balance of each account. Debits are
// positive, credits negative, so every event's entries add up to zero, and so
// does every state that a reader can see.
//
//	entry    entry_id   account     cents
//	order    o-17       receivable  +2500   an order: the customer owes its total
//	order    o-17       revenue     -2500
//	payment  o-17-p1    cash        +2500   a payment: now it is in the till
//	payment  o-17-p1    receivable  -2500
//
// An order has one pair of entries, which follow its total: a cancelled or
// returned order, whose total is 0, keeps them at 0. A payment has a pair of its
// own for ever; a refund is a payment of a negative amount.
package billing

import (
	"math"

	"firehose"
	"firehose/schemas"
)

var (
	ledger = firehose.Rows("ledger",
		firehose.Key{firehose.Text("entry"), firehose.Text("entry_id"), firehose.Text("account")},
		firehose.Text("order_id"), firehose.Int("cents"), firehose.Timestamp("booked_at"))
	// Every event adds to one of three rows.
	balances = firehose.Counters("balances", firehose.Key{firehose.Text("account")}, "cents").Sharded()
)

// Service returns the billing service.
func Service() firehose.Service {
	return firehose.Service{
		Name:    "billing",
		Schemas: schemas.Shop(),
		Tables:  []*firehose.Table{ledger, balances},
		Projections: []firehose.Projection{
			firehose.OnChange(schemas.TopicOrders, order),
			firehose.OnFact(schemas.TopicPayments, payment),
		},
	}
}

// order books what an order's change adds to its total.
func order(before *firehose.Event[schemas.Order], after firehose.Event[schemas.Order], c *firehose.Changes) error {
	if before != nil {
		move(c, "revenue", "receivable", before.Data.TotalCents)
	}
	if after.Deleted {
		c.Remove(ledger, firehose.Row{"order", after.Key, "receivable"})
		c.Remove(ledger, firehose.Row{"order", after.Key, "revenue"})
		return nil
	}
	o := after.Data
	if o.TotalCents == math.MinInt64 { // which has no negative
		return firehose.Refuse("total_cents: out of range")
	}
	move(c, "receivable", "revenue", o.TotalCents)
	c.Put(ledger, firehose.Row{"order", o.OrderID, "receivable"}, o.OrderID, o.TotalCents, o.UpdatedAt)
	c.Put(ledger, firehose.Row{"order", o.OrderID, "revenue"}, o.OrderID, -o.TotalCents, o.UpdatedAt)
	return nil
}

// payment books money that came in, or went back.
func payment(e firehose.Event[schemas.Payment], c *firehose.Changes) error {
	p := e.Data
	if p.AmountCents == math.MinInt64 {
		return firehose.Refuse("amount_cents: out of range")
	}
	move(c, "cash", "receivable", p.AmountCents)
	c.Put(ledger, firehose.Row{"payment", p.PaymentID, "cash"}, p.OrderID, p.AmountCents, p.PaidAt)
	c.Put(ledger, firehose.Row{"payment", p.PaymentID, "receivable"}, p.OrderID, -p.AmountCents, p.PaidAt)
	return nil
}

// move debits one account and credits the other.
func move(c *firehose.Changes, debit, credit string, cents int64) {
	c.Add(balances, firehose.Row{debit}, cents)
	c.Add(balances, firehose.Row{credit}, -cents)
}
