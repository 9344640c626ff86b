package publish_test

import (
	"context"
	"errors"
	"fmt"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/sr/srfake"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/publish"
	"firehose/schemas"
)

// system is a broker with the shop's topics, a registry with its schemas and a
// publisher.
type system struct {
	cluster  *kfake.Cluster
	addr     string
	client   *kgo.Client
	registry *httptest.Server
	schemas  *codec.Registry
	*publish.Publisher
}

// config of the tests: a timeout that is not waited for, unless a test sets it.
func config() publish.Config {
	return publish.Config{Source: "/service/test", Timeout: 20 * time.Second}
}

func start(t testing.TB, cfg publish.Config, opts ...kgo.Opt) *system {
	t.Helper()
	s := &system{}
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	s.cluster, s.addr = broker.Cluster(), broker.Addr()
	s.registry = httptest.NewServer(srfake.NewRegistry().Handler())
	t.Cleanup(s.registry.Close)
	if s.schemas, err = codec.NewRegistry(codec.RegistryConfig{URLs: []string{s.registry.URL}, Timeout: time.Second}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.schemas.Close)
	if s.client, err = kafka.NewClient(kafka.Config{Brokers: []string{s.addr}, RequestTimeout: 5 * time.Second, RetryBackoff: time.Millisecond},
		append([]kgo.Opt{kgo.MetadataMinAge(10 * time.Millisecond)}, opts...)...); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(s.client.Close)
	var topics []kafka.Topic
	for _, topic := range schemas.Shop().Topics() {
		if _, err := s.schemas.Register(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
		topics = append(topics, kafka.EventTopic(topic.Contract, 1))
	}
	if _, err := kafka.ApplyTopics(t.Context(), s.client, topics); err != nil {
		t.Fatal(err)
	}
	if s.Publisher, err = publish.New(s.client, s.schemas, schemas.Shop(), cfg); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
		defer cancel()
		s.Close(ctx)
	})
	return s
}

var day = time.Date(1997, 1, 1, 12, 30, 15, 250_000_000, time.UTC)

func order(id string, version int64) *schemas.Order {
	return &schemas.Order{
		OrderID: id, Version: version, CustomerID: "customer-00042", Status: schemas.OrderStatusPlaced,
		Lines: []schemas.OrderLine{
			{SKU: "sku-1177", Quantity: 1, UnitPriceCents: 1177, AmountCents: 1177},
			{SKU: "sku-2999", Quantity: 2, UnitPriceCents: 2999, AmountCents: 5998},
			{SKU: "sku-0500", Quantity: 1, UnitPriceCents: 500, AmountCents: 500},
		},
		Units: 4, TotalCents: 7675, Currency: "USD", PlacedAt: day, UpdatedAt: day, Channel: schemas.ChannelWeb,
	}
}

func placed(id string) *publish.Event {
	return &publish.Event{Envelope: event.Envelope{Type: schemas.OrderPlaced}, Data: order(id, 1)}
}

// answer is what a callback was given.
type answer struct {
	publish.Receipt
	err error
}

// send publishes e and returns where its answer will be.
func (s *system) send(ctx context.Context, e *publish.Event) <-chan answer {
	answers := make(chan answer, 2)
	s.Publish(ctx, e, func(r publish.Receipt, err error) { answers <- answer{r, err} })
	return answers
}

// runOut publishes n events and waits until all have run out of their time.
func (s *system) runOut(t *testing.T, n int) {
	t.Helper()
	var sent []<-chan answer
	for i := range n {
		sent = append(sent, s.send(t.Context(), placed(fmt.Sprintf("order-%d", i))))
	}
	for _, a := range sent {
		wantError(t, get(t, a), publish.Unknown, publish.ReasonTimeout)
	}
}

// get waits for an answer.
func get(t *testing.T, answers <-chan answer) answer {
	t.Helper()
	select {
	case a := <-answers:
		return a
	case <-time.After(30 * time.Second):
		t.Fatal("no answer")
		panic("unreachable")
	}
}

// wantError checks outcome and reason of an answer.
func wantError(t *testing.T, a answer, want publish.Outcome, reason string) {
	t.Helper()
	if e := theError(t, a, want, reason); e.Err == nil {
		t.Errorf("%s, reason %q: no cause", want, reason)
	}
}

// theError checks outcome and reason of an answer and returns its error.
func theError(t *testing.T, a answer, want publish.Outcome, reason string) *publish.Error {
	t.Helper()
	var e *publish.Error
	if !errors.As(a.err, &e) {
		t.Fatalf("got %v (receipt %+v), want an *Error", a.err, a.Receipt)
	}
	if e.Outcome != want || e.Reason != reason {
		t.Errorf("got %s, reason %q (%v), want %s, reason %q", e.Outcome, e.Reason, e.Err, want, reason)
	}
	if got := errors.Is(a.err, publish.ErrRejected); got != (want == publish.Rejected) {
		t.Errorf("errors.Is(err, ErrRejected) = %v", got)
	}
	if got := errors.Is(a.err, publish.ErrUnknown); got != (want == publish.Unknown) {
		t.Errorf("errors.Is(err, ErrUnknown) = %v", got)
	}
	return e
}

// records returns all that is on a topic.
func (s *system) records(t *testing.T, topic string) []*kgo.Record {
	t.Helper()
	infos, err := kafka.DescribeTopics(t.Context(), s.client, topic)
	if err != nil {
		t.Fatal(err)
	}
	var want int64
	for _, p := range infos[0].Partitions {
		want += p.End - p.Start
	}
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{s.addr}}, kgo.ConsumeTopics(topic),
		kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var all []*kgo.Record
	for int64(len(all)) < want {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}
