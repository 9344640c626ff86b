package producer_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"

	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/publish"
	"firehose/internal/service"
	"firehose/producer"
	"firehose/schemas"
)

// actAs makes the test binary the producer's, so that signals meet a real process.
const actAs = "PRODUCER_TEST_ACT"

func TestMain(m *testing.M) {
	if os.Getenv(actAs) != "" {
		os.Exit(service.Main(context.Background(), producer.Command()))
	}
	goleak.VerifyTestMain(m,
		// net/http waits half a second before it closes a connection whose
		// request it did not read to the end; nothing can wait for that.
		goleak.IgnoreAnyFunction("net/http.(*conn).closeWriteAndWait"))
}

// canary is a personal value that must appear in no answer and no log.
const canary = "canary-4111111111111111"

// backend is a broker and a registry that know the shop, and a publisher.
type backend struct {
	broker      *embedded.Broker
	registryURL string
	stop        func() // of the registry
	publisher   *publish.Publisher
	logged      *safeBuffer
	log         *slog.Logger
	metrics     *prometheus.Registry
}

type backendConfig struct {
	timeout      time.Duration
	maxRecords   int
	unregistered bool // leave the registry empty
}

func startBackend(t testing.TB, cfg backendConfig) *backend {
	t.Helper()
	b := &backend{logged: &safeBuffer{}, metrics: prometheus.NewRegistry()}
	b.log = slog.New(slog.NewJSONHandler(b.logged, nil))
	var err error
	b.broker, err = embedded.StartBroker(embedded.BrokerConfig{Addr: "127.0.0.1:0"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.broker.Close() })
	b.registryURL, b.stop = startRegistry(t)
	registry, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{b.registryURL}, Timeout: time.Second})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(registry.Close)
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{b.broker.Addr()}, RequestTimeout: 300 * time.Millisecond})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	var topics []kafka.Topic
	for _, topic := range schemas.Shop().Topics() {
		topics = append(topics, kafka.EventTopic(topic.Contract, 1))
		if cfg.unregistered {
			continue
		}
		if _, err := registry.Register(t.Context(), topic); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := kafka.ApplyTopics(t.Context(), client, topics); err != nil {
		t.Fatal(err)
	}
	if cfg.timeout == 0 {
		cfg.timeout = 20 * time.Second
	}
	b.publisher, err = publish.New(client, registry, schemas.Shop(), publish.Config{
		Source: "/service/test", Timeout: cfg.timeout, MaxRecords: cfg.maxRecords, Metrics: b.metrics, Log: b.log,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), 100*time.Millisecond)
		defer cancel()
		_ = b.publisher.Close(ctx) // tests leave events behind whose outcome is unknown
	})
	return b
}

// records returns every record of the shop's topics, read from the start.
func (b *backend) records(t testing.TB) []*kgo.Record {
	t.Helper()
	var names []string
	for _, topic := range schemas.Shop().Topics() {
		names = append(names, topic.Topic)
	}
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{b.broker.Addr()}},
		kgo.ConsumeTopics(names...), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	infos, err := kafka.DescribeTopics(t.Context(), client, names...)
	if err != nil {
		t.Fatal(err)
	}
	want := 0
	for _, info := range infos {
		for _, p := range info.Partitions {
			want += int(p.End - p.Start)
		}
	}
	var all []*kgo.Record
	for len(all) < want {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		all = append(all, fetches.Records()...)
	}
	return all
}

// door is a running HTTP door.
type door struct {
	*backend
	url    string
	stop   context.CancelFunc // as SIGTERM does
	result chan error         // of Run
	client *http.Client
}

func openDoor(t testing.TB, b *backend, limits producer.Limits) *door {
	t.Helper()
	server, err := producer.NewServer(t.Context(), producer.ServerConfig{
		Listen: "127.0.0.1:0",
		Handler: producer.HandlerConfig{
			Publisher: b.publisher, Set: schemas.Shop(), Limits: limits, Metrics: b.metrics, Log: b.log,
		},
	})
	if err != nil {
		t.Fatal(err)
	}
	stop, cancel := context.WithCancel(context.Background())
	abort, cut := context.WithCancel(context.Background())
	d := &door{
		backend: b, url: "http://" + server.Addr(), stop: cancel, result: make(chan error, 1),
		client: &http.Client{Transport: &http.Transport{}, Timeout: time.Minute},
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		d.result <- server.Run(stop, abort)
	}()
	t.Cleanup(func() {
		d.client.CloseIdleConnections()
		cancel()
		cut()
		<-done
	})
	return d
}

// answer is what the door answered.
type answer struct {
	status int
	header http.Header
	body   string
}

func (d *door) do(t testing.TB, method, path string, header http.Header, body io.Reader) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, d.url+path, body)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		req.Header[name] = values
	}
	resp, err := d.client.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	got, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(got)}
}

// post sends JSON to an event type.
func (d *door) post(t testing.TB, eventType, body string) answer {
	t.Helper()
	return d.do(t, http.MethodPost, "/v1/events/"+eventType, contentType("application/json"), strings.NewReader(body))
}

func contentType(media string) http.Header { return http.Header{"Content-Type": {media}} }

// result is an answer's JSON, receipt and problem alike.
type result struct {
	Type   string
	Title  string
	Status int
	Detail string
	Field  string
	ID     string
	File   string
	Line   int

	Topic     string
	TopicID   string `json:"topic_id"`
	Partition int32
	Offset    int64
}

func (a answer) result(t testing.TB) result {
	t.Helper()
	lines := results(t, a.body)
	if len(lines) != 1 {
		t.Fatalf("got %d lines of answer, want 1: %s", len(lines), a.body)
	}
	return lines[0]
}

func results(t testing.TB, ndjson string) []result {
	t.Helper()
	var all []result
	for text := range strings.Lines(ndjson) {
		var r result
		dec := json.NewDecoder(strings.NewReader(text))
		dec.DisallowUnknownFields()
		if err := dec.Decode(&r); err != nil {
			t.Fatalf("answer %q: %v", text, err)
		}
		all = append(all, r)
	}
	return all
}

// movement is the data of a stock movement.
func movement(id, sku string) string {
	return fmt.Sprintf(`{"movement_id":%q,"sku":%q,"quantity":5,"reason":"RECEIVED","moved_at":"2026-01-02T15:04:05Z"}`, id, sku)
}

// movementLine is a line of a batch.
func movementLine(id, sku string) string {
	return fmt.Sprintf(`{"type":"shop.stock.moved","id":%q,"data":%s}`, id, movement(id, sku))
}

// order is the data of an order with the given lines.
func order(id string, version int64, lines string) string {
	return fmt.Sprintf(`{"order_id":%q,"version":%d,"customer_id":"c-1","status":"PLACED","lines":%s,"units":1,`+
		`"total_cents":1000,"currency":"EUR","placed_at":"2026-01-02T15:04:05Z","updated_at":"2026-01-02T15:04:05Z"}`, id, version, lines)
}

const oneLine = `[{"sku":"s-1","quantity":1,"unit_price_cents":1000,"amount_cents":1000}]`

// safeBuffer is a bytes.Buffer for several goroutines.
type safeBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *safeBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *safeBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func header(record *kgo.Record, key string) string {
	for _, h := range record.Headers {
		if h.Key == key {
			return string(h.Value)
		}
	}
	return ""
}
