package schemas

import (
	"embed"
	"fmt"
	"io/fs"
	"sync"
	"time"
)

//go:embed shop/*.avsc
var shopFiles embed.FS

var loadShop = sync.OnceValue(func() *Set {
	dir, err := fs.Sub(shopFiles, "shop")
	if err != nil {
		panic(err)
	}
	set, err := Load(dir)
	if err != nil {
		// The files are compiled in: a test would have failed first.
		panic(fmt.Sprintf("schemas of the shop: %v", err))
	}
	return set
})

// Shop returns the topics of the shop. The set is shared and must not be
// changed.
//
// Keys are chosen so that the order within a key is worth having: an entity's
// events by its own ID, payments and shipments by the order they belong to,
// stock movements by the product whose stock they change.
func Shop() *Set { return loadShop() }

// Topics of the shop.
const (
	TopicCustomers      = "shop.customers"
	TopicProducts       = "shop.products"
	TopicOrders         = "shop.orders"
	TopicPayments       = "shop.payments"
	TopicShipments      = "shop.shipments"
	TopicStockMovements = "shop.stock-movements"
)

// Event types of the shop, with the Go type of their data.
const (
	CustomerRegistered = "shop.customer.registered" // Customer
	CustomerChanged    = "shop.customer.changed"    // Customer
	ProductListed      = "shop.product.listed"      // Product
	ProductChanged     = "shop.product.changed"     // Product
	OrderPlaced        = "shop.order.placed"        // Order
	OrderPaid          = "shop.order.paid"          // Order
	OrderShipped       = "shop.order.shipped"       // Order
	OrderCancelled     = "shop.order.cancelled"     // Order
	OrderReturned      = "shop.order.returned"      // Order
	PaymentReceived    = "shop.payment.received"    // Payment
	PaymentRefunded    = "shop.payment.refunded"    // Payment
	ShipmentSent       = "shop.shipment.sent"       // Shipment
	StockMoved         = "shop.stock.moved"         // StockMovement
)

// Customer is the data of shop.customers.
type Customer struct {
	CustomerID   string    `avro:"customer_id"`
	Version      int64     `avro:"version"`
	Name         string    `avro:"name"`
	Email        *string   `avro:"email"`
	Country      string    `avro:"country"` // ISO 3166-1 alpha-2
	Newsletter   bool      `avro:"newsletter"`
	RegisteredAt time.Time `avro:"registered_at,timestamp-micros"`
	UpdatedAt    time.Time `avro:"updated_at,timestamp-micros"`
}

// Product is the data of shop.products.
type Product struct {
	SKU        string    `avro:"sku"`
	Version    int64     `avro:"version"`
	Name       string    `avro:"name"`
	Category   string    `avro:"category"`
	PriceCents int64     `avro:"price_cents"`
	WeightKg   float64   `avro:"weight_kg"`
	Rating     *float64  `avro:"rating"` // nil while nobody has rated
	Active     bool      `avro:"active"`
	Tags       []string  `avro:"tags"`
	ListedAt   time.Time `avro:"listed_at,timestamp-micros"`
	UpdatedAt  time.Time `avro:"updated_at,timestamp-micros"`
}

// OrderStatus is how far an order is.
type OrderStatus string

// The states of an order. It is placed, then paid or cancelled; once paid,
// shipped; once shipped it may come back.
const (
	OrderStatusUnknown   OrderStatus = "UNKNOWN"
	OrderStatusPlaced    OrderStatus = "PLACED"
	OrderStatusPaid      OrderStatus = "PAID"
	OrderStatusShipped   OrderStatus = "SHIPPED"
	OrderStatusCancelled OrderStatus = "CANCELLED"
	OrderStatusReturned  OrderStatus = "RETURNED"
)

// Channel is where an order was placed.
type Channel string

// The channels.
const (
	ChannelUnknown Channel = "UNKNOWN"
	ChannelWeb     Channel = "WEB"
	ChannelApp     Channel = "APP"
	ChannelPhone   Channel = "PHONE"
)

// OrderLine is one product of an order.
type OrderLine struct {
	SKU            string `avro:"sku"`
	Quantity       int32  `avro:"quantity"`
	UnitPriceCents int64  `avro:"unit_price_cents"` // rounded; AmountCents is exact
	AmountCents    int64  `avro:"amount_cents"`
}

// Order is the data of shop.orders. TotalCents is what the customer owes for
// it: the sum of the lines' amounts, 0 once it is cancelled or returned.
type Order struct {
	OrderID    string      `avro:"order_id"`
	Version    int64       `avro:"version"`
	CustomerID string      `avro:"customer_id"`
	Status     OrderStatus `avro:"status"`
	Lines      []OrderLine `avro:"lines"`
	Units      int32       `avro:"units"` // sum of the lines' quantities
	TotalCents int64       `avro:"total_cents"`
	Currency   string      `avro:"currency"` // ISO 4217
	Note       *string     `avro:"note"`
	PlacedAt   time.Time   `avro:"placed_at,timestamp-micros"`
	UpdatedAt  time.Time   `avro:"updated_at,timestamp-micros"`
	Channel    Channel     `avro:"channel"` // since version 2 of the schema
}

// PaymentMethod is how a payment was made.
type PaymentMethod string

// The payment methods.
const (
	PaymentMethodUnknown  PaymentMethod = "UNKNOWN"
	PaymentMethodCard     PaymentMethod = "CARD"
	PaymentMethodTransfer PaymentMethod = "TRANSFER"
	PaymentMethodWallet   PaymentMethod = "WALLET"
	PaymentMethodVoucher  PaymentMethod = "VOUCHER"
)

// Payment is the data of shop.payments. AmountCents is positive when received
// and negative when refunded; 0 is a payment too.
type Payment struct {
	PaymentID   string        `avro:"payment_id"`
	OrderID     string        `avro:"order_id"` // the key
	CustomerID  string        `avro:"customer_id"`
	AmountCents int64         `avro:"amount_cents"`
	Currency    string        `avro:"currency"` // ISO 4217
	Method      PaymentMethod `avro:"method"`
	PaidAt      time.Time     `avro:"paid_at,timestamp-micros"`
}

// Shipment is the data of shop.shipments.
type Shipment struct {
	ShipmentID string    `avro:"shipment_id"`
	OrderID    string    `avro:"order_id"` // the key
	CustomerID string    `avro:"customer_id"`
	Units      int32     `avro:"units"`
	WeightKg   float64   `avro:"weight_kg"`
	Carrier    *string   `avro:"carrier"`
	ShippedAt  time.Time `avro:"shipped_at,timestamp-micros"`
}

// MovementReason is why stock moved.
type MovementReason string

// The reasons.
const (
	MovementReasonUnknown  MovementReason = "UNKNOWN"
	MovementReasonReceived MovementReason = "RECEIVED"
	MovementReasonSold     MovementReason = "SOLD"
	MovementReasonReturned MovementReason = "RETURNED"
	MovementReasonAdjusted MovementReason = "ADJUSTED"
)

// StockMovement is the data of shop.stock-movements. Quantity is the change of
// the stock on hand: positive in, negative out.
type StockMovement struct {
	MovementID string         `avro:"movement_id"`
	SKU        string         `avro:"sku"` // the key
	Quantity   int64          `avro:"quantity"`
	Reason     MovementReason `avro:"reason"`
	OrderID    *string        `avro:"order_id"`
	MovedAt    time.Time      `avro:"moved_at,timestamp-micros"`
}
