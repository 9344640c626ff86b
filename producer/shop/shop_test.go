package shop_test

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"

	"firehose/internal/publish"
	"firehose/producer/shop"
	"firehose/schemas"
)

func open(t testing.TB, cfg shop.Config) *shop.Shop {
	t.Helper()
	s, err := shop.New(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// take returns the next events, whole steps of them: n or a few more.
func take(s *shop.Shop, n int) []*publish.Event {
	var events []*publish.Event
	for len(events) < n {
		events = append(events, s.Step()...)
	}
	return events
}

// books is a plain reading of the stream, as its consumers would keep it.
type books struct {
	versions map[string]int64 // by topic and key
	orders   map[string]*schemas.Order
	balances map[string]int64 // by account
	owed     map[string]int64 // receivable by order
	onHand   map[string]int64
	held     map[string]int64 // units that customers hold, by order
	products map[string]*schemas.Product
	types    map[string]int
	ids      map[string]bool
	sold     map[string]int64
	last     time.Time
}

func newBooks() *books {
	return &books{versions: map[string]int64{}, orders: map[string]*schemas.Order{}, balances: map[string]int64{},
		owed: map[string]int64{}, onHand: map[string]int64{}, held: map[string]int64{},
		products: map[string]*schemas.Product{}, types: map[string]int{}, ids: map[string]bool{}, sold: map[string]int64{}}
}

// read takes one event into the books and checks what must hold at each point.
func (b *books) read(e *publish.Event) error {
	topic, ok := schemas.Shop().ByType(e.Type)
	if !ok {
		return fmt.Errorf("unknown type %s", e.Type)
	}
	if _, err := topic.Latest().Avro.Encode(e.Data); err != nil {
		return err
	}
	if b.ids[e.ID] {
		return fmt.Errorf("ID %s is there twice", e.ID)
	}
	if e.CausationID != "" && !b.ids[e.CausationID] {
		return fmt.Errorf("caused by %s, which nobody sent", e.CausationID)
	}
	b.ids[e.ID] = true
	if !e.Time.After(b.last) {
		return fmt.Errorf("at %v, not after %v", e.Time, b.last)
	}
	b.last = e.Time
	b.types[e.Type]++
	if topic.Kind == schemas.Entity {
		key := topic.Topic + " " + e.Subject
		if e.Sequence != b.versions[key]+1 {
			return fmt.Errorf("version %d follows %d", e.Sequence, b.versions[key])
		}
		b.versions[key] = e.Sequence
	}
	switch v := e.Data.(type) {
	case *schemas.Customer:
		return equal(e.Subject, v.CustomerID, e.Sequence, v.Version, e.Time, v.UpdatedAt)
	case *schemas.Product:
		b.products[v.SKU] = v
		return equal(e.Subject, v.SKU, e.Sequence, v.Version, e.Time, v.UpdatedAt)
	case *schemas.Order:
		return b.readOrder(e, v)
	case *schemas.Payment:
		b.balances["cash"] += v.AmountCents
		b.balances["receivable"] -= v.AmountCents
		b.owed[v.OrderID] -= v.AmountCents
		return equal(e.Subject, v.OrderID, e.Time, v.PaidAt)
	case *schemas.Shipment:
		if b.held[v.OrderID] != int64(v.Units) {
			return fmt.Errorf("%d units in the parcel, %d left the stock", v.Units, b.held[v.OrderID])
		}
		return equal(e.Subject, v.OrderID, e.Time, v.ShippedAt)
	case *schemas.StockMovement:
		b.onHand[v.SKU] += v.Quantity
		if b.onHand[v.SKU] < 0 || b.products[v.SKU] == nil {
			return fmt.Errorf("%d on hand of %s", b.onHand[v.SKU], v.SKU)
		}
		if v.OrderID != nil {
			b.held[*v.OrderID] -= v.Quantity
		}
		if v.Reason == schemas.MovementReasonSold {
			b.sold[v.SKU] -= v.Quantity
		}
		return equal(e.Subject, v.SKU, e.Time, v.MovedAt)
	default:
		return fmt.Errorf("data %T", v)
	}
}

func (b *books) readOrder(e *publish.Event, v *schemas.Order) error {
	before := b.orders[v.OrderID]
	var was int64
	if before != nil {
		was = before.TotalCents
	}
	var units, cents int64
	for _, l := range v.Lines {
		if b.products[l.SKU] == nil || l.AmountCents != l.UnitPriceCents*int64(l.Quantity) {
			return fmt.Errorf("line %+v", l)
		}
		units += int64(l.Quantity)
		cents += l.AmountCents
	}
	if v.Status == schemas.OrderStatusCancelled || v.Status == schemas.OrderStatusReturned {
		cents = 0
	}
	if units != int64(v.Units) || cents != v.TotalCents || b.versions[schemas.TopicCustomers+" "+v.CustomerID] == 0 {
		return fmt.Errorf("order %+v", v)
	}
	b.balances["receivable"] += v.TotalCents - was
	b.balances["revenue"] -= v.TotalCents - was
	b.owed[v.OrderID] += v.TotalCents - was
	b.orders[v.OrderID] = v
	// Whatever is not merely placed owes nothing.
	if v.Status != schemas.OrderStatusPlaced && b.owed[v.OrderID] != 0 {
		return fmt.Errorf("order %s is %s and owes %d", v.OrderID, v.Status, b.owed[v.OrderID])
	}
	return equal(e.Subject, v.OrderID, e.Sequence, v.Version, e.Time, v.UpdatedAt)
}

// equal compares pairs.
func equal(pairs ...any) error {
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i] != pairs[i+1] {
			return fmt.Errorf("envelope says %v, data %v", pairs[i], pairs[i+1])
		}
	}
	return nil
}

func TestBooksBalance(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := shop.Config{
			Seed:         rapid.Uint64().Draw(t, "seed"),
			Products:     rapid.IntRange(1, 200).Draw(t, "products"),
			MaxCustomers: rapid.IntRange(1, 50).Draw(t, "customers"),
			MaxOpen:      rapid.IntRange(1, 20).Draw(t, "open"),
		}
		s, err := shop.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		b := newBooks()
		for i, e := range take(s, 2000) {
			if err := b.read(e); err != nil {
				t.Fatalf("event %d, %s of %s: %v", i, e.Type, e.Subject, err)
			}
		}
		var sum, owed int64
		for _, cents := range b.balances {
			sum += cents
		}
		unsettled := 0
		for id, cents := range b.owed {
			owed += cents
			if o := b.orders[id]; o.Status == schemas.OrderStatusPlaced || o.Status == schemas.OrderStatusPaid {
				unsettled++
			}
		}
		if sum != 0 || owed != b.balances["receivable"] {
			t.Errorf("balances %v with %d owed: the sum is %d", b.balances, owed, sum)
		}
		if unsettled > cfg.MaxOpen {
			t.Errorf("%d open orders, want at most %d", unsettled, cfg.MaxOpen)
		}
		if got := len(b.products); got > cfg.Products {
			t.Errorf("%d products, want at most %d", got, cfg.Products)
		}
	})
}

// The shop has everything that happens in one.
func TestAllKindsOfEvent(t *testing.T) {
	b := newBooks()
	for _, e := range take(open(t, shop.Config{Seed: 1}), 50_000) {
		if err := b.read(e); err != nil {
			t.Fatal(err)
		}
	}
	for _, topic := range schemas.Shop().Topics() {
		for _, eventType := range topic.Types {
			if b.types[eventType] < 50 {
				t.Errorf("%s: got %d of 50,000, want at least 50", eventType, b.types[eventType])
			}
		}
	}
}

func TestSkew(t *testing.T) {
	b := newBooks()
	for _, e := range take(open(t, shop.Config{Seed: 1}), 40_000) {
		if err := b.read(e); err != nil {
			t.Fatal(err)
		}
	}
	var all []int64
	var total int64
	for _, units := range b.sold {
		all = append(all, units)
		total += units
	}
	slices.SortFunc(all, func(a, b int64) int { return int(b - a) })
	var hot int64
	for _, units := range all[:10] {
		hot += units
	}
	if share := 100 * hot / total; share < 25 || share > 60 {
		t.Errorf("the ten best of %d products sell %d %%, want about 40", len(all), share)
	}
	if len(all) < 600 {
		t.Errorf("%d products sold, want most of 1,000", len(all))
	}
}

func digest(events []*publish.Event) string {
	hash := sha256.New()
	for _, e := range events {
		topic, _ := schemas.Shop().ByType(e.Type)
		data, err := topic.Latest().Avro.Encode(e.Data)
		fmt.Fprintf(hash, "%+v %x %v\n", e.Envelope, data, err)
	}
	return hex.EncodeToString(hash.Sum(nil))
}

// The stream of a seed is the same for ever: a restarted simulation sends some
// of it again, and must not send something else under the same IDs.
func TestGolden(t *testing.T) {
	const want = "4d38fea0b33c1917fbe73f615700bd58ac746052c4f9737314c0745257df5ad2"
	if got := digest(take(open(t, shop.Config{Seed: 42}), 20_000)); got != want {
		t.Errorf("20,000 events of seed 42: got %s, want %s", got, want)
	}
}

func TestSeedsDiffer(t *testing.T) {
	seen := map[string]uint64{}
	for seed := range uint64(5) {
		for _, e := range take(open(t, shop.Config{Seed: seed}), 1000) {
			for _, name := range []string{e.ID, e.Type + " " + e.Subject} {
				if other, ok := seen[name]; ok && other != seed {
					t.Fatalf("%s is in the shops of seeds %d and %d", name, other, seed)
				}
				seen[name] = seed
			}
		}
	}
}

func TestRestoreGoesOn(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		cfg := shop.Config{Seed: rapid.Uint64().Draw(t, "seed"), Products: 30, MaxCustomers: 20, MaxOpen: 10,
			Start: time.Date(2020, 1, 2, 3, 4, 5, 6789, time.FixedZone("", 3600))}
		s, err := shop.New(cfg)
		if err != nil {
			t.Fatal(err)
		}
		take(s, rapid.IntRange(0, 1500).Draw(t, "before"))
		snapshot, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		want := take(s, 500)
		restored, err := shop.Restore(snapshot)
		if err != nil {
			t.Fatal(err)
		}
		if again, err := restored.Snapshot(); err != nil || !bytes.Equal(again, snapshot) {
			t.Fatalf("the restored shop's snapshot differs: %v", err)
		}
		if got := take(restored, 500); digest(got) != digest(want) {
			t.Fatalf("events after restoring (-want +got):\n%s", cmp.Diff(want, got))
		}
		if restored.Sequence() != s.Sequence() {
			t.Errorf("sequence: got %d, want %d", restored.Sequence(), s.Sequence())
		}
	})
}

func TestSnapshotIsBounded(t *testing.T) {
	s := open(t, shop.Config{Seed: 7, Products: 100, MaxCustomers: 500, MaxOpen: 50})
	size := func() int {
		b, err := s.Snapshot()
		if err != nil {
			t.Fatal(err)
		}
		return len(b)
	}
	take(s, 20_000) // all customers and products are there
	early := size()
	take(s, 60_000)
	if late := size(); late > early*11/10 {
		t.Errorf("snapshot: %d bytes after 20,000 events, %d after 80,000", early, late)
	}
}

func TestRestoreRefuses(t *testing.T) {
	s := open(t, shop.Config{Seed: 3})
	take(s, 100)
	snapshot, err := s.Snapshot()
	if err != nil {
		t.Fatal(err)
	}
	for name, data := range map[string][]byte{
		"nothing": nil, "cut short": snapshot[:len(snapshot)-9], "not a snapshot": []byte("hello, world"),
	} {
		if _, err := shop.Restore(data); err == nil || !strings.Contains(err.Error(), "restore the shop") {
			t.Errorf("%s: got error %v", name, err)
		}
	}
}

func TestConfig(t *testing.T) {
	for _, tt := range []struct {
		cfg  shop.Config
		want string
	}{
		{shop.Config{Products: -1}, "products -1"},
		{shop.Config{Products: 2_000_000}, "products 2000000"},
		{shop.Config{MaxCustomers: -1}, "max customers -1"},
		{shop.Config{MaxOpen: -1}, "max open orders -1"},
		{shop.Config{Start: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)}, "start 9999"},
	} {
		if _, err := shop.New(tt.cfg); err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("%+v: got error %v, want it to say %q", tt.cfg, err, tt.want)
		}
	}
	if !(shop.Config{Seed: 1}).Equal(shop.Config{Seed: 1, Products: 1000}) {
		t.Error("a default that is said differs from one that is not")
	}
	if (shop.Config{Seed: 1}).Equal(shop.Config{Seed: 2}) || (shop.Config{}).Equal(shop.Config{Start: time.Now()}) {
		t.Error("different shops are equal")
	}
}

func BenchmarkStep(b *testing.B) {
	s := open(b, shop.Config{Seed: 1})
	b.ReportAllocs()
	for b.Loop() {
		s.Step()
	}
	b.ReportMetric(float64(s.Sequence())/b.Elapsed().Seconds(), "events/s")
}
