package kafka_test

import (
	"errors"
	"fmt"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/schemas"
)

func start(t *testing.T) (*embedded.Broker, *kgo.Client) {
	t.Helper()
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { broker.Close() })
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{broker.Addr()}})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return broker, client
}

// murmur2 of keys as Java's client computes it: the first six are the vectors of
// Kafka's own UtilsTest, to be found as testMurmur2 there.
var murmur2 = []struct {
	key  string
	hash int32
}{
	{"21", -973932308},
	{"foobar", -790332482},
	{"a-little-bit-long-string", -985981536},
	{"a-little-bit-longer-string", -1486304829},
	{"lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971},
	{"abc", 479470107},
}

// A key lands where Java's DefaultPartitioner puts it, whatever the number of
// partitions.
func TestPartitionsAsJava(t *testing.T) {
	_, client := start(t)
	for _, n := range []int32{1, 3, 8, 12} {
		topic := fmt.Sprintf("keys.of-%d", n)
		if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{{Name: topic, Partitions: n, Replication: 1}}); err != nil {
			t.Fatal(err)
		}
		for _, v := range murmur2 {
			r, err := client.ProduceSync(t.Context(), &kgo.Record{Topic: topic, Key: []byte(v.key)}).First()
			if err != nil {
				t.Fatal(err)
			}
			want := (v.hash & 0x7fffffff) % n // Utils.toPositive, not the absolute value
			if r.Partition != want {
				t.Errorf("%q among %d: partition %d, want %d", v.key, n, r.Partition, want)
			}
		}
	}
}

func TestNewClientRefuses(t *testing.T) {
	for _, test := range []struct {
		name, names string
		cfg         kafka.Config
	}{
		{"broker without port", "localhost", kafka.Config{Brokers: []string{"localhost"}}},
		{"negative timeout", "timeout", kafka.Config{DialTimeout: -1}},
		{"tiny request timeout", "request timeout", kafka.Config{RequestTimeout: time.Millisecond}},
		{"tiny batch", "batch", kafka.Config{MaxBatchBytes: 10}},
		{"negative buffer", "buffer", kafka.Config{MaxBufferedBytes: -1}},
		{"tiny fetch", "fetch", kafka.Config{MaxFetchBytes: 10}},
	} {
		t.Run(test.name, func(t *testing.T) {
			client, err := kafka.NewClient(test.cfg)
			if err == nil {
				client.Close()
			}
			if err == nil || !strings.Contains(err.Error(), test.names) {
				t.Errorf("got %v, want an error that names %s", err, test.names)
			}
		})
	}
}

func TestEventTopic(t *testing.T) {
	for _, test := range []struct {
		name        string
		contract    schemas.Contract
		replication int16
		want        map[string]string // beyond what all have
	}{
		{
			"entity of one origin", schemas.Contract{Kind: schemas.Entity, Origins: schemas.One}, 1,
			map[string]string{"cleanup.policy": "compact"},
		},
		{
			"entity of many origins", schemas.Contract{Kind: schemas.Entity, Origins: schemas.Many}, 1,
			map[string]string{"cleanup.policy": "delete"},
		},
		{
			"fact, replicated", schemas.Contract{Kind: schemas.Fact, Origins: schemas.One}, 3,
			map[string]string{"cleanup.policy": "delete", "min.insync.replicas": "2"},
		},
	} {
		t.Run(test.name, func(t *testing.T) {
			test.contract.Topic, test.contract.Partitions = "a.bs", 5
			got := kafka.EventTopic(test.contract, test.replication)
			maps.Copy(test.want, map[string]string{
				"retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "1048588",
				"message.timestamp.type": "CreateTime", "unclean.leader.election.enable": "false",
			})
			want := kafka.Topic{Name: "a.bs", Partitions: 5, Replication: test.replication, Configs: test.want}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("topic (-want +got):\n%s", diff)
			}
		})
	}
}

func TestDeadLetterTopic(t *testing.T) {
	source := kafka.EventTopic(schemas.Contract{Topic: "shop.orders", Kind: schemas.Entity, Origins: schemas.One, Partitions: 8}, 3)
	want := kafka.Topic{
		Name: "shop.orders.billing-dlt", Partitions: 8, Replication: 3,
		Configs: map[string]string{
			"cleanup.policy": "delete", "retention.ms": "-1", "retention.bytes": "-1", "max.message.bytes": "1114124", "min.insync.replicas": "2",
			"unclean.leader.election.enable": "false",
		},
	}
	if diff := cmp.Diff(want, kafka.DeadLetterTopic(source, "billing")); diff != "" {
		t.Errorf("topic (-want +got):\n%s", diff)
	}
}

func TestApplyTopics(t *testing.T) {
	broker, client := start(t)
	apply := func(topic kafka.Topic) []kafka.TopicChange {
		t.Helper()
		changes, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{topic})
		if err != nil {
			t.Fatal(err)
		}
		return changes
	}
	topic := kafka.Topic{Name: "a.bs", Partitions: 4, Replication: 1, Configs: map[string]string{"retention.ms": "-1", "max.message.bytes": "100000"}}
	for _, test := range []struct {
		name   string
		change func(*kafka.Topic)
		want   []kafka.TopicChange
	}{
		{"created", func(*kafka.Topic) {}, []kafka.TopicChange{{Topic: "a.bs", Kind: kafka.Created, Key: "partitions", To: "4"}}},
		{"as it is", func(*kafka.Topic) {}, nil},
		{
			"limit raised", func(t *kafka.Topic) { t.Configs["max.message.bytes"] = "200000" },
			[]kafka.TopicChange{{Topic: "a.bs", Kind: kafka.Configured, Key: "max.message.bytes", From: "100000", To: "200000"}},
		},
		{"limit never lowered", func(t *kafka.Topic) { t.Configs["max.message.bytes"] = "50000" }, nil},
		{
			"policy changed", func(t *kafka.Topic) { t.Configs["cleanup.policy"] = "compact" },
			[]kafka.TopicChange{{Topic: "a.bs", Kind: kafka.Configured, Key: "cleanup.policy", From: "delete", To: "compact"}},
		},
		{
			"partitions differ", func(t *kafka.Topic) { t.Partitions = 6 },
			[]kafka.TopicChange{{Topic: "a.bs", Kind: kafka.Differs, Key: "partitions", From: "4", To: "6"}},
		},
	} {
		test.change(&topic)
		if diff := cmp.Diff(test.want, apply(topic)); diff != "" {
			t.Errorf("%s (-want +got):\n%s", test.name, diff)
		}
	}
	infos, err := kafka.DescribeTopics(t.Context(), client, "a.bs")
	if err != nil {
		t.Fatal(err)
	}
	if got := len(infos[0].Partitions); got != 4 {
		t.Errorf("got %d partitions, want the 4 there were", got)
	}
	broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.CreateTopics}, Err: kerr.TopicAuthorizationFailed, Count: -1})
	_, err = kafka.ApplyTopics(t.Context(), client, []kafka.Topic{{Name: "not.ours", Partitions: 1, Replication: 1}})
	if !errors.Is(err, kerr.TopicAuthorizationFailed) || !strings.Contains(err.Error(), "not.ours") {
		t.Errorf("got %v, want the broker's refusal with the topic's name", err)
	}
}

func TestDescribeTopics(t *testing.T) {
	broker, client := start(t)
	topic := kafka.Topic{Name: "a.bs", Partitions: 2, Replication: 1}
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{topic}); err != nil {
		t.Fatal(err)
	}
	produce := func(c *kgo.Client) {
		t.Helper()
		r := &kgo.Record{Topic: "a.bs", Key: []byte("21")} // partition 0 of 2
		if err := c.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	produce(client)
	produce(client)
	if err := broker.Cluster().DeleteRecords("a.bs", 0, 1); err != nil {
		t.Fatal(err)
	}
	// A transaction that is not finished holds the stable end back.
	tx, err := kafka.NewClient(kafka.Config{Brokers: []string{broker.Addr()}}, kgo.TransactionalID("t"))
	if err != nil {
		t.Fatal(err)
	}
	defer tx.Close()
	if err := tx.BeginTransaction(); err != nil {
		t.Fatal(err)
	}
	produce(tx)
	infos, err := kafka.DescribeTopics(t.Context(), client, "a.bs")
	if err != nil {
		t.Fatal(err)
	}
	want := []kafka.PartitionInfo{{ID: 0, Start: 1, StableEnd: 2, End: 3}, {ID: 1}}
	if diff := cmp.Diff(want, infos[0].Partitions); diff != "" {
		t.Errorf("partitions (-want +got):\n%s", diff)
	}
	if got := broker.Cluster().TopicInfo("a.bs").TopicID; infos[0].ID != got {
		t.Errorf("got ID %v, want %v", infos[0].ID, got)
	}
	if _, err := kafka.DescribeTopics(t.Context(), client, "a.bs", "no.such"); !errors.Is(err, kafka.ErrUnknownTopic) || !strings.Contains(err.Error(), "no.such") {
		t.Errorf("got %v, want ErrUnknownTopic that names no.such", err)
	}
	if infos, err := kafka.DescribeTopics(t.Context(), client); err != nil || len(infos) != 0 {
		t.Errorf("nothing asked: got %v, %v", infos, err)
	}
}
