package schemas_test

import (
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/twmb/avro"

	"firehose/schemas"
)

// goTypes says which Go type holds the latest version of which topic, and which
// constants an enum has.
var goTypes = map[string]reflect.Type{
	schemas.TopicCustomers:      reflect.TypeFor[schemas.Customer](),
	schemas.TopicProducts:       reflect.TypeFor[schemas.Product](),
	schemas.TopicOrders:         reflect.TypeFor[schemas.Order](),
	schemas.TopicPayments:       reflect.TypeFor[schemas.Payment](),
	schemas.TopicShipments:      reflect.TypeFor[schemas.Shipment](),
	schemas.TopicStockMovements: reflect.TypeFor[schemas.StockMovement](),
}

var goEnums = map[reflect.Type][]string{
	reflect.TypeFor[schemas.OrderStatus](): names(schemas.OrderStatusUnknown, schemas.OrderStatusPlaced,
		schemas.OrderStatusPaid, schemas.OrderStatusShipped, schemas.OrderStatusCancelled, schemas.OrderStatusReturned),
	reflect.TypeFor[schemas.Channel](): names(schemas.ChannelUnknown, schemas.ChannelWeb, schemas.ChannelApp, schemas.ChannelPhone),
	reflect.TypeFor[schemas.PaymentMethod](): names(schemas.PaymentMethodUnknown, schemas.PaymentMethodCard,
		schemas.PaymentMethodTransfer, schemas.PaymentMethodWallet, schemas.PaymentMethodVoucher),
	reflect.TypeFor[schemas.MovementReason](): names(schemas.MovementReasonUnknown, schemas.MovementReasonReceived,
		schemas.MovementReasonSold, schemas.MovementReasonReturned, schemas.MovementReasonAdjusted),
}

func names[T ~string](symbols ...T) []string {
	s := make([]string, len(symbols))
	for i := range symbols {
		s[i] = string(symbols[i])
	}
	return s
}

// shape writes a schema as one line per field: place, type and symbols, in the
// schema's order. Two schemas of one shape hold the same values.
func shape(n *avro.SchemaNode) []string { return schemaShape("", n.ExpandReferences(), "") }

func schemaShape(path string, n *avro.SchemaNode, name string) []string {
	switch {
	case n.Type == "record":
		lines := []string{path + "record " + cmpName(name, n.Name)}
		for i := range n.Fields {
			f := &n.Fields[i]
			lines = append(lines, schemaShape(path+f.Name+" ", &f.Type, "")...)
		}
		return lines
	case n.Type == "array":
		return schemaShape(path+"[] ", n.Items, "")
	case n.Type == "union":
		if len(n.Branches) != 2 || n.Branches[0].Type != "null" {
			return []string{path + "a union that is not [null, T]"}
		}
		return schemaShape(path+"? ", &n.Branches[1], "")
	case n.Type == "enum":
		return []string{fmt.Sprintf("%senum %s %v", path, n.Name, n.Symbols)}
	case n.LogicalType != "":
		return []string{path + n.Type + "/" + n.LogicalType}
	default:
		return []string{path + n.Type}
	}
}

func cmpName(given, own string) string {
	if given != "" {
		return given
	}
	return own
}

// goShape writes a Go type in the same way.
func goShape(path string, t reflect.Type, options []string) []string {
	switch {
	case t == reflect.TypeFor[time.Time]():
		return []string{path + "long/" + strings.Join(options, ",")}
	case goEnums[t] != nil:
		return []string{fmt.Sprintf("%senum %s %v", path, t.Name(), goEnums[t])}
	}
	switch t.Kind() {
	case reflect.Struct:
		lines := []string{path + "record " + t.Name()}
		for i := range t.NumField() {
			f := t.Field(i)
			tag := strings.Split(f.Tag.Get("avro"), ",")
			lines = append(lines, goShape(path+tag[0]+" ", f.Type, tag[1:])...)
		}
		return lines
	case reflect.Pointer:
		return goShape(path+"? ", t.Elem(), options)
	case reflect.Slice:
		return goShape(path+"[] ", t.Elem(), options)
	case reflect.String:
		return []string{path + "string"}
	case reflect.Bool:
		return []string{path + "boolean"}
	case reflect.Int32:
		return []string{path + "int"}
	case reflect.Int64:
		return []string{path + "long"}
	case reflect.Float64:
		return []string{path + "double"}
	default:
		return []string{path + "a Go " + t.String()}
	}
}

// The Go types say what the latest schemas say: fields, their order, types,
// enum symbols and names.
func TestGoTypesMatchSchemas(t *testing.T) {
	for _, topic := range schemas.Shop().Topics() {
		goType, ok := goTypes[topic.Topic]
		if !ok {
			t.Errorf("%s: no Go type", topic.Topic)
			continue
		}
		want, got := shape(topic.Latest().Avro.Root()), goShape("", goType, nil)
		if diff := lineDiff(want, got); diff != "" {
			t.Errorf("%s version %d (-) and schemas.%s (+) differ:\n%s", topic.Topic, topic.Latest().N, goType.Name(), diff)
		}
	}
	if got, want := len(goTypes), len(schemas.Shop().Topics()); got != want {
		t.Errorf("got %d Go types, want %d", got, want)
	}
}

// Avro's own idea of the Go types has the same fields. It knows no enums, so
// those count as strings.
func TestInferredSchemasMatch(t *testing.T) {
	for topicName, infer := range map[string]func() (*avro.Schema, error){
		schemas.TopicCustomers:      func() (*avro.Schema, error) { return avro.SchemaFor[schemas.Customer]() },
		schemas.TopicProducts:       func() (*avro.Schema, error) { return avro.SchemaFor[schemas.Product]() },
		schemas.TopicOrders:         func() (*avro.Schema, error) { return avro.SchemaFor[schemas.Order]() },
		schemas.TopicPayments:       func() (*avro.Schema, error) { return avro.SchemaFor[schemas.Payment]() },
		schemas.TopicShipments:      func() (*avro.Schema, error) { return avro.SchemaFor[schemas.Shipment]() },
		schemas.TopicStockMovements: func() (*avro.Schema, error) { return avro.SchemaFor[schemas.StockMovement]() },
	} {
		topic, ok := schemas.Shop().Topic(topicName)
		if !ok {
			t.Fatalf("no topic %s", topicName)
		}
		inferred, err := infer()
		if err != nil {
			t.Fatal(err)
		}
		want, got := shape(topic.Latest().Avro.Root()), shape(inferred.Root())
		for i, line := range want {
			if place, _, isEnum := strings.Cut(line, "enum "); isEnum {
				want[i] = place + "string"
			}
		}
		if diff := lineDiff(want, got); diff != "" {
			t.Errorf("%s (-) and the schema inferred from its Go type (+) differ:\n%s", topicName, diff)
		}
	}
}

// The drift test must see each kind of drift.
func TestShapeSeesDrift(t *testing.T) {
	topic, _ := schemas.Shop().Topic(schemas.TopicOrders)
	text, goLines := topic.Latest().Text, goShape("", goTypes[schemas.TopicOrders], nil)
	for _, tt := range []struct{ name, old, new string }{
		{"a field renamed", `"name": "units"`, `"name": "unit_count"`},
		{"a field of another type", `"name": "total_cents", "type": "long"`, `"name": "total_cents", "type": "double"`},
		{"a symbol more", `"PHONE"`, `"PHONE", "FAX"`},
		{"symbols in another order", `"WEB", "APP"`, `"APP", "WEB"`},
		{"another unit of time", `"logicalType": "timestamp-micros"`, `"logicalType": "timestamp-millis"`},
		{"no longer nullable", `["null", "string"], "default": null`, `"string"`},
		{"a field more", `{"name": "currency"`, `{"name": "vat_cents", "type": "long"}, {"name": "currency"`},
		{"a field of a line more", `{"name": "quantity"`, `{"name": "position", "type": "int"}, {"name": "quantity"`},
		{"a field moved", `{"name": "order_id", "type": "string"},
    {"name": "version", "type": "long", "doc": "1 when placed, one more with each change."}`,
			`{"name": "version", "type": "long"}, {"name": "order_id", "type": "string"}`},
	} {
		t.Run(tt.name, func(t *testing.T) {
			if !strings.Contains(text, tt.old) {
				t.Fatalf("the schema holds no %s", tt.old)
			}
			drifted, err := avro.Parse(strings.Replace(text, tt.old, tt.new, 1))
			if err != nil {
				t.Fatal(err)
			}
			if lineDiff(shape(drifted.Root()), goLines) == "" {
				t.Error("got no difference")
			}
		})
	}
}

func lineDiff(want, got []string) string {
	if slices.Equal(want, got) {
		return ""
	}
	var b strings.Builder
	for i := range max(len(want), len(got)) {
		var w, g string
		if i < len(want) {
			w = want[i]
		}
		if i < len(got) {
			g = got[i]
		}
		if w != g {
			fmt.Fprintf(&b, "- %s\n+ %s\n", w, g)
		}
	}
	return b.String()
}
