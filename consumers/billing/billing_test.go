package billing_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose"
	"firehose/consumers/billing"
	"firehose/firehosetest"
	"firehose/schemas"
)

func TestMain(m *testing.M) { firehosetest.Main(m) }

var at = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func order(eventType string, version, cents int64) firehose.Outgoing {
	return firehose.Outgoing{Type: eventType, Data: &schemas.Order{
		OrderID: "o-1", Version: version, CustomerID: "c-1", Status: schemas.OrderStatusPlaced, Currency: "USD",
		TotalCents: cents, PlacedAt: at, UpdatedAt: at, Channel: schemas.ChannelWeb,
	}}
}

func paid(id string, cents int64) firehose.Outgoing {
	eventType := schemas.PaymentReceived
	if cents < 0 {
		eventType = schemas.PaymentRefunded
	}
	return firehose.Outgoing{ID: id, Type: eventType, Data: &schemas.Payment{
		PaymentID: id, OrderID: "o-1", CustomerID: "c-1", AmountCents: cents, Currency: "USD",
		Method: schemas.PaymentMethodCard, PaidAt: at,
	}}
}

func TestBalances(t *testing.T) {
	type accounts map[string]int64
	tests := []struct {
		name     string
		events   []firehose.Outgoing
		balances accounts
		ledger   int // rows
	}{
		{"placed", []firehose.Outgoing{order(schemas.OrderPlaced, 1, 2500)},
			accounts{"receivable": 2500, "revenue": -2500}, 2},
		{"placed and paid", []firehose.Outgoing{order(schemas.OrderPlaced, 1, 2500), paid("p-1", 2500), order(schemas.OrderPaid, 2, 2500)},
			accounts{"receivable": 0, "revenue": -2500, "cash": 2500}, 4},
		{"paid before it is placed", []firehose.Outgoing{paid("p-1", 2500), order(schemas.OrderPlaced, 1, 2500)},
			accounts{"receivable": 0, "revenue": -2500, "cash": 2500}, 4},
		{"the same payment twice", []firehose.Outgoing{paid("p-1", 2500), paid("p-1", 2500)},
			accounts{"receivable": -2500, "cash": 2500}, 2},
		{"its total changes", []firehose.Outgoing{order(schemas.OrderPlaced, 1, 2500), order(schemas.OrderPlaced, 2, 1000)},
			accounts{"receivable": 1000, "revenue": -1000}, 2},
		{"states out of order", []firehose.Outgoing{order(schemas.OrderPlaced, 2, 1000), order(schemas.OrderPlaced, 1, 2500)},
			accounts{"receivable": 1000, "revenue": -1000}, 2},
		{"cancelled", []firehose.Outgoing{order(schemas.OrderPlaced, 1, 2500), order(schemas.OrderCancelled, 2, 0)},
			accounts{"receivable": 0, "revenue": 0}, 2},
		{"returned and refunded", []firehose.Outgoing{order(schemas.OrderPlaced, 1, 2500), paid("p-1", 2500),
			paid("p-1-refund", -2500), order(schemas.OrderReturned, 4, 0)},
			accounts{"receivable": 0, "revenue": 0, "cash": 0}, 6},
		{"deleted", []firehose.Outgoing{order(schemas.OrderPlaced, 1, 2500), {Type: schemas.OrderCancelled, Delete: true, Key: "o-1", Version: 2}},
			accounts{"receivable": 0, "revenue": 0}, 0},
		{"of nothing", []firehose.Outgoing{order(schemas.OrderPlaced, 1, 0), paid("p-1", 0)}, accounts{}, 4},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			books := firehosetest.Fold(t, billing.Service(), tt.events...)
			got := accounts{}
			for _, row := range books.Rows("balances") {
				got[row[0].(string)] = row[1].(int64)
			}
			if diff := cmp.Diff(tt.balances, got); diff != "" {
				t.Errorf("balances (-want +got):\n%s", diff)
			}
			sums := accounts{}
			for _, row := range books.Rows("ledger") {
				sums[row[2].(string)] += row[4].(int64)
			}
			for account, cents := range got {
				if sums[account] != cents {
					t.Errorf("ledger of %s: got %d, want its balance %d", account, sums[account], cents)
				}
			}
			if got := len(books.Rows("ledger")); got != tt.ledger {
				t.Errorf("ledger: got %d rows, want %d", got, tt.ledger)
			}
		})
	}
}

func TestAmountWithoutNegative(t *testing.T) {
	for _, tt := range []struct {
		event firehose.Outgoing
		want  string
	}{
		{order(schemas.OrderPlaced, 1, math.MinInt64), "set aside (projection_error): total_cents: out of range"},
		{paid("p-1", math.MinInt64), "set aside (projection_error): amount_cents: out of range"},
	} {
		if err := firehosetest.Refused(t, billing.Service(), tt.event); err.Error() != tt.want {
			t.Errorf("got %q, want %q", err, tt.want)
		}
	}
}

// What is too much for an account is set aside whole: both of its sides.
func TestOverflowKeepsTheBooksBalanced(t *testing.T) {
	cluster := firehosetest.Start(t, schemas.Shop())
	service := cluster.Run(billing.Service())
	cluster.Publish(order(schemas.OrderPlaced, 1, 2500), paid("p-1", math.MaxInt64), paid("p-2", math.MaxInt64), paid("p-3", 2500))
	service.Wait()
	if got := service.Value("SELECT SUM(cents) FROM balances"); got != int64(0) {
		t.Errorf("sum of all accounts: got %v, want 0", got)
	}
	var classes []string
	for _, d := range service.DeadLetters() {
		classes = append(classes, d.Class)
	}
	if diff := cmp.Diff([]string{"store_refused", "store_refused"}, classes); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if got := service.Value("SELECT COUNT(*) FROM ledger"); got != int64(4) {
		t.Errorf("ledger: got %v rows, want 4", got)
	}
}

func TestOnABroker(t *testing.T) {
	cluster := firehosetest.Start(t, schemas.Shop())
	service := cluster.Run(billing.Service())
	cluster.Publish(
		order(schemas.OrderPlaced, 1, 2500), paid("p-1", 2500), order(schemas.OrderPaid, 2, 2500),
		paid("p-1-refund", -2500), order(schemas.OrderReturned, 3, 0), paid("p-1", 2500),
	)
	service.Wait()
	want := [][]any{{"cash", int64(0)}, {"receivable", int64(0)}, {"revenue", int64(0)}}
	if diff := cmp.Diff(want, service.Query("SELECT account, cents FROM balances ORDER BY account")); diff != "" {
		t.Errorf("balances (-want +got):\n%s", diff)
	}
	want = [][]any{
		{"order", "o-1", "receivable", "o-1", int64(0), "2024-05-01T12:00:00.000000Z"},
		{"order", "o-1", "revenue", "o-1", int64(0), "2024-05-01T12:00:00.000000Z"},
		{"payment", "p-1", "cash", "o-1", int64(2500), "2024-05-01T12:00:00.000000Z"},
		{"payment", "p-1", "receivable", "o-1", int64(-2500), "2024-05-01T12:00:00.000000Z"},
		{"payment", "p-1-refund", "cash", "o-1", int64(-2500), "2024-05-01T12:00:00.000000Z"},
		{"payment", "p-1-refund", "receivable", "o-1", int64(2500), "2024-05-01T12:00:00.000000Z"},
	}
	if diff := cmp.Diff(want, service.Query("SELECT * FROM ledger ORDER BY 1, 2, 3")); diff != "" {
		t.Errorf("ledger (-want +got):\n%s", diff)
	}
}
