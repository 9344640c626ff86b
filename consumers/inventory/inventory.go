// Package inventory is the service that knows the stock: what is on hand and
// what was sold of each product, folded from the movements of the warehouse.
//
//	sku       on_hand  units_sold
//	CD-01177       12         431
//
// Every movement changes on_hand by its quantity. units_sold is net of returns:
// a sale adds what left, a return takes back what came in. Deliveries and
// corrections of a count are no sales.
package inventory

import (
	"math"

	"firehose"
	"firehose/schemas"
)

var stock = firehose.Counters("stock", firehose.Key{firehose.Text("sku")}, "on_hand", "units_sold")

// Service returns the inventory service.
func Service() firehose.Service {
	return firehose.Service{
		Name:        "inventory",
		Schemas:     schemas.Shop(),
		Tables:      []*firehose.Table{stock},
		Projections: []firehose.Projection{firehose.OnFact(schemas.TopicStockMovements, move)},
	}
}

func move(e firehose.Event[schemas.StockMovement], c *firehose.Changes) error {
	quantity := e.Data.Quantity
	if quantity == math.MinInt64 {
		return firehose.Refuse("quantity: out of range")
	}
	var sold int64
	if e.Data.Reason == schemas.MovementReasonSold || e.Data.Reason == schemas.MovementReasonReturned {
		sold = -quantity
	}
	c.Add(stock, firehose.Row{e.Data.SKU}, quantity, sold)
	return nil
}
