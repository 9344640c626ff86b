package consume_test

import (
	"context"
	"database/sql"
	"fmt"
	"log/slog"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
	"go.uber.org/goleak"
	_ "modernc.org/sqlite"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/offsets"
	"firehose/internal/store"
	"firehose/internal/store/sqlite"
	"firehose/schemas"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	accountText = `{"type":"record","name":"Account","namespace":"bank","firehose":{"topic":"bank.accounts","kind":"entity",
	 "key":"id","version":"version","types":["bank.account.changed"],"partitions":2},
	 "fields":[{"name":"id","type":"string"},{"name":"version","type":"long"},{"name":"limit","type":"long"},{"name":"rate","type":"double","default":0}]}`
	entryText = `{"type":"record","name":"Entry","namespace":"bank","firehose":{"topic":"bank.entries","kind":"fact",
	 "key":"account","types":["bank.entry.made"],"partitions":2},
	 "fields":[{"name":"account","type":"string"},{"name":"cents","type":"long"}]}`
)

type account struct {
	ID      string  `avro:"id"`
	Version int64   `avro:"version"`
	Limit   int64   `avro:"limit"`
	Rate    float64 `avro:"rate"`
}

type entry struct {
	Account string `avro:"account"`
	Cents   int64  `avro:"cents"`
}

var (
	accounts = &store.Table{Name: "accounts", Kind: store.Rows, Key: []store.Column{{Name: "id"}},
		Columns: []store.Column{{Name: "lim", Type: store.Int}, {Name: "rate", Type: store.Float}}}
	sums = &store.Table{Name: "sums", Kind: store.Counters, Key: []store.Column{{Name: "account"}},
		Columns: []store.Column{{Name: "cents", Type: store.Int}, {Name: "entries", Type: store.Int}}}
	limits = &store.Table{Name: "limits", Kind: store.Counters, Key: []store.Column{{Name: "name"}},
		Columns: []store.Column{{Name: "total", Type: store.Int}}}
	journal = &store.Table{Name: "journal", Kind: store.Log,
		Columns: []store.Column{{Name: "account"}, {Name: "cents", Type: store.Int}}}
)

// bank is one broker, one registry and one service with two topics.
type bank struct {
	t        *testing.T
	broker   *embedded.Broker
	registry *embedded.Registry
	codec    *codec.Registry
	set      *schemas.Set
	client   *kgo.Client // of the test itself
	path     string
	schemas  string // folder of the registry
	store    *sqlite.Store
	logs     *logBuffer
	ids      map[string]int
	running  []*member
}

func newBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{t: t, path: filepath.Join(t.TempDir(), "bank.db"), schemas: t.TempDir(), logs: &logBuffer{}, ids: map[string]int{}}
	var err error
	if b.broker, err = embedded.StartBroker(embedded.BrokerConfig{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.broker.Close() })
	if b.registry, err = embedded.StartRegistry(embedded.RegistryConfig{Dir: b.schemas}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.registry.Close() })
	a, err := schemas.Parse(accountText, 1)
	if err != nil {
		t.Fatal(err)
	}
	e, err := schemas.Parse(entryText, 1)
	if err != nil {
		t.Fatal(err)
	}
	if b.set, err = schemas.NewSet(a, e); err != nil {
		t.Fatal(err)
	}
	if b.client, err = kafka.NewClient(kafka.Config{Brokers: []string{b.broker.Addr()}}, kgo.RecordPartitioner(kgo.ManualPartitioner())); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.client.Close)
	if b.codec, err = codec.NewRegistry(codec.RegistryConfig{URLs: []string{b.registry.URL()}, UnknownTTL: 10 * time.Millisecond}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.codec.Close)
	var topics []kafka.Topic
	for _, topic := range b.set.Topics() {
		ids, err := b.codec.Register(t.Context(), topic)
		if err != nil {
			t.Fatal(err)
		}
		b.ids[topic.Topic] = ids[len(ids)-1]
		src := kafka.EventTopic(topic.Contract, 1)
		topics = append(topics, src, kafka.DeadLetterTopic(src, "bank"))
	}
	if _, err := kafka.ApplyTopics(t.Context(), b.client, topics); err != nil {
		t.Fatal(err)
	}
	b.openStore()
	return b
}

func (b *bank) openStore() {
	b.t.Helper()
	s, err := sqlite.Open(b.t.Context(), sqlite.Config{Path: b.path}, []*store.Table{accounts, sums, limits, journal})
	if err != nil {
		b.t.Fatal(err)
	}
	b.store = s
	b.t.Cleanup(func() { s.Close() })
}

func decoderOf[T any](r *codec.Registry, t *schemas.Topic) func(context.Context, codec.Frame) (any, error) {
	d := codec.NewDecoder(r, t.Latest().Avro)
	return func(ctx context.Context, f codec.Frame) (any, error) {
		v := new(T)
		return v, d.Decode(ctx, f, v)
	}
}

func (b *bank) handlers() []*consume.Handler {
	at, _ := b.set.Topic("bank.accounts")
	et, _ := b.set.Topic("bank.entries")
	fields := func(t *schemas.Topic) consume.Fields {
		f := codec.FieldsOf(t.Latest())
		return consume.Fields{Key: f.Key, Version: f.Version, Time: f.Time}
	}
	return []*consume.Handler{
		{Topic: at, Decode: decoderOf[account](b.codec, at), Field: fields(at), NeedBefore: true,
			Project: func(e, before *consume.Event, c *consume.Changes) error {
				var delta int64
				if before != nil {
					delta -= before.Value.(*account).Limit
				}
				if e.Deleted {
					c.Remove(accounts, []any{e.Key})
				} else {
					a := e.Value.(*account)
					delta += a.Limit
					c.Put(accounts, []any{a.ID}, []any{a.Limit, a.Rate})
				}
				c.Add(limits, []any{"all"}, []int64{delta})
				return nil
			}},
		{Topic: et, Decode: decoderOf[entry](b.codec, et), Field: fields(et),
			Project: func(e, _ *consume.Event, c *consume.Changes) error {
				v := e.Value.(*entry)
				if v.Cents == -666 {
					return &consume.Refusal{Reason: "an entry that the service refuses"}
				}
				c.Add(sums, []any{v.Account}, []int64{v.Cents, 1})
				c.Append(journal, []any{v.Account, v.Cents})
				return nil
			}},
	}
}

// member is one running engine.
type member struct {
	*consume.Engine
	stop context.CancelFunc
	kill context.CancelFunc // ends what is still running then
	done chan error
}

// start runs a member over a store; adjust may change its configuration.
func (b *bank) start(s consume.Store, adjust ...func(*consume.Config)) *member {
	b.t.Helper()
	cfg := consume.Config{
		Group: "bank", Kafka: kafka.Config{Brokers: []string{b.broker.Addr()}, RetryBackoff: time.Millisecond}, Handlers: b.handlers(),
		// A refused batch waits for the next look at the metadata, 5 s by default.
		ClientOptions: []kgo.Opt{kgo.MetadataMinAge(10 * time.Millisecond)},
		RetryMin:      5 * time.Millisecond, RetryMax: 50 * time.Millisecond, MirrorEvery: 10 * time.Millisecond,
		SchemaPatience: 50 * time.Millisecond, BreakerPause: 60 * time.Millisecond,
		Log: slog.New(slog.NewTextHandler(b.logs, nil)),
	}
	for _, f := range adjust {
		f(&cfg)
	}
	eng, err := consume.New(cfg, s)
	if err != nil {
		b.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	abort, kill := context.WithCancel(context.Background())
	m := &member{Engine: eng, stop: cancel, kill: kill, done: make(chan error, 1)}
	go func() { m.done <- eng.Run(ctx, abort) }()
	b.running = append(b.running, m)
	b.t.Cleanup(func() {
		_ = m.end(b.t) // whoever wants to know what Run returned asks before
		kill()
	})
	return m
}

// members tells what every member is doing.
func (b *bank) members() string {
	var s strings.Builder
	for i, m := range b.running {
		fmt.Fprintf(&s, "member %d: %+v\n", i, m.Status())
	}
	return s.String()
}

// end stops the member and returns what Run returned.
func (m *member) end(t *testing.T) error {
	t.Helper()
	m.stop()
	select {
	case err := <-m.done:
		m.done <- err
		return err
	case <-time.After(20 * time.Second):
		t.Fatal("the member does not stop")
		return nil
	}
}

// produce sends records and waits for the broker.
func (b *bank) produce(records ...*kgo.Record) {
	b.t.Helper()
	if err := b.client.ProduceSync(b.t.Context(), records...).FirstErr(); err != nil {
		b.t.Fatal(err)
	}
}

// entry is a record of bank.entries on partition p.
func (b *bank) entry(id, account string, cents int64, p int32) *kgo.Record {
	return b.record("bank.entries", p, id, account, &entry{account, cents}, nil)
}

func (b *bank) account(id string, version, limit int64, p int32) *kgo.Record {
	return b.record("bank.accounts", p, fmt.Sprintf("%s-v%d-%d", id, version, limit), id, &account{ID: id, Version: version, Limit: limit}, &version)
}

func (b *bank) record(topic string, p int32, id, key string, v any, version *int64) *kgo.Record {
	b.t.Helper()
	t, _ := b.set.Topic(topic)
	value, err := codec.NewEncoder(t.Latest(), b.ids[topic]).AppendEncode(nil, v)
	if err != nil {
		b.t.Fatal(err)
	}
	env := event.Envelope{ID: id, Source: "/test", Type: t.Types[0], Time: time.UnixMicro(1e15), Subject: key}
	if version != nil {
		env.Sequence, env.HasSequence = *version, true
	}
	return &kgo.Record{Topic: topic, Partition: p, Key: []byte(key), Value: value, Headers: event.AppendHeaders[kgo.RecordHeader](nil, &env)}
}

// ends returns the last stable offset of every partition of both topics.
func (b *bank) ends() map[offsets.Partition]int64 {
	b.t.Helper()
	infos, err := kafka.DescribeTopics(b.t.Context(), b.client, "bank.accounts", "bank.entries")
	if err != nil {
		b.t.Fatal(err)
	}
	out := map[offsets.Partition]int64{}
	for _, i := range infos {
		for _, p := range i.Partitions {
			out[offsets.Partition{Topic: i.Name, ID: p.ID}] = p.StableEnd
		}
	}
	return out
}

// caughtUp waits until the store's positions are the ends of the log.
func (b *bank) caughtUp() {
	b.t.Helper()
	b.eventually("positions at the end of the log", func() error {
		stored, err := b.store.AllPositions(b.t.Context())
		if err != nil {
			return err
		}
		at := map[offsets.Partition]int64{}
		for _, p := range stored {
			at[p.Of()] = p.Next
		}
		for id, end := range b.ends() {
			if at[id] != end {
				return fmt.Errorf("%s is at %d of %d", id, at[id], end)
			}
		}
		return nil
	})
}

// eventually polls a condition until it holds.
func (b *bank) eventually(what string, holds func() error) {
	b.t.Helper()
	ctx, cancel := context.WithTimeout(b.t.Context(), 20*time.Second)
	defer cancel()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for {
		err := holds()
		if err == nil {
			return
		}
		select {
		case <-ctx.Done():
			b.t.Fatalf("%s: %v\n%s\nlog:\n%s", what, err, b.members(), b.logs)
		case <-tick.C:
		}
	}
}

// query returns the first column of the first row.
func (b *bank) query(q string, args ...any) int64 {
	b.t.Helper()
	db, err := sql.Open("sqlite", "file:"+b.path+"?mode=ro")
	if err != nil {
		b.t.Fatal(err)
	}
	defer db.Close()
	var n sql.NullInt64
	if err := db.QueryRow(q, args...).Scan(&n); err != nil {
		b.t.Fatalf("%s: %v", q, err)
	}
	return n.Int64
}

// wantQuery checks one number of the store.
func (b *bank) wantQuery(want int64, q string, args ...any) {
	b.t.Helper()
	if got := b.query(q, args...); got != want {
		b.t.Errorf("%s: got %d, want %d", q, got, want)
	}
}
