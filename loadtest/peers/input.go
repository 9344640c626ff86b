package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"github.com/google/uuid"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/schemas"
)

// order is an event of about 120 bytes: flat, as a sink's table wants it.
type order struct {
	OrderID    string    `avro:"order_id"`
	CustomerID string    `avro:"customer_id"`
	Status     string    `avro:"status"`
	Version    int64     `avro:"version"`
	TotalCents int64     `avro:"total_cents"`
	Currency   string    `avro:"currency"`
	UpdatedAt  time.Time `avro:"updated_at"`
	ItemCount  int32     `avro:"item_count"`
	Channel    string    `avro:"channel"`
	Country    string    `avro:"country"`
	Campaign   string    `avro:"campaign"`
}

const orderFields = `[{"name":"order_id","type":"string"},{"name":"customer_id","type":"string"},{"name":"status","type":"string"},
	{"name":"version","type":"long"},{"name":"total_cents","type":"long"},{"name":"currency","type":"string"},
	{"name":"updated_at","type":{"type":"long","logicalType":"timestamp-millis"}},{"name":"item_count","type":"int"},
	{"name":"channel","type":"string"},{"name":"country","type":"string"},{"name":"campaign","type":"string"}]`

// movement is a fact that adds to one of a thousand counters.
type movement struct {
	SKU      string `avro:"sku"`
	Quantity int64  `avro:"quantity"`
}

const (
	partitions = 8
	versions   = 5      // of each order
	window     = 20_000 // orders under way at a time, where input is clustered
	skus       = 1000
)

// The inputs. Clustered has an order's versions close together, as in a shop;
// spread has all first versions, then all second ones, so that no batch holds two
// of one order.
const (
	clustered = "clustered.orders"
	spread    = "spread.orders"
	facts     = "counted.movements"
	published = "published.orders"
	idle      = "idle.orders"
	steady    = "steady.orders" // one version of each order
	wide      = "wide.orders"   // clustered, in more partitions
)

// partitionsOf a topic.
func partitionsOf(topic string) int {
	if topic == wide {
		return 4 * partitions
	}
	return partitions
}

// versionsOf each order of a topic.
func versionsOf(topic string) int {
	if topic == steady {
		return 1
	}
	return versions
}

// inputs are all topics.
var inputs = []string{clustered, spread, published, facts, idle, steady, wide}

// schemaOf is the schema of a topic's events.
func schemaOf(topic string) string {
	domain, _, _ := strings.Cut(topic, ".")
	name, fields := "Order", orderFields
	rest := `"kind":"entity","key":"order_id","version":"version","time":"updated_at"`
	if topic == facts {
		name, fields, rest = "Movement", `[{"name":"sku","type":"string"},{"name":"quantity","type":"long"}]`, `"kind":"fact","key":"sku"`
	}
	if topic == published { // not compacted: Kafka's benchmark sends no keys
		rest += `,"origins":"many"`
	}
	return fmt.Sprintf(`{"type":"record","name":%q,"namespace":%q,"firehose":{"topic":%q,%s,"types":["%s.event.made"],"partitions":%d},"fields":%s}`,
		name, domain, topic, rest, domain, partitionsOf(topic), fields)
}

// contracts are the schemas of the inputs.
func contracts() (*schemas.Set, error) {
	var all []*schemas.Schema
	for _, topic := range inputs {
		s, err := schemas.Parse(schemaOf(topic), 1)
		if err != nil {
			return nil, fmt.Errorf("schema of %s: %w", topic, err)
		}
		all = append(all, s)
	}
	return schemas.NewSet(all...)
}

// eventType is the one type of a topic's events.
func eventType(topic string) string {
	domain, _, _ := strings.Cut(topic, ".")
	return domain + ".event.made"
}

var (
	statuses  = []string{"CREATED", "PAID", "PACKED", "SHIPPED", "DELIVERED"}
	channels  = []string{"web", "app", "shop"}
	countries = []string{"DE", "FR", "US", "JP"}
	began     = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
)

// orderEvent is version v of order number i, the same whenever it is asked for.
func orderEvent(i, v int) order {
	r := rand.New(rand.NewPCG(uint64(i), 7))
	return order{
		OrderID:    fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", r.Uint32(), r.IntN(1<<16), r.IntN(1<<12), r.IntN(1<<12), i),
		CustomerID: fmt.Sprintf("customer-%07d", r.IntN(10_000_000)),
		Status:     statuses[(v-1)%len(statuses)], Version: int64(v), TotalCents: 100 + r.Int64N(100_000), Currency: "EUR",
		UpdatedAt: began.Add(time.Duration(i*versions+v) * time.Millisecond), ItemCount: int32(1 + r.IntN(9)),
		Channel: channels[r.IntN(len(channels))], Country: countries[r.IntN(len(countries))],
		Campaign: fmt.Sprintf("campaign-%04d", r.IntN(1000)),
	}
}

// eachOrder calls yield with n events in the input's order.
func eachOrder(topic string, n int, yield func(*order) error) error {
	each := versionsOf(topic)
	orders := n / each
	under := window
	if topic == spread {
		under = orders
	}
	for from := 0; from < orders; from += under {
		to := min(from+under, orders)
		at := make([]int, to-from)
		for i := range at {
			at[i] = from + i
		}
		r := rand.New(rand.NewPCG(uint64(from), 11))
		for v := 1; v <= each; v++ {
			r.Shuffle(len(at), func(i, j int) { at[i], at[j] = at[j], at[i] })
			for _, i := range at {
				o := orderEvent(i, v)
				if err := yield(&o); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

// encoding is how a topic's records are made.
type encoding struct {
	encoder *codec.Encoder
	schema  string // its address, which our publisher puts into a header
}

// recordOf is an event as the publisher writes it.
func recordOf(topic string, as encoding, o *order, number int) (*kgo.Record, error) {
	value, err := as.encoder.AppendEncode(nil, o)
	if err != nil {
		return nil, err
	}
	e := event.Envelope{
		ID: eventID(number), Source: "/service/peers", Type: eventType(topic), Time: o.UpdatedAt, Subject: o.OrderID, DataSchema: as.schema,
		Sequence: o.Version, HasSequence: true,
	}
	return &kgo.Record{Topic: topic, Key: []byte(o.OrderID), Value: value, Headers: event.AppendHeaders[kgo.RecordHeader](nil, &e)}, nil
}

// eventID is a UUIDv7 of a millisecond that grows with number.
func eventID(number int) string {
	r := rand.New(rand.NewPCG(uint64(number), 13))
	var id uuid.UUID
	ms := uint64(began.UnixMilli()) + uint64(number/20)
	for i := range 6 {
		id[i] = byte(ms >> (40 - 8*i))
	}
	for i := 6; i < 16; i++ {
		id[i] = byte(r.Uint32())
	}
	id[6], id[8] = id[6]&0x0f|0x70, id[8]&0x3f|0x80
	return id.String()
}

// tail is the last event of a partition: when its row is there, at its version,
// all before it are.
type tail struct {
	Key     string
	Version int64
}

// fill makes the topic and its n events, and returns the partitions' tails.
func fill(ctx context.Context, brokers []string, registry string, topic string, n int) ([]tail, error) {
	client, err := kafka.NewClient(kafka.Config{Brokers: brokers, Compression: "lz4"}, kgo.MaxBufferedRecords(50_000))
	if err != nil {
		return nil, err
	}
	defer client.Close()
	as, err := prepare(ctx, client, registry, topic, 1)
	if err != nil {
		return nil, err
	}
	var mu sync.Mutex
	var failed error
	tails := make([]tail, partitionsOf(topic))
	number := 0
	send := func(r *kgo.Record, version int64) {
		number++
		client.Produce(ctx, r, func(r *kgo.Record, err error) {
			mu.Lock()
			defer mu.Unlock()
			if failed = errors.Join(failed, err); err == nil {
				tails[r.Partition] = tail{string(r.Key), version}
			}
		})
	}
	if topic == facts {
		err = eachMovement(n, func(m *movement) error {
			r, err := factOf(as, m, number)
			if err == nil {
				send(r, 0)
			}
			return err
		})
	} else {
		err = eachOrder(topic, n, func(o *order) error {
			r, err := recordOf(topic, as, o, number)
			if err == nil {
				send(r, o.Version)
			}
			return err
		})
	}
	if err = errors.Join(err, client.Flush(ctx)); err != nil {
		return nil, fmt.Errorf("fill %s: %w", topic, err)
	}
	mu.Lock()
	defer mu.Unlock()
	return tails, failed
}

func eachMovement(n int, yield func(*movement) error) error {
	for i := range n {
		if err := yield(&movement{fmt.Sprintf("sku-%04d", i*7919%skus), 1}); err != nil { // all in turn, none beside its neighbour
			return err
		}
	}
	return nil
}

func factOf(as encoding, m *movement, number int) (*kgo.Record, error) {
	value, err := as.encoder.AppendEncode(nil, m)
	if err != nil {
		return nil, err
	}
	e := event.Envelope{ID: eventID(number), Source: "/service/peers", Type: eventType(facts), Time: began, Subject: m.SKU, DataSchema: as.schema}
	return &kgo.Record{Topic: facts, Key: []byte(m.SKU), Value: value, Headers: event.AppendHeaders[kgo.RecordHeader](nil, &e)}, nil
}

// prepare makes the topic anew and the schema known.
func prepare(ctx context.Context, client *kgo.Client, registry, topic string, replication int16) (encoding, error) {
	set, err := contracts()
	if err != nil {
		return encoding{}, err
	}
	t, _ := set.Topic(topic)
	if err := recreate(ctx, client, kafka.EventTopic(t.Contract, replication)); err != nil {
		return encoding{}, err
	}
	reg, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{registry}})
	if err != nil {
		return encoding{}, err
	}
	defer reg.Close()
	ids, err := reg.Register(ctx, t)
	if err != nil {
		return encoding{}, err
	}
	return encoding{codec.NewEncoder(t.Latest(), ids[0]), reg.Address(ids[0])}, nil
}
