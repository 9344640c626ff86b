// Package figures says what the shop's stores hold, in a few sums, and what a data
// set must lead to.
package figures

import (
	"database/sql"
	"strings"
	"testing"

	_ "github.com/jackc/pgx/v5/stdlib" // the drivers that read what the services left
	_ "modernc.org/sqlite"

	"firehose/producer"
	"firehose/schemas"
)

// Figures are what the stores say. All of them are sums and counts, so that an
// event applied twice, or not at all, shows.
type Figures struct {
	Orders, OrdersShipped, Customers int64 // replicator
	UnitsSold, OnHand                int64 // inventory
	Revenue, Cash, Receivable, Sum   int64 // billing
	Ledger, OpenOrders               int64
}

// Of folds a data set by hand.
func Of(t *testing.T, dataset string) Figures {
	t.Helper()
	d, err := producer.DatasetNamed(dataset)
	if err != nil {
		t.Fatal(err)
	}
	var f Figures
	for _, e := range d.Events() {
		switch v := e.Data.(type) {
		case *schemas.Customer:
			f.Customers++
		case *schemas.Order:
			if v.Version == 3 {
				f.Orders++
				f.OrdersShipped++
				f.Revenue -= v.TotalCents
				f.Ledger += 2
			}
		case *schemas.Payment:
			f.Cash += v.AmountCents
			f.Ledger += 2
		case *schemas.StockMovement:
			f.OnHand += v.Quantity
			if v.Reason == schemas.MovementReasonSold {
				f.UnitsSold -= v.Quantity
			}
		}
	}
	f.Receivable = -f.Revenue - f.Cash
	return f
}

// Read asks the services' databases, which are SQLite's or PostgreSQL's:
// store says for each service what its --store was told.
func Read(t *testing.T, store func(service string) string) Figures {
	t.Helper()
	var f Figures
	ask := func(service, statement string, to ...any) {
		t.Helper()
		for i := range to {
			to[i] = &nullable{to: to[i].(*int64)}
		}
		db := Open(t, store(service))
		defer db.Close()
		if err := db.QueryRowContext(t.Context(), statement).Scan(to...); err != nil {
			t.Fatalf("%s: %s: %v", service, statement, err)
		}
	}
	ask("replicator", "SELECT COUNT(*), COUNT(*) FILTER (WHERE version = 3) FROM shop_orders", &f.Orders, &f.OrdersShipped)
	ask("replicator", "SELECT COUNT(*) FROM shop_customers", &f.Customers)
	ask("inventory", "SELECT SUM(units_sold), SUM(on_hand) FROM stock", &f.UnitsSold, &f.OnHand)
	ask("billing", `SELECT SUM(cents) FILTER (WHERE account = 'revenue'), SUM(cents) FILTER (WHERE account = 'cash'),
		SUM(cents) FILTER (WHERE account = 'receivable'), SUM(cents) FROM balances`, &f.Revenue, &f.Cash, &f.Receivable, &f.Sum)
	ask("billing", "SELECT COUNT(*) FROM ledger", &f.Ledger)
	ask("billing", `SELECT COUNT(*) FROM (SELECT 1 FROM ledger WHERE account = 'receivable'
		GROUP BY order_id HAVING SUM(cents) <> 0) AS open_orders`, &f.OpenOrders)
	return f
}

// Open opens what a --store names, SQLite's to be read only.
func Open(t *testing.T, store string) *sql.DB {
	t.Helper()
	driver, source := "pgx", store
	if path, ok := strings.CutPrefix(store, "sqlite:"); ok {
		driver, source = "sqlite", "file:"+path+"?mode=ro&_pragma=busy_timeout(10000)"
	}
	db, err := sql.Open(driver, source)
	if err != nil {
		t.Fatal(err)
	}
	return db
}

// nullable reads the sum of no rows as 0.
type nullable struct{ to *int64 }

func (n *nullable) Scan(v any) error {
	var i sql.NullInt64
	err := i.Scan(v)
	*n.to = i.Int64
	return err
}
