package schemas_test

import (
	"bytes"
	"encoding/hex"
	"flag"
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/linkedin/goavro/v2"
	"github.com/twmb/avro"

	"firehose/schemas"
)

var update = flag.Bool("update", false, "rewrite testdata/golden")

// sample is a value that has golden bytes under every version of its schema.
type sample struct {
	name  string
	value any // pointer to the topic's Go type
}

func ptr[T any](v T) *T { return &v }

var (
	noon  = time.Date(1997, 6, 30, 12, 0, 0, 123456000, time.UTC)
	early = time.Date(1900, 1, 1, 0, 0, 0, 1000, time.UTC)
	late  = time.Date(9999, 12, 31, 23, 59, 59, 999999000, time.UTC)
)

// samples holds an ordinary and an extreme value of each type: nulls, empty
// arrays, the ends of each number's range, text beyond ASCII.
var samples = map[string][]sample{
	schemas.TopicCustomers: {
		{"ordinary", &schemas.Customer{CustomerID: "c-1", Version: 2, Name: "Ada Lovelace", Email: ptr("ada@example.com"),
			Country: "GB", Newsletter: true, RegisteredAt: noon, UpdatedAt: noon.Add(time.Hour)}},
		{"extreme", &schemas.Customer{CustomerID: "ключ-🎵", Version: math.MaxInt64, RegisteredAt: early, UpdatedAt: late}},
	},
	schemas.TopicProducts: {
		{"ordinary", &schemas.Product{SKU: "CD-01177", Version: 1, Name: "Kind of Blue", Category: "music", PriceCents: 1177,
			WeightKg: 0.1, Rating: ptr(4.75), Active: true, Tags: []string{"cd", "jazz"}, ListedAt: noon, UpdatedAt: noon}},
		{"extreme", &schemas.Product{SKU: "x", Version: math.MinInt64, PriceCents: math.MaxInt64, WeightKg: math.SmallestNonzeroFloat64,
			Tags: []string{}, ListedAt: early, UpdatedAt: late}},
	},
	schemas.TopicOrders: {
		{"ordinary", &schemas.Order{OrderID: "o-1", Version: 3, CustomerID: "c-1", Status: schemas.OrderStatusShipped,
			Lines: []schemas.OrderLine{
				{SKU: "CD-01177", Quantity: 2, UnitPriceCents: 1177, AmountCents: 2354},
				{SKU: "CD-01199", Quantity: 1, UnitPriceCents: 1199, AmountCents: 1199},
				{SKU: "CD-00333", Quantity: 3, UnitPriceCents: 333, AmountCents: 1000},
			},
			Units: 6, TotalCents: 4553, Currency: "USD", Note: ptr("as a gift, please"), PlacedAt: noon, UpdatedAt: noon.Add(time.Minute),
			Channel: schemas.ChannelApp}},
		{"extreme", &schemas.Order{OrderID: "x", Version: 1, Status: schemas.OrderStatusCancelled, Lines: []schemas.OrderLine{},
			Units: math.MinInt32, TotalCents: math.MinInt64, PlacedAt: early, UpdatedAt: late, Channel: schemas.ChannelPhone}},
	},
	schemas.TopicPayments: {
		{"ordinary", &schemas.Payment{PaymentID: "p-1", OrderID: "o-1", CustomerID: "c-1", AmountCents: 4553, Currency: "USD",
			Method: schemas.PaymentMethodCard, PaidAt: noon}},
		{"extreme", &schemas.Payment{PaymentID: "x", OrderID: "x", AmountCents: math.MinInt64, Method: schemas.PaymentMethodVoucher, PaidAt: early}},
	},
	schemas.TopicShipments: {
		{"ordinary", &schemas.Shipment{ShipmentID: "s-1", OrderID: "o-1", CustomerID: "c-1", Units: 6, WeightKg: 0.6,
			Carrier: ptr("DHL"), ShippedAt: noon}},
		{"extreme", &schemas.Shipment{ShipmentID: "x", OrderID: "x", Units: math.MaxInt32, WeightKg: math.Inf(1), ShippedAt: late}},
	},
	schemas.TopicStockMovements: {
		{"ordinary", &schemas.StockMovement{MovementID: "m-1", SKU: "CD-01177", Quantity: -2, Reason: schemas.MovementReasonSold,
			OrderID: ptr("o-1"), MovedAt: noon}},
		{"extreme", &schemas.StockMovement{MovementID: "x", SKU: "x", Quantity: math.MaxInt64, Reason: schemas.MovementReasonAdjusted, MovedAt: late}},
	},
}

// asOf returns what a reader of the latest schema sees of a value written under
// version n: fields that came later hold their default.
func asOf(s *schemas.Schema, value any) any {
	if order, ok := value.(*schemas.Order); ok && s.N < 2 {
		old := *order
		old.Channel = schemas.ChannelUnknown
		return &old
	}
	return value
}

// eachVersion runs f for every version of every topic.
func eachVersion(t *testing.T, f func(*testing.T, *schemas.Topic, *schemas.Schema)) {
	for _, topic := range schemas.Shop().Topics() {
		for _, s := range topic.Versions {
			t.Run(fmt.Sprintf("%s.v%d", s.Topic, s.N), func(t *testing.T) { f(t, topic, s) })
		}
	}
}

func goldenPath(s *schemas.Schema) string {
	return filepath.Join("testdata", "golden", fmt.Sprintf("%s.v%d.txt", s.Topic, s.N))
}

// readGolden reads lines of "name hex".
func readGolden(t *testing.T, s *schemas.Schema) map[string][]byte {
	t.Helper()
	text, err := os.ReadFile(goldenPath(s))
	if err != nil {
		t.Fatalf("%v (go test -update writes it)", err)
	}
	golden := map[string][]byte{}
	for line := range strings.Lines(string(text)) {
		name, digits, _ := strings.Cut(strings.TrimSpace(line), " ")
		if golden[name], err = hex.DecodeString(digits); err != nil {
			t.Fatalf("%s: %s: %v", goldenPath(s), name, err)
		}
	}
	return golden
}

// Values are written today as they always were.
func TestGoldenEncode(t *testing.T) {
	eachVersion(t, func(t *testing.T, _ *schemas.Topic, s *schemas.Schema) {
		var text strings.Builder
		encoded := map[string][]byte{}
		for _, sample := range samples[s.Topic] {
			data, err := s.Avro.Encode(sample.value)
			if err != nil {
				t.Fatalf("%s: %v", sample.name, err)
			}
			encoded[sample.name] = data
			fmt.Fprintf(&text, "%s %x\n", sample.name, data)
		}
		if *update {
			if err := os.MkdirAll(filepath.Dir(goldenPath(s)), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(goldenPath(s), []byte(text.String()), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if diff := cmp.Diff(readGolden(t, s), encoded); diff != "" {
			t.Errorf("bytes (-golden +now):\n%s", diff)
		}
	})
}

// Whatever was ever written, today's reader understands.
func TestGoldenDecode(t *testing.T) {
	eachVersion(t, func(t *testing.T, topic *schemas.Topic, s *schemas.Schema) {
		reader, err := avro.Resolve(s.Avro, topic.Latest().Avro)
		if err != nil {
			t.Fatal(err)
		}
		golden := readGolden(t, s)
		for _, sample := range samples[s.Topic] {
			got := reflect.New(goTypes[s.Topic]).Interface()
			rest, err := reader.Decode(golden[sample.name], got)
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s: %v, %d bytes left", sample.name, err, len(rest))
			}
			if diff := cmp.Diff(asOf(s, sample.value), got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", sample.name, diff)
			}
		}
	})
}

// Readers deploy in any order: what is written today, each older reader
// understands.
func TestOlderReaders(t *testing.T) {
	eachVersion(t, func(t *testing.T, topic *schemas.Topic, s *schemas.Schema) {
		reader, err := avro.Resolve(topic.Latest().Avro, s.Avro)
		if err != nil {
			t.Fatal(err)
		}
		newest := readGolden(t, topic.Latest())
		for name, want := range readGolden(t, s) {
			var value any
			if rest, err := reader.Decode(newest[name], &value); err != nil || len(rest) != 0 {
				t.Fatalf("%s: %v, %d bytes left", name, err, len(rest))
			}
			if got, err := s.Avro.Encode(value); err != nil || !bytes.Equal(got, want) {
				t.Errorf("%s: got %x, %v, want %x", name, got, err, want)
			}
		}
	})
}

// Our bytes are anybody's bytes: goavro, which shares no code with our codec,
// reads ours and writes what we read.
func TestGoavroAgrees(t *testing.T) {
	eachVersion(t, func(t *testing.T, topic *schemas.Topic, s *schemas.Schema) {
		oracle, err := goavro.NewCodec(s.Text)
		if err != nil {
			t.Fatal(err)
		}
		reader, err := avro.Resolve(s.Avro, topic.Latest().Avro)
		if err != nil {
			t.Fatal(err)
		}
		golden := readGolden(t, s)
		for _, sample := range samples[s.Topic] {
			native, rest, err := oracle.NativeFromBinary(golden[sample.name])
			if err != nil || len(rest) != 0 {
				t.Fatalf("%s: goavro reads ours: %v, %d bytes left", sample.name, err, len(rest))
			}
			if diff := cmp.Diff(goavroNative(t, s, sample.value), native); diff != "" {
				t.Errorf("%s: goavro reads ours (-want +got):\n%s", sample.name, diff)
			}
			theirs, err := oracle.BinaryFromNative(nil, native)
			if err != nil {
				t.Fatalf("%s: goavro writes: %v", sample.name, err)
			}
			got := reflect.New(goTypes[s.Topic]).Interface()
			if rest, err := reader.Decode(theirs, got); err != nil || len(rest) != 0 {
				t.Fatalf("%s: we read goavro's: %v, %d bytes left", sample.name, err, len(rest))
			}
			if diff := cmp.Diff(asOf(s, sample.value), got); diff != "" {
				t.Errorf("%s: we read goavro's (-want +got):\n%s", sample.name, diff)
			}
		}
	})
}

// goavroNative returns the value as goavro represents it, built from the Go
// value and not from bytes.
func goavroNative(t *testing.T, s *schemas.Schema, value any) any {
	t.Helper()
	native := toNative(reflect.ValueOf(value).Elem()).(map[string]any)
	known := s.Avro.Root().Fields
	maps.DeleteFunc(native, func(name string, _ any) bool {
		return !slices.ContainsFunc(known, func(f avro.SchemaField) bool { return f.Name == name })
	})
	return native
}

func toNative(v reflect.Value) any {
	if at, ok := v.Interface().(time.Time); ok {
		return at
	}
	switch v.Kind() {
	case reflect.Struct:
		record := map[string]any{}
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get("avro"), ",")
			record[name] = toNative(v.Field(i))
		}
		return record
	case reflect.Slice:
		items := make([]any, v.Len())
		for i := range items {
			items[i] = toNative(v.Index(i))
		}
		return items
	case reflect.Pointer:
		if v.IsNil() {
			return nil
		}
		branch := map[reflect.Kind]string{reflect.String: "string", reflect.Float64: "double"}[v.Elem().Kind()]
		return map[string]any{branch: toNative(v.Elem())}
	case reflect.String:
		return v.String()
	default:
		return v.Interface()
	}
}

// No golden file is left behind when a schema is renamed, and none is missing.
func TestGoldenFilesAreAll(t *testing.T) {
	var want []string
	for _, topic := range schemas.Shop().Topics() {
		for _, s := range topic.Versions {
			want = append(want, goldenPath(s))
		}
	}
	got, err := filepath.Glob(filepath.Join("testdata", "golden", "*"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(want)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("golden files (-want +got):\n%s", diff)
	}
}
