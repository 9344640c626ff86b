package codec

import (
	"reflect"
	"testing"

	"firehose/schemas"
)

// The shop's events are read by programs, not by the library: a field that none
// can read costs every event of its topic.
func TestShopIsReadByPrograms(t *testing.T) {
	for topic, typ := range map[string]reflect.Type{
		schemas.TopicCustomers:      reflect.TypeFor[schemas.Customer](),
		schemas.TopicProducts:       reflect.TypeFor[schemas.Product](),
		schemas.TopicOrders:         reflect.TypeFor[schemas.Order](),
		schemas.TopicPayments:       reflect.TypeFor[schemas.Payment](),
		schemas.TopicShipments:      reflect.TypeFor[schemas.Shipment](),
		schemas.TopicStockMovements: reflect.TypeFor[schemas.StockMovement](),
	} {
		contract, ok := schemas.Shop().Topic(topic)
		if !ok {
			t.Fatalf("no topic %s", topic)
		}
		n, err := nodeOf(contract.Latest().Avro)
		if err != nil {
			t.Fatal(err)
		}
		if compileProgram(n, typ) == nil {
			t.Errorf("%s is not read by a program", topic)
		}
	}
}
