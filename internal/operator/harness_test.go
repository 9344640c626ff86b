package operator_test

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"firehose/internal/codec"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/operator"
	"firehose/internal/service"
	"firehose/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// call is what a command printed.
type call struct {
	code           int
	stdout, stderr string
}

// execute runs the program firehose in this process.
func execute(ctx context.Context, stdin io.Reader, args ...string) call {
	var out, errs bytes.Buffer
	root := operator.Command(operator.Streams{In: stdin, Out: &out, Err: &errs})
	code := service.Execute(ctx, root, service.Process{Args: args, Stdout: &out, Stderr: &errs})
	return call{code, out.String(), errs.String()}
}

// world is a broker and a registry, and where they are.
type world struct {
	t        *testing.T
	broker   *embedded.Broker
	registry *embedded.Registry
	client   *kgo.Client
}

func newWorld(t *testing.T) *world {
	t.Helper()
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	registry, err := embedded.StartRegistry(embedded.RegistryConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { registry.Close() })
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{broker.Addr()}}, kgo.RecordPartitioner(kgo.ManualPartitioner()),
		kgo.RecordDeliveryTimeout(0)) // which it would count from the records' timestamps
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return &world{t, broker, registry, client}
}

// ready is a world with the shop's topics and schemas.
func ready(t *testing.T) *world {
	t.Helper()
	w := newWorld(t)
	w.ok("topics", "apply")
	w.ok("schemas", "register")
	return w
}

// run runs a command against the world.
func (w *world) run(stdin string, args ...string) call {
	w.t.Helper()
	at := []string{}
	switch args[0] {
	case "schemas", "decode":
		at = append(at, "--registry", w.registry.URL())
	case "lag":
		at = append(at, "-b", w.broker.Addr())
	case "topics", "dlq":
		at = append(at, "-b", w.broker.Addr())
		if args[1] != "apply" && args[0]+args[1] != "dlqlist" {
			at = append(at, "--registry", w.registry.URL())
		}
	default:
		at = append(at, "-b", w.broker.Addr(), "--registry", w.registry.URL())
	}
	return execute(w.t.Context(), strings.NewReader(stdin), append(args, at...)...)
}

// ok runs a command that has to succeed and returns what it printed.
func (w *world) ok(args ...string) string {
	w.t.Helper()
	c := w.run("", args...)
	if c.code != service.ExitDone {
		w.t.Fatalf("firehose %s: exit %d: %s%s", strings.Join(args, " "), c.code, c.stderr, c.stdout)
	}
	return c.stdout
}

var noon = time.Date(1997, 6, 30, 12, 0, 0, 0, time.UTC)

// produce appends a record.
func (w *world) produce(r *kgo.Record) {
	w.t.Helper()
	if r.Timestamp.IsZero() {
		r.Timestamp = noon.Add(time.Hour)
	}
	if err := w.client.ProduceSync(w.t.Context(), r).FirstErr(); err != nil {
		w.t.Fatal(err)
	}
}

// encode returns a framed value of the topic's latest schema.
func (w *world) encode(topic string, v any) []byte {
	w.t.Helper()
	t, _ := schemas.Shop().Topic(topic)
	reg, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{w.registry.URL()}})
	if err != nil {
		w.t.Fatal(err)
	}
	defer reg.Close()
	id, err := reg.Lookup(w.t.Context(), t.Latest())
	if err != nil {
		w.t.Fatal(err)
	}
	value, err := codec.NewEncoder(t.Latest(), id).AppendEncode(nil, v)
	if err != nil {
		w.t.Fatal(err)
	}
	return value
}

// headers are an event's, with a fixed ID.
func headers(eventType, key string, version int64) []kgo.RecordHeader {
	return event.AppendHeaders([]kgo.RecordHeader(nil), &event.Envelope{
		ID: "id-" + key, Source: "/service/test", Type: eventType, Time: noon, Subject: key,
		Sequence: version, HasSequence: version > 0,
	})
}

func payment(id string) *schemas.Payment {
	return &schemas.Payment{PaymentID: id, OrderID: "o-1", CustomerID: "c-1", AmountCents: 4553, Currency: "USD",
		Method: schemas.PaymentMethodCard, PaidAt: noon}
}

func customer(id string, version int64) *schemas.Customer {
	return &schemas.Customer{CustomerID: id, Version: version, Name: "Ada", Country: "GB", RegisteredAt: noon, UpdatedAt: noon}
}
