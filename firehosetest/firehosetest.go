// Package firehosetest tests services: their projections alone, or the whole
// service against an embedded broker and registry.
//
//	func TestMain(m *testing.M) { firehosetest.Main(m) }
//
//	// The projections alone: no broker, no database.
//	func TestProjection(t *testing.T) {
//		tables := firehosetest.Fold(t, Service(), events...)
//		got := tables.Rows("stock")
//	}
//
//	// The service as it runs: in its group, on a SQLite file.
//	func TestService(t *testing.T) {
//		cluster := firehosetest.Start(t, contracts)
//		service := cluster.Run(Service())
//		cluster.Publish(events...)
//		service.Wait()
//		got := service.Query("SELECT sku, on_hand FROM stock ORDER BY sku")
//	}
//
// Nothing sleeps, everything stops with the test, and what goes wrong on the
// way, also in the background, fails it.
package firehosetest

import (
	"context"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"firehose"
	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/schemas"
)

// patience bounds every wait. What takes longer than this is stuck.
const patience = 60 * time.Second

// Main runs the tests of a package and fails when they leave goroutines behind.
func Main(m *testing.M) { goleak.VerifyTestMain(m) }

// Fold folds events into a service's tables in memory. Each event must be taken;
// Refused is for those that must not be.
func Fold(t testing.TB, s firehose.Service, events ...firehose.Outgoing) *firehose.Folding {
	t.Helper()
	f, err := s.Fold()
	if err != nil {
		t.Fatal(err)
	}
	for i, e := range events {
		if err := f.Apply(e); err != nil {
			t.Fatalf("event %d (%s): %v", i, e.Type, err)
		}
	}
	return f
}

// Refused folds events and returns why the last one of them is refused.
func Refused(t testing.TB, s firehose.Service, events ...firehose.Outgoing) error {
	t.Helper()
	last := len(events) - 1
	err := Fold(t, s, events[:last]...).Apply(events[last])
	if err == nil {
		t.Fatalf("event %d (%s): taken, want it refused", last, events[last].Type)
	}
	return err
}

// Cluster is an embedded broker and registry, in memory, on free ports of the
// loopback. It ends with its test.
type Cluster struct {
	t        testing.TB
	broker   *embedded.Broker
	registry *embedded.Registry
	schemas  *codec.Registry
	client   *kafka.Client
	dir      string // of the services' databases

	mu         sync.Mutex
	publishers map[string]*firehose.Publisher // by event type
	sets       []*schemas.Set
}

// Start starts a cluster with the topics of these schemas.
func Start(t testing.TB, sets ...*schemas.Set) *Cluster {
	t.Helper()
	c := &Cluster{t: t, dir: t.TempDir(), publishers: map[string]*firehose.Publisher{}}
	var err error
	if c.broker, err = embedded.StartBroker(embedded.BrokerConfig{}); err != nil {
		t.Fatal(err)
	}
	c.onEnd("broker", c.broker.Close)
	if c.registry, err = embedded.StartRegistry(embedded.RegistryConfig{}); err != nil {
		t.Fatal(err)
	}
	c.onEnd("registry", c.registry.Close)
	if c.schemas, err = codec.NewRegistry(codec.RegistryConfig{URLs: c.Registry()}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.schemas.Close)
	// What Produce writes may be larger than what the broker takes uncompressed.
	if c.client, err = kafka.NewClient(c.kafka(), kgo.ProducerBatchMaxBytes(16<<20)); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(c.client.Close)
	for _, set := range sets {
		c.Add(set)
	}
	return c
}

// onEnd closes something after the test.
func (c *Cluster) onEnd(what string, end func() error) {
	c.t.Cleanup(func() {
		if err := end(); err != nil {
			c.t.Errorf("close %s: %v", what, err)
		}
	})
}

func (c *Cluster) kafka() kafka.Config { return kafka.Config{Brokers: c.Brokers()} }

// Brokers returns the broker's address.
func (c *Cluster) Brokers() []string { return []string{c.broker.Addr()} }

// Registry returns the registry's URL.
func (c *Cluster) Registry() []string { return []string{c.registry.URL()} }

// Add creates the set's topics and registers its schemas. Added later, the
// newer versions of topics that are there already are what Publish writes.
func (c *Cluster) Add(set *schemas.Set) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	var topics []kafka.Topic
	for _, t := range set.Topics() {
		if _, err := c.schemas.Register(ctx, t); err != nil {
			c.t.Fatal(err)
		}
		topics = append(topics, kafka.EventTopic(t.Contract, 1))
	}
	c.apply(ctx, topics)
	p, err := firehose.NewPublisher(firehose.PublisherConfig{
		Schemas: set, Source: "/test", Brokers: c.Brokers(), Registry: c.Registry(),
	})
	if err != nil {
		c.t.Fatal(err)
	}
	c.onEnd("publisher", func() error {
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		return p.Close(ctx)
	})
	c.mu.Lock()
	defer c.mu.Unlock()
	c.sets = append(c.sets, set)
	for _, t := range set.Topics() {
		for _, name := range t.Types {
			c.publishers[name] = p
		}
	}
}

func (c *Cluster) apply(ctx context.Context, topics []kafka.Topic) {
	c.t.Helper()
	if _, err := kafka.ApplyTopics(ctx, c.client, topics); err != nil {
		c.t.Fatal(err)
	}
}

// contract returns the contract of a topic that was added.
func (c *Cluster) contract(topic string) (schemas.Contract, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for i := len(c.sets) - 1; i >= 0; i-- {
		if t, ok := c.sets[i].Topic(topic); ok {
			return t.Contract, true
		}
	}
	return schemas.Contract{}, false
}

// context bounds one call; it outlives the test's own, since cleaning up needs
// it.
func (c *Cluster) context() (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.WithoutCancel(c.t.Context()), patience)
}

// Publish publishes events in order and waits until all are acknowledged.
func (c *Cluster) Publish(events ...firehose.Outgoing) []firehose.Receipt {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	receipts := make([]firehose.Receipt, len(events))
	errs := make([]error, len(events))
	var answered sync.WaitGroup
	for i := range events {
		c.mu.Lock()
		p := c.publishers[events[i].Type]
		c.mu.Unlock()
		if p == nil {
			c.t.Fatalf("event %d: type %q belongs to no topic that was added", i, events[i].Type)
		}
		answered.Add(1)
		p.Publish(ctx, &events[i], func(r firehose.Receipt, err error) {
			receipts[i], errs[i] = r, err
			answered.Done()
		})
	}
	answered.Wait()
	for i, err := range errs {
		if err != nil {
			c.t.Fatalf("event %d (%s): %v", i, events[i].Type, err)
		}
	}
	return receipts
}

// Record is a record as anyone could write it to a topic.
type Record struct {
	Topic   string
	Key     string
	Value   []byte // nil is a tombstone
	Headers map[string]string
}

// Produce writes records as they are, for tests of what a service does with bad
// ones.
func (c *Cluster) Produce(records ...Record) {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	for _, r := range records {
		rec := &kgo.Record{Topic: r.Topic, Key: []byte(r.Key), Value: r.Value}
		for name, text := range r.Headers {
			rec.Headers = append(rec.Headers, kgo.RecordHeader{Key: name, Value: []byte(text)})
		}
		if err := c.client.ProduceSync(ctx, rec).FirstErr(); err != nil {
			c.t.Fatal(err)
		}
	}
}

// SchemaID returns the ID that the registry has given to the latest version of a
// topic's schema: what stands in front of a value.
func (c *Cluster) SchemaID(topic string) int {
	c.t.Helper()
	ctx, cancel := c.context()
	defer cancel()
	_, id, err := c.schemas.Latest(ctx, topic+"-value")
	if err != nil {
		c.t.Fatal(err)
	}
	return id
}
