package kafka_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
)

// readAll starts a broker with a topic of one partition and three records and
// reads it.
func readAll(t *testing.T, prepare func(*kfake.Cluster), rc kafka.ReadConfig) ([]int64, error) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1), kfake.SeedTopics(1, "t"))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	cfg := kafka.Config{Brokers: cluster.ListenAddrs()}
	client, err := kafka.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	for range 3 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "t", Value: []byte("v")}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if prepare != nil {
		prepare(cluster)
	}
	rc.Topic = "t"
	var offsets []int64
	err = kafka.Read(t.Context(), cfg, rc, func(r *kafka.Record) (bool, error) {
		offsets = append(offsets, r.Offset)
		return true, nil
	})
	return offsets, err
}

// The last offsets of a compacted log may hold no record at all: the end that
// the broker names is never reached, and reading has to end all the same.
func TestReadEndsWhereNothingIsLeft(t *testing.T) {
	got, err := readAll(t, func(c *kfake.Cluster) {
		c.ControlKey(kmsg.ListOffsets.Int16(), func(req kmsg.Request) (kmsg.Response, error, bool) {
			c.KeepControl()
			r := req.(*kmsg.ListOffsetsRequest)
			resp := r.ResponseKind().(*kmsg.ListOffsetsResponse)
			for _, topic := range r.Topics {
				rt := kmsg.NewListOffsetsResponseTopic()
				rt.Topic = topic.Topic
				for _, p := range topic.Partitions {
					rp := kmsg.NewListOffsetsResponseTopicPartition()
					rp.Partition, rp.Offset = p.Partition, 0
					if p.Timestamp == -1 {
						rp.Offset = 10
					}
					rt.Partitions = append(rt.Partitions, rp)
				}
				resp.Topics = append(resp.Topics, rt)
			}
			return resp, nil, true
		})
	}, kafka.ReadConfig{Idle: 200 * time.Millisecond})
	if err != nil || len(got) != 3 {
		t.Errorf("got %v, %v, want 3 records", got, err)
	}
}

func TestReadFrom(t *testing.T) {
	for _, test := range []struct {
		from string
		want int
	}{{"beginning", 3}, {"end", 0}, {"0", 3}, {"2", 1}, {"3", 0}, {"99", 0}, {"-1", 1}, {"-99", 3}} {
		from, err := kafka.ParseFrom(test.from)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := readAll(t, nil, kafka.ReadConfig{From: from}); err != nil || len(got) != test.want {
			t.Errorf("from %s: got %v, %v, want %d records", test.from, got, err, test.want)
		}
	}
	for _, text := range []string{"", "start", "1.5", "--1"} {
		if _, err := kafka.ParseFrom(text); err == nil || !strings.Contains(err.Error(), "want beginning, end, a number") {
			t.Errorf("%q: got %v", text, err)
		}
	}
}

func TestReadUnknown(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(1))
	if err != nil {
		t.Fatal(err)
	}
	defer cluster.Close()
	err = kafka.Read(t.Context(), kafka.Config{Brokers: cluster.ListenAddrs()}, kafka.ReadConfig{Topic: "nothing"}, nil)
	if !errors.Is(err, kafka.ErrUnknownTopic) {
		t.Errorf("got %v, want %v", err, kafka.ErrUnknownTopic)
	}
}

func TestIsDeadLetterName(t *testing.T) {
	for _, test := range []struct {
		topic, group string
		want         bool
	}{
		{kafka.DeadLetterName("shop.orders", "billing"), "", true},
		{kafka.DeadLetterName("shop.orders", "billing"), "billing", true},
		{kafka.DeadLetterName("shop.orders", "e-billing"), "billing", false},
		{"shop.orders", "", false},
		{"-dlt", "", false},
	} {
		if got := kafka.IsDeadLetterName(test.topic, test.group); got != test.want {
			t.Errorf("%s of %q: got %v", test.topic, test.group, got)
		}
	}
}
