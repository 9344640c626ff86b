package cdnow

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose/internal/publish"
	"firehose/schemas"
)

// The data set is the published one, to the byte.
func TestWriteCSV(t *testing.T) {
	hash := sha256.New()
	var lines lineCounter
	if err := WriteCSV(io.MultiWriter(hash, &lines)); err != nil {
		t.Fatal(err)
	}
	const want = "20cf878728ca9a6684c72c9c3e1bfa12fb39f9d5daa5cf44b3f6956bce4acc6e"
	if got := hex.EncodeToString(hash.Sum(nil)); got != want {
		t.Errorf("sha256: got %s, want %s", got, want)
	}
	if int(lines) != TotalPurchases+1 {
		t.Errorf("lines: got %d, want %d", lines, TotalPurchases+1)
	}
}

type lineCounter int

func (c *lineCounter) Write(p []byte) (int, error) {
	*c += lineCounter(bytes.Count(p, []byte("\n")))
	return len(p), nil
}

func TestUnpackRefuses(t *testing.T) {
	zip := func(text string) string {
		var b bytes.Buffer
		z := gzip.NewWriter(&b)
		if _, err := io.WriteString(z, text); err != nil {
			t.Fatal(err)
		}
		if err := z.Close(); err != nil {
			t.Fatal(err)
		}
		return b.String()
	}
	for _, tt := range []struct{ name, data, want string }{
		{"not gzip", "*0,1,1177\n", "gzip"},
		{"cut short", zip("*0,1,1177\n")[:20], "unexpected EOF"},
		{"days", zip("*0,1,1177\nx,1,1\n"), "line 2: days"},
		{"days going back", zip("*0,1,1177\n-1,1,1\n"), "line 2: days"},
		{"no units", zip("*0\n"), "line 1: units"},
		{"zero units", zip("*0,0,1177\n"), "line 1: units"},
		{"no cents", zip("*0,1\n"), "line 1: cents"},
		{"negative cents", zip("*0,1,-5\n"), "line 1: cents"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			err := unpack(strings.NewReader(tt.data), func(Purchase) bool { return true })
			if err == nil || !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got error %v, want it to say %q", err, tt.want)
			}
		})
	}
}

func TestUnitPrice(t *testing.T) {
	for _, tt := range []struct {
		units       int32
		cents, want int64
	}{
		{1, 1177, 1177}, {5, 7700, 1540}, {2, 2076, 1038}, {1, 0, 0}, {3, 0, 0},
		{2, 3, 2},   // 1.5: half up
		{3, 4, 1},   // 1.33
		{3, 5, 2},   // 1.67
		{99, 49, 0}, // 0.49
	} {
		if got := (Purchase{Units: tt.units, Cents: tt.cents}).unitPrice(); got != tt.want {
			t.Errorf("%d for %d cents: got %d, want %d", tt.units, tt.cents, got, tt.want)
		}
	}
}

// books is a plain reading of the stream, as its consumers would keep it.
type books struct {
	byTopic       map[string]int
	customers     map[string]bool
	products      map[string]bool
	orders        map[string]*schemas.Order
	paid, shipped map[string]bool
	zero          int
	cents         int64
	unitsSold     int64
	unitsShipped  int64
	onHand        map[string]int64
}

func TestEvents(t *testing.T) {
	days := make(map[string]int, TotalPurchases) // by order
	for p := range Purchases() {
		days["cdnow-o"+digits(p.Line)] = p.Day
	}
	b := books{byTopic: map[string]int{}, customers: map[string]bool{}, products: map[string]bool{},
		orders: map[string]*schemas.Order{}, paid: map[string]bool{}, shipped: map[string]bool{}, onHand: map[string]int64{}}
	ids := make(map[string]bool, 500_000)
	hash := sha256.New()
	var last time.Time
	var next int64
	var encoded, buf []byte
	for index, e := range Events() {
		if index != next {
			t.Fatalf("index: got %d, want %d", index, next)
		}
		next++
		if !e.Time.After(last) {
			t.Fatalf("event %d (%s): at %v, not after %v", index, e.Type, e.Time, last)
		}
		last = e.Time
		// Dates are the record's own.
		if day, ok := days[e.CorrelationID]; e.CorrelationID != "" && (!ok || int(e.Time.Sub(firstDay)/(24*time.Hour)) != day) {
			t.Fatalf("event %d of %s: at %v, want on day %d", index, e.CorrelationID, e.Time, day)
		}
		if ids[e.ID] {
			t.Fatalf("event %d (%s): its ID is there twice", index, e.Type)
		}
		ids[e.ID] = true
		topic, ok := schemas.Shop().ByType(e.Type)
		if !ok {
			t.Fatalf("event %d: unknown type %s", index, e.Type)
		}
		b.byTopic[topic.Topic]++
		var err error
		if encoded, err = topic.Latest().Avro.AppendEncode(encoded[:0], e.Data); err != nil {
			t.Fatalf("event %d (%s): %v", index, e.Type, err)
		}
		buf = buf[:0]
		for _, s := range []string{e.ID, e.Source, e.Type, e.Subject, e.CorrelationID, e.CausationID} {
			buf = append(append(buf, s...), ' ')
		}
		buf = binary.BigEndian.AppendUint64(buf, uint64(e.Sequence))
		buf = binary.BigEndian.AppendUint64(buf, uint64(e.Time.UnixMicro()))
		hash.Write(append(buf, encoded...))
		if err := b.read(e); err != nil {
			t.Fatalf("event %d: %v", index, err)
		}
	}

	want := map[string]int{
		schemas.TopicCustomers: TotalCustomers, schemas.TopicProducts: 2727, schemas.TopicOrders: 3 * TotalPurchases,
		schemas.TopicPayments: TotalPurchases, schemas.TopicShipments: TotalPurchases,
		schemas.TopicStockMovements: TotalPurchases + 8386,
	}
	if diff := cmp.Diff(want, b.byTopic); diff != "" {
		t.Errorf("events by topic (-want +got):\n%s", diff)
	}
	if got := len(b.orders); got != TotalPurchases {
		t.Errorf("orders: got %d, want %d", got, TotalPurchases)
	}
	var total int64
	for id, o := range b.orders {
		if o.Version != 3 || o.Status != schemas.OrderStatusShipped || !b.paid[id] || !b.shipped[id] {
			t.Fatalf("order %s: version %d, %s, paid %t, shipped %t", id, o.Version, o.Status, b.paid[id], b.shipped[id])
		}
		total += o.TotalCents
	}
	for _, tt := range []struct {
		what      string
		got, want int64
	}{
		{"cents ordered", total, TotalCents}, {"cents paid", b.cents, TotalCents},
		{"units sold", b.unitsSold, TotalUnits}, {"units shipped", b.unitsShipped, TotalUnits},
		{"payments of zero", int64(b.zero), 80},
		{"customers", int64(len(b.customers)), TotalCustomers}, {"products", int64(len(b.products)), 2727},
	} {
		if tt.got != tt.want {
			t.Errorf("%s: got %d, want %d", tt.what, tt.got, tt.want)
		}
	}
	if got := hex.EncodeToString(hash.Sum(nil)); got != goldenHash {
		t.Errorf("hash of all %d events: got %s, want %s", next, got, goldenHash)
	}
	if next != TotalEvents {
		t.Errorf("events: got %d, want %d", next, TotalEvents)
	}
}

// goldenHash is the SHA-256 over envelopes and encoded data of all events. It
// changes when what is replayed changes; then a log holds both.
const goldenHash = "cfd28f1d337b7b62c44991caa65d2721655640d9ea48ea1ebc9d8c511578b23f"

// read takes one event into the books and checks what must hold at each point.
func (b *books) read(e *publish.Event) error {
	switch v := e.Data.(type) {
	case *schemas.Customer:
		if e.Subject != v.CustomerID || e.Sequence != 1 || b.customers[v.CustomerID] || !v.UpdatedAt.Equal(e.Time) {
			return fmt.Errorf("customer %+v of %+v", v, e.Envelope)
		}
		b.customers[v.CustomerID] = true
	case *schemas.Product:
		if e.Subject != v.SKU || e.Sequence != 1 || b.products[v.SKU] || v.SKU != "CD-"+digits(int(v.PriceCents)) || !v.UpdatedAt.Equal(e.Time) {
			return fmt.Errorf("product %+v of %+v", v, e.Envelope)
		}
		b.products[v.SKU] = true
	case *schemas.Order:
		before := b.orders[v.OrderID]
		if e.Subject != v.OrderID || e.Sequence != v.Version || !v.UpdatedAt.Equal(e.Time) || !b.customers[v.CustomerID] {
			return fmt.Errorf("order %+v of %+v", v, e.Envelope)
		}
		if (before == nil) != (v.Version == 1) || before != nil && v.Version != before.Version+1 {
			return fmt.Errorf("order %+v follows %+v", v, before)
		}
		var units int32
		var cents int64
		for _, l := range v.Lines {
			units += l.Quantity
			cents += l.AmountCents
			if !b.products[l.SKU] {
				return fmt.Errorf("order %s: product %s is not listed", v.OrderID, l.SKU)
			}
		}
		if units != v.Units || cents != v.TotalCents {
			return fmt.Errorf("order %s: %d units and %d cents, its lines have %d and %d", v.OrderID, v.Units, v.TotalCents, units, cents)
		}
		b.orders[v.OrderID] = v
	case *schemas.Payment:
		if e.Subject != v.OrderID || e.HasSequence || b.paid[v.OrderID] || v.AmountCents != b.orders[v.OrderID].TotalCents {
			return fmt.Errorf("payment %+v of %+v", v, e.Envelope)
		}
		b.paid[v.OrderID] = true
		b.cents += v.AmountCents
		if v.AmountCents == 0 {
			b.zero++
		}
	case *schemas.Shipment:
		if e.Subject != v.OrderID || e.HasSequence || b.shipped[v.OrderID] {
			return fmt.Errorf("shipment %+v of %+v", v, e.Envelope)
		}
		b.shipped[v.OrderID] = true
		b.unitsShipped += int64(v.Units)
	case *schemas.StockMovement:
		b.onHand[v.SKU] += v.Quantity
		if e.Subject != v.SKU || e.HasSequence || !b.products[v.SKU] || b.onHand[v.SKU] < 0 {
			return fmt.Errorf("movement %+v of %+v leaves %d on hand", v, e.Envelope, b.onHand[v.SKU])
		}
		switch v.Reason {
		case schemas.MovementReasonSold:
			b.unitsSold -= v.Quantity
		case schemas.MovementReasonReceived:
			if v.Quantity <= 0 || v.Quantity%LotSize != 0 {
				return fmt.Errorf("received %d, want lots of %d", v.Quantity, LotSize)
			}
		default:
			return fmt.Errorf("reason %s", v.Reason)
		}
	default:
		return fmt.Errorf("data %T", v)
	}
	return nil
}

func TestEventsCanStop(t *testing.T) {
	for _, stop := range []int64{0, 2, 5, 1000} {
		n := int64(0)
		for index := range Events() {
			n++
			if index == stop {
				break
			}
		}
		if n != stop+1 {
			t.Errorf("got %d events, want %d", n, stop+1)
		}
	}
}

func BenchmarkEvents(b *testing.B) {
	n := 0
	b.ReportAllocs()
	for b.Loop() {
		for range Events() {
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "events/s")
}
