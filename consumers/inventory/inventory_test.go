package inventory_test

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose"
	"firehose/consumers/inventory"
	"firehose/firehosetest"
	"firehose/schemas"
)

func TestMain(m *testing.M) { firehosetest.Main(m) }

func moved(id, sku string, quantity int64, reason schemas.MovementReason) firehose.Outgoing {
	return firehose.Outgoing{ID: id, Type: schemas.StockMoved, Data: &schemas.StockMovement{
		MovementID: id, SKU: sku, Quantity: quantity, Reason: reason, MovedAt: time.Unix(1e9, 0),
	}}
}

func TestStock(t *testing.T) {
	got := firehosetest.Fold(t, inventory.Service(),
		moved("1", "CD-1", 25, schemas.MovementReasonReceived),
		moved("2", "CD-1", -3, schemas.MovementReasonSold),
		moved("2", "CD-1", -3, schemas.MovementReasonSold), // again: no second effect
		moved("3", "CD-1", 1, schemas.MovementReasonReturned),
		moved("4", "CD-1", -2, schemas.MovementReasonAdjusted),
		moved("5", "CD-2", -1, schemas.MovementReasonSold), // before its delivery
	).Rows("stock")
	want := [][]any{{"CD-1", int64(21), int64(2)}, {"CD-2", int64(-1), int64(1)}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
}

func TestQuantityWithoutNegative(t *testing.T) {
	err := firehosetest.Refused(t, inventory.Service(), moved("1", "CD-1", math.MinInt64, schemas.MovementReasonSold))
	if want := "set aside (projection_error): quantity: out of range"; err.Error() != want {
		t.Errorf("got %q, want %q", err, want)
	}
}

func TestOnABroker(t *testing.T) {
	cluster := firehosetest.Start(t, schemas.Shop())
	service := cluster.Run(inventory.Service())
	cluster.Publish(
		moved("1", "CD-1", 25, schemas.MovementReasonReceived),
		moved("2", "CD-1", -3, schemas.MovementReasonSold),
		moved("2", "CD-1", -3, schemas.MovementReasonSold),
	)
	service.Wait()
	service.Stop()
	service = cluster.Run(inventory.Service()) // goes on where it was
	cluster.Publish(moved("2", "CD-1", -3, schemas.MovementReasonSold), moved("3", "CD-2", -1, schemas.MovementReasonSold))
	service.Wait()
	want := [][]any{{"CD-1", int64(22), int64(3)}, {"CD-2", int64(-1), int64(1)}}
	if diff := cmp.Diff(want, service.Query("SELECT sku, on_hand, units_sold FROM stock ORDER BY sku")); diff != "" {
		t.Errorf("stock (-want +got):\n%s", diff)
	}
	if got := service.DeadLetters(); len(got) != 0 {
		t.Errorf("dead letters: got %v, want none", got)
	}
}
