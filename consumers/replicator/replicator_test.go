package replicator_test

import (
	"flag"
	"fmt"
	"io"
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"firehose"
	"firehose/consumers/replicator"
	"firehose/firehosetest"
	"firehose/schemas"
)

func TestMain(m *testing.M) { firehosetest.Main(m) }

var at = time.Date(2024, 5, 1, 12, 0, 0, 0, time.UTC)

func order(version int64, status schemas.OrderStatus) firehose.Outgoing {
	return firehose.Outgoing{Type: schemas.OrderPlaced, Data: &schemas.Order{
		OrderID: "o-1", Version: version, CustomerID: "c-1", Status: status,
		Lines: []schemas.OrderLine{{SKU: "CD-1", Quantity: 2, UnitPriceCents: 1177, AmountCents: 2354}},
		Units: 2, TotalCents: 2354, Currency: "USD", PlacedAt: at, UpdatedAt: at, Channel: schemas.ChannelApp,
	}}
}

func TestShop(t *testing.T) {
	cluster := firehosetest.Start(t, schemas.Shop())
	service := cluster.Run(replicator.Service())
	rating := 4.5
	cluster.Publish(
		order(1, schemas.OrderStatusPlaced), order(3, schemas.OrderStatusShipped), order(2, schemas.OrderStatusPaid),
		firehose.Outgoing{Type: schemas.ProductListed, Data: &schemas.Product{SKU: "CD-1", Version: 1, Name: "CD", Rating: &rating, Active: true, ListedAt: at, UpdatedAt: at}},
		firehose.Outgoing{Type: schemas.CustomerRegistered, Data: &schemas.Customer{CustomerID: "c-1", Version: 1, RegisteredAt: at, UpdatedAt: at}},
		firehose.Outgoing{Type: schemas.CustomerChanged, Delete: true, Key: "c-1", Version: 2},
	)
	service.Wait()
	want := [][]any{{
		"o-1", int64(3), "c-1", "SHIPPED", `[{"sku":"CD-1","quantity":2,"unit_price_cents":1177,"amount_cents":2354}]`,
		int64(2), int64(2354), "USD", nil, "2024-05-01T12:00:00.000000Z", "2024-05-01T12:00:00.000000Z", "APP",
	}}
	if diff := cmp.Diff(want, service.Query("SELECT * FROM shop_orders")); diff != "" {
		t.Errorf("shop_orders (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]any{{"CD-1", 4.5, int64(1), "[]"}}, service.Query("SELECT sku, rating, active, tags FROM shop_products")); diff != "" {
		t.Errorf("shop_products (-want +got):\n%s", diff)
	}
	if got := service.Value("SELECT COUNT(*) FROM shop_customers"); got != int64(0) {
		t.Errorf("shop_customers: got %v live rows, want none: it was deleted", got)
	}
	if diff := cmp.Diff([][]any{{"c-1", int64(2), int64(1)}},
		service.Query("SELECT customer_id, firehose_version, firehose_deleted FROM firehose_shop_customers")); diff != "" {
		t.Errorf("firehose_shop_customers (-want +got):\n%s", diff)
	}
}

// account is a schema of nobody's code. Version 2 has more fields.
func account(t *testing.T, versions int) *schemas.Set {
	t.Helper()
	added := []string{"",
		`,{"name":"tier","type":{"type":"enum","name":"Tier","symbols":["BASIC","GOLD"],"default":"BASIC"},"default":"BASIC"}
		 ,{"name":"limits","type":{"type":"map","values":"long"},"default":{}}
		 ,{"name":"firehose_version","type":["null","double"],"default":null}`,
	}
	var all []*schemas.Schema
	for n := range versions {
		s, err := schemas.Parse(fmt.Sprintf(`{"type":"record","name":"Account","namespace":"bank","firehose":{"topic":"bank.open-accounts","kind":"entity",
			"key":"number","version":"version","types":["bank.account.changed"],"partitions":1},
			"fields":[{"name":"number","type":"long"},{"name":"version","type":"long"},{"name":"owner","type":"string"}%s]}`, added[n]), n+1)
		if err != nil {
			t.Fatal(err)
		}
		all = append(all, s)
	}
	set, err := schemas.NewSet(all...)
	if err != nil {
		t.Fatal(err)
	}
	return set
}

func changed(number, version int64, owner string, more map[string]any) firehose.Outgoing {
	data := map[string]any{"number": number, "version": version, "owner": owner}
	for k, v := range more {
		data[k] = v
	}
	return firehose.Outgoing{ID: fmt.Sprintf("%d/%d", number, version), Type: "bank.account.changed", Time: at, Data: data}
}

func TestTopicKnownFromTheRegistryGrows(t *testing.T) {
	cluster := firehosetest.Start(t, account(t, 1))
	service := cluster.Run(replicator.Service("bank.open-accounts"))
	cluster.Publish(changed(7, 1, "Ann", nil), changed(8, 1, "Bob", nil), changed(10, 1, "Dan", nil))
	service.Wait()

	// A version that the running service has never heard of, among others.
	old := changed(10, 2, "Dan Z", nil)
	cluster.Publish(old)
	cluster.Add(account(t, 2))
	gold := map[string]any{"tier": "GOLD", "limits": map[string]any{"b": int64(2), "a": int64(1)}, "firehose_version": 0.5}
	cluster.Publish(
		changed(8, 2, "Bob", gold),
		changed(9, 1, "Cyd", gold),
		firehose.Outgoing{Type: "bank.account.changed", Delete: true, Key: "9", Version: 2},
	)
	service.Wait()
	want := [][]any{
		{int64(7), int64(1), "Ann", "BASIC", "{}", nil},
		{int64(8), int64(2), "Bob", "GOLD", `{"a":1,"b":2}`, 0.5},
		{int64(10), int64(2), "Dan Z", "BASIC", "{}", nil},
	}
	const query = "SELECT number, version, owner, tier, limits, field_firehose_version FROM bank_open_accounts ORDER BY number"
	if diff := cmp.Diff(want, service.Query(query)); diff != "" {
		t.Errorf("bank_open_accounts (-want +got):\n%s", diff)
	}
	hash := service.Hash()
	service.Stop()

	// Started again it goes on, and one that begins with both versions agrees.
	service = cluster.Run(replicator.Service("bank.open-accounts"))
	if got := service.Hash(); got != hash {
		t.Errorf("hash after a restart: got %s, want %s", got, hash)
	}
	service.Wait()
	for _, other := range []struct {
		name string
		set  *schemas.Set
	}{
		{"from-the-registry", nil},
		{"compiled-with-1", account(t, 1)}, // its first batch holds rows of both shapes
		{"compiled-with-2", account(t, 2)},
	} {
		rebuilt := cluster.Run(firehose.Service{
			Name: other.name, Schemas: other.set, Projections: []firehose.Projection{firehose.Replica("bank.open-accounts")},
		})
		rebuilt.Wait()
		if diff := cmp.Diff(want, rebuilt.Query(query)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", other.name, diff)
		}
		if got := rebuilt.Hash(); got != hash {
			t.Errorf("%s: hash: got %s, want %s", other.name, got, hash)
		}
	}
	if got := service.DeadLetters(); len(got) != 0 {
		t.Errorf("dead letters: got %v, want none", got)
	}
}

func TestBadRecordsAreSetAside(t *testing.T) {
	cluster := firehosetest.Start(t, schemas.Shop())
	service := cluster.Run(replicator.Service(schemas.TopicProducts))
	topic, _ := schemas.Shop().Topic(schemas.TopicProducts)
	framed := func(p *schemas.Product) []byte {
		value, err := topic.Latest().Avro.Encode(p)
		if err != nil {
			t.Fatal(err)
		}
		return append([]byte{0, 0, 0, 0, byte(cluster.SchemaID(schemas.TopicProducts))}, value...)
	}
	good := schemas.Product{SKU: "good", Version: 1, Name: "CD", ListedAt: at, UpdatedAt: at}
	with := func(change func(p *schemas.Product)) []byte {
		p := good
		p.SKU = "bad"
		change(&p)
		return framed(&p)
	}
	tests := []struct {
		class string
		value []byte
	}{
		{"value_refused", with(func(p *schemas.Product) { p.WeightKg = math.NaN() })},
		{"value_refused", with(func(p *schemas.Product) { nan := math.NaN(); p.Rating = &nan })},
		{"value_refused", with(func(p *schemas.Product) { p.Name = "a\x00b" })},
		{"value_refused", with(func(p *schemas.Product) { p.Tags = []string{"a", "\xff"} })},
		{"value_refused", with(func(p *schemas.Product) { p.ListedAt = time.UnixMicro(math.MaxInt64) })},
		{"undecodable", append(with(func(*schemas.Product) {}), 0)},
		{"undecodable", with(func(*schemas.Product) {})[:20]},
		{"undecodable", []byte{}},
		{"bad_key", framed(&good)},
		{"unknown_schema", []byte{0, 0, 0, 0x27, 0x0f, 2, 2}},
	}
	var want []string
	for _, tt := range tests {
		cluster.Produce(firehosetest.Record{Topic: schemas.TopicProducts, Key: "bad", Value: tt.value})
		want = append(want, tt.class)
	}
	cluster.Produce(firehosetest.Record{Topic: schemas.TopicProducts, Key: "good", Value: framed(&good)})
	service.Wait()
	var got []string
	for _, d := range service.DeadLetters() {
		got = append(got, d.Class)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dead letters (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([][]any{{"good"}}, service.Query("SELECT sku FROM shop_products")); diff != "" {
		t.Errorf("shop_products (-want +got):\n%s", diff)
	}
}

func TestTopicsFlag(t *testing.T) {
	tests := []struct {
		args []string
		want []string // nil: refused
	}{
		{nil, []string{"shop.customers", "shop.orders", "shop.products"}},
		{[]string{"--topics", "shop.orders"}, []string{"shop.orders"}},
		{[]string{"--topics", "c.d, a.b", "--topics", "e.f"}, []string{"a.b", "c.d", "e.f"}},
		{[]string{"--topics", ""}, nil},
		{[]string{"--topics", "a.b,a.b"}, nil},
	}
	for _, tt := range tests {
		p := replicator.Program()
		f := flag.NewFlagSet("replicator", flag.ContinueOnError)
		f.SetOutput(io.Discard)
		p.Flags(f)
		if err := f.Parse(tt.args); err != nil {
			if tt.want != nil {
				t.Errorf("%q: %v", tt.args, err)
			}
			continue
		}
		s, err := p.Service()
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(tt.want, s.Topics()); diff != "" {
			t.Errorf("%q: topics (-want +got):\n%s", tt.args, diff)
		}
	}
}
