package hostile_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"net/http"
	"slices"
	"testing"
	"time"

	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/consumers/billing"
	"firehose/consumers/inventory"
	"firehose/consumers/replicator"
	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/schemas"
)

// hand writes records as anybody can who reaches the broker: of any bytes, to
// any partition.
type hand struct {
	*kgo.Client
	t           *testing.T
	registryURL string
	registry    *codec.Registry
}

func (p *process) hand() *hand {
	p.t.Helper()
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{p.broker}}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(client.Close)
	registry, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{p.registry}})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(registry.Close)
	return &hand{client, p.t, p.registry, registry}
}

func (h *hand) write(records ...*kgo.Record) {
	h.t.Helper()
	if err := h.ProduceSync(h.t.Context(), records...).FirstErr(); err != nil {
		h.t.Fatal(err)
	}
}

// value frames what bare Avro makes of v, which checks less than we do.
func (h *hand) value(topic string, v any) []byte {
	h.t.Helper()
	contract, ok := schemas.Shop().Topic(topic)
	if !ok {
		h.t.Fatal(topic)
	}
	schema := contract.Latest()
	id, err := h.registry.Lookup(h.t.Context(), schema)
	if err != nil {
		h.t.Fatal(err)
	}
	parsed, err := avro.Parse(schema.Text)
	if err != nil {
		h.t.Fatal(err)
	}
	value, err := parsed.AppendEncode(codec.AppendFrame(nil, id), v)
	if err != nil {
		h.t.Fatal(err)
	}
	return value
}

// topicUnderAttack is a topic, good data for a key, and what counts the good
// that its services have.
type topicUnderAttack struct {
	topic  string
	data   func(key string) any
	counts map[string]string // service → query
}

var at = time.Date(2026, 1, 2, 15, 4, 5, 0, time.UTC)

var attacked = []topicUnderAttack{
	{schemas.TopicCustomers, func(key string) any {
		return &schemas.Customer{CustomerID: key, Version: 1, Name: secret, Email: new(person), Country: "DE", RegisteredAt: at, UpdatedAt: at}
	}, map[string]string{"replicator": "SELECT COUNT(*) FROM shop_customers"}},
	{schemas.TopicProducts, func(key string) any {
		return &schemas.Product{SKU: key, Version: 1, Name: secret, Category: person, WeightKg: 0.5, Tags: []string{secret}, ListedAt: at, UpdatedAt: at}
	}, map[string]string{"replicator": "SELECT COUNT(*) FROM shop_products"}},
	{schemas.TopicOrders, func(key string) any {
		return &schemas.Order{OrderID: key, Version: 1, CustomerID: person, Status: schemas.OrderStatusPlaced, TotalCents: 100,
			Currency: "USD", Note: new(secret), PlacedAt: at, UpdatedAt: at, Channel: schemas.ChannelWeb}
	}, map[string]string{
		"replicator": "SELECT COUNT(*) FROM shop_orders",
		"billing":    "SELECT COUNT(*) FROM ledger WHERE entry = 'order' AND account = 'revenue' AND cents = -100",
	}},
	{schemas.TopicPayments, func(key string) any {
		return &schemas.Payment{PaymentID: key, OrderID: key, CustomerID: person, AmountCents: 1, Currency: "USD",
			Method: schemas.PaymentMethodCard, PaidAt: at}
	}, map[string]string{"billing": "SELECT SUM(cents) FROM balances WHERE account = 'cash'"}},
	{schemas.TopicStockMovements, func(key string) any {
		return &schemas.StockMovement{MovementID: key, SKU: key, Quantity: 1, Reason: schemas.MovementReasonReceived,
			OrderID: new(secret), MovedAt: at}
	}, map[string]string{"inventory": "SELECT SUM(on_hand) FROM stock"}},
}

// badRecord is a record to be set aside, and as what.
type badRecord struct {
	name, class string
	value       []byte
	header      kgo.RecordHeader // instead of none
}

// badRecords are those for a topic; good is a good value of it.
func (h *hand) badRecords(topic string, good []byte) []badRecord {
	framed := func(payload ...byte) []byte { return append(slices.Clone(good[:5]), payload...) }
	bad := []badRecord{
		{name: "a schema that has nothing of ours", class: "incompatible", value: append(codec.AppendFrame(nil, h.register("foreign-value", foreign)), 2, 'x')},
		{name: "empty", class: "undecodable", value: []byte{}},
		{name: "no magic byte", class: "undecodable", value: []byte(secret + person)},
		{name: "JSON", class: "undecodable", value: []byte(`{"email":"` + person + `"}`)},
		{name: "magic byte alone", class: "undecodable", value: []byte{0}},
		{name: "schema ID cut off", class: "undecodable", value: good[:4]},
		{name: "no payload", class: "undecodable", value: good[:5]},
		{name: "unknown schema ID", class: "unknown_schema", value: append([]byte{0, 0x7f, 0xff, 0xff, 0xff}, good[5:]...)},
		{name: "truncated", class: "undecodable", value: good[:len(good)-1]},
		{name: "trailing bytes", class: "undecodable", value: append(slices.Clone(good), secret...)},
		// The first field is a string of 2 GiB, says its length.
		{name: "a bomb of 5 bytes", class: "undecodable", value: framed(0xfe, 0xff, 0xff, 0xff, 0x0f)},
		{name: "a bomb of a negative length", class: "undecodable", value: framed(0xff, 0xff, 0xff, 0xff, 0x0f)},
		{name: "a bomb of the longest length", class: "undecodable", value: framed(0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01)},
		{name: "a million zeros", class: "undecodable", value: framed(make([]byte, 900_000)...)},
		{name: "a header that is not what it says", class: "bad_header", value: good, header: kgo.RecordHeader{Key: "ce_time", Value: []byte(secret)}},
		{name: "a header with a byte too many", class: "bad_header", value: good, header: kgo.RecordHeader{Key: "ce_sequence", Value: []byte(person)}},
		{name: "another key than the value's", class: "bad_key", value: good},
	}
	switch topic {
	case schemas.TopicProducts:
		weightless := attacked[1].data("bad").(*schemas.Product)
		weightless.WeightKg = math.NaN()
		rated := attacked[1].data("bad").(*schemas.Product)
		rated.Rating = new(math.NaN())
		tags, err := avro.MustParse(`{"type":"record","name":"Head","fields":[{"name":"sku","type":"string"},{"name":"version","type":"long"},
			{"name":"name","type":"string"},{"name":"category","type":"string"},{"name":"price_cents","type":"long"},
			{"name":"weight_kg","type":"double"},{"name":"rating","type":["null","double"]},{"name":"active","type":"boolean"},
			{"name":"tags","type":"long"}]}`).AppendEncode(framed(), map[string]any{"sku": "bad", "version": int64(1), "name": secret,
			"category": person, "price_cents": int64(1), "weight_kg": 0.5, "rating": nil, "active": true, "tags": int64(1) << 40})
		if err != nil {
			h.t.Fatal(err)
		}
		zero, broken := attacked[1].data("bad").(*schemas.Product), attacked[1].data("bad").(*schemas.Product)
		zero.Name, broken.Name = secret+"\x00", secret+"\xff"
		bad = append(bad,
			badRecord{name: "U+0000", class: "value_refused", value: h.value(topic, zero)},
			badRecord{name: "invalid UTF-8", class: "value_refused", value: h.value(topic, broken)},
			badRecord{name: "NaN in a double", class: "value_refused", value: h.value(topic, weightless)},
			badRecord{name: "NaN in a union", class: "value_refused", value: h.value(topic, rated)},
			badRecord{name: "an array of 2^40 strings", class: "undecodable", value: tags})
	case schemas.TopicStockMovements, schemas.TopicPayments:
		if topic == schemas.TopicPayments {
			payment := attacked[3].data("bad").(*schemas.Payment)
			payment.AmountCents = math.MaxInt64
			bad = append(bad, badRecord{name: "more than an account holds", class: "store_refused", value: h.value(topic, payment)})
		}
		bad = append(bad, badRecord{name: "a tombstone on a fact topic", class: "tombstone"},
			badRecord{name: "a fact without an ID", class: "missing_id", value: good})
	default:
		bad = append(bad, badRecord{name: "a tombstone without a version", class: "bad_version"})
	}
	return bad
}

// foreign is a schema that cannot be read as any of ours.
const foreign = `{"type":"record","name":"Foreign","fields":[{"name":"what","type":"string"}]}`

// register registers a schema and returns its ID.
func (h *hand) register(subject, schema string) int {
	h.t.Helper()
	body, err := json.Marshal(map[string]string{"schema": schema})
	if err != nil {
		h.t.Fatal(err)
	}
	req, err := http.NewRequestWithContext(h.t.Context(), http.MethodPost, h.registryURL+"/subjects/"+subject+"/versions", bytes.NewReader(body))
	if err != nil {
		h.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/vnd.schemaregistry.v1+json")
	resp, err := oneShot.Do(req)
	if err != nil {
		h.t.Fatal(err)
	}
	defer resp.Body.Close()
	var answer struct{ ID int }
	if err := json.NewDecoder(resp.Body).Decode(&answer); err != nil || answer.ID == 0 {
		h.t.Fatalf("register %s: %d, %v", subject, resp.StatusCode, err)
	}
	return answer.ID
}

// readers are the services of firehose dev that read a topic.
func readers(topic string) []string {
	var groups []string
	for _, s := range []struct {
		name   string
		topics []string
	}{
		{"billing", new(billing.Service()).Topics()},
		{"inventory", new(inventory.Service()).Topics()},
		{"replicator", new(replicator.Service()).Topics()},
	} {
		if slices.Contains(s.topics, topic) {
			groups = append(groups, s.name)
		}
	}
	return groups
}

// Every bad record stands between two good ones on the same partition. It is set
// aside once by every group that reads the topic, the good ones are applied.
func TestBadRecords(t *testing.T) {
	t.Parallel()
	dev := startDev(t, "--schema-patience", "200ms")
	h := dev.hand()
	const partition = 3
	fact := func(id string) []kgo.RecordHeader { return []kgo.RecordHeader{{Key: "ce_id", Value: []byte(id)}} }
	written := map[string]map[int64]badRecord{} // topic → offset
	good := map[string]int64{}
	classes := map[string]map[string]int{}
	dev.wantFlat(96<<20, func() {
		for _, a := range attacked {
			neighbour := func() {
				key := fmt.Sprintf("good-%d", good[a.topic])
				good[a.topic]++
				h.write(&kgo.Record{Topic: a.topic, Partition: partition, Key: []byte(key), Value: h.value(a.topic, a.data(key)), Headers: fact(key)})
			}
			neighbour()
			written[a.topic], classes[a.topic] = map[int64]badRecord{}, map[string]int{}
			for i, b := range h.badRecords(a.topic, h.value(a.topic, a.data("bad"))) {
				r := &kgo.Record{Topic: a.topic, Partition: partition, Key: []byte("bad"), Value: b.value, Headers: fact(fmt.Sprint("bad-", i))}
				switch {
				case b.class == "bad_key":
					r.Key = []byte(person)
				case b.class == "missing_id":
					r.Headers = []kgo.RecordHeader{{Key: "x-trace", Value: []byte(secret)}}
				case b.header.Key != "":
					r.Headers = append(r.Headers, b.header)
				}
				h.write(r)
				written[a.topic][r.Offset] = b
				classes[a.topic][b.class]++
				neighbour()
			}
		}
		dev.applied()
	})

	var wantCounts []letterCount
	for _, a := range attacked {
		for service, query := range a.counts {
			if n := dev.number(service, query); n != good[a.topic] {
				t.Errorf("%s: %d of %d good events of %s applied", service, n, good[a.topic], a.topic)
			}
			n := dev.number(service, "SELECT COUNT(*) FROM firehose_dead_letters WHERE topic = ?", a.topic)
			if n != int64(len(written[a.topic])) {
				t.Errorf("%s: store counts %d dead letters of %s, want %d", service, n, a.topic, len(written[a.topic]))
			}
		}
		for _, group := range readers(a.topic) {
			topic := kafka.DeadLetterName(a.topic, group)
			dev.wantLetters(h, topic, partition, written[a.topic])
			for class, n := range classes[a.topic] {
				wantCounts = append(wantCounts, letterCount{topic, class, n})
			}
		}
	}
	dev.wantCounts(wantCounts)

	// A crash between the acknowledgement and the commit writes one twice.
	twice := kafka.DeadLetterName(schemas.TopicOrders, "billing")
	for _, r := range h.letters(dev, twice) {
		h.write(&kgo.Record{Topic: twice, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: r.Headers})
	}
	dev.wantCounts(wantCounts)

	dev.wantSecretsInValuesOnly(twice)
}
