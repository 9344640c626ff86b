package embedded_test

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
)

// childDir tells the test binary that it is the broker to be killed.
const childDir = "FIREHOSE_TEST_BROKER_DIR"

// TestBrokerProcess is the body of the child process: it runs a broker, writes
// to it without end and says on standard output what was acknowledged.
func TestBrokerProcess(t *testing.T) {
	dir := os.Getenv(childDir)
	if dir == "" {
		t.Skip("is run by TestBrokerSurvivesSIGKILL")
	}
	broker, err := embedded.StartBroker(embedded.BrokerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	client := newClient(t, broker.Addr())
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{killTopic}); err != nil {
		t.Fatal(err)
	}
	infos, err := kafka.DescribeTopics(t.Context(), client, killTopic.Name)
	if err != nil {
		t.Fatal(err)
	}
	out := json.NewEncoder(os.Stdout)
	if err := out.Encode(acknowledged{TopicID: infos[0].ID.String()}); err != nil {
		t.Fatal(err)
	}
	admin := kadm.NewClient(client)
	for n := 0; ; n++ {
		r, err := client.ProduceSync(t.Context(), &kgo.Record{
			Topic: killTopic.Name, Key: fmt.Appendf(nil, "key-%d", n), Value: fmt.Appendf(nil, "value-%d", n),
		}).First()
		if err != nil {
			t.Fatal(err)
		}
		a := acknowledged{Value: string(r.Value), Partition: r.Partition, Offset: r.Offset}
		if n%10 == 0 {
			var commit kadm.Offsets
			commit.AddOffset(r.Topic, r.Partition, r.Offset+1, -1)
			if err := admin.CommitAllOffsets(t.Context(), killGroup, commit); err != nil {
				t.Fatal(err)
			}
			a.Committed = true
		}
		if err := out.Encode(a); err != nil {
			t.Fatal(err)
		}
	}
}

var killTopic = kafka.Topic{Name: "kill.events", Partitions: 3, Replication: 1, Configs: map[string]string{"retention.ms": "-1"}}

const killGroup = "killed"

// acknowledged is a line of the child: first the topic's ID, then records.
type acknowledged struct {
	TopicID   string
	Value     string
	Partition int32
	Offset    int64
	Committed bool // the group is one past it
}

type place struct {
	Partition int32
	Offset    int64
}

func TestBrokerSurvivesSIGKILL(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "kafka")
	var topicID string
	written := map[place]string{}
	committed := map[int32]int64{}
	for round := range 3 {
		child := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestBrokerProcess$")
		child.Env = append(os.Environ(), childDir+"="+dir)
		child.Stderr = os.Stderr
		stdout, err := child.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := child.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(stdout)
		for n := 0; lines.Scan(); n++ {
			var a acknowledged
			if err := json.Unmarshal(lines.Bytes(), &a); err != nil {
				t.Errorf("round %d: child says %q", round, lines.Text())
				continue
			}
			switch {
			case a.TopicID != "" && topicID == "":
				topicID = a.TopicID
			case a.TopicID != "":
				if a.TopicID != topicID {
					t.Errorf("round %d: topic ID %s, was %s", round, a.TopicID, topicID)
				}
			default:
				at := place{a.Partition, a.Offset}
				if before, ok := written[at]; ok {
					t.Fatalf("round %d: %+v was given to %s and to %s", round, at, before, a.Value)
				}
				written[at] = a.Value
				if a.Committed {
					committed[a.Partition] = a.Offset + 1
				}
			}
			if n == 200 {
				if err := child.Process.Kill(); err != nil { // what was on its way is in the pipe still
					t.Fatal(err)
				}
			}
		}
		child.Wait() //nolint:errcheck // it was killed
	}
	if len(written) < 600 {
		t.Fatalf("only %d records acknowledged", len(written))
	}

	broker, err := embedded.StartBroker(embedded.BrokerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client := newClient(t, broker.Addr())
	infos, err := kafka.DescribeTopics(t.Context(), client, killTopic.Name)
	if err != nil {
		t.Fatal(err)
	}
	if got := infos[0].ID.String(); got != topicID {
		t.Errorf("topic ID is %s, was %s", got, topicID)
	}
	found := map[place]string{}
	for _, r := range consume(t, broker.Addr(), infos[0]) {
		found[place{r.Partition, r.Offset}] = string(r.Value)
	}
	for at, value := range written {
		if found[at] != value {
			t.Errorf("acknowledged %s at %+v, found %q", value, at, found[at])
		}
	}
	offsets, err := kadm.NewClient(client).FetchOffsets(t.Context(), killGroup)
	if err != nil {
		t.Fatal(err)
	}
	for partition, want := range committed {
		// The last commit may have been made and not told.
		if got, _ := offsets.Lookup(killTopic.Name, partition); got.At < want {
			t.Errorf("partition %d: group offset %d, want at least %d", partition, got.At, want)
		}
	}
}

func TestBrokerRestarts(t *testing.T) {
	dir := t.TempDir()
	start := func() (*embedded.Broker, *kgo.Client) {
		broker, err := embedded.StartBroker(embedded.BrokerConfig{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		return broker, newClient(t, broker.Addr())
	}
	broker, client := start()
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{killTopic}); err != nil {
		t.Fatal(err)
	}
	if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: killTopic.Name, Key: []byte("a"), Value: []byte("b")}).FirstErr(); err != nil {
		t.Fatal(err)
	}
	before, err := kafka.DescribeTopics(t.Context(), client, killTopic.Name)
	if err != nil {
		t.Fatal(err)
	}
	if err := broker.Close(); err != nil {
		t.Fatal(err)
	}
	if err := broker.Close(); err != nil {
		t.Errorf("second Close: %v", err)
	}
	broker, client = start()
	defer broker.Close()
	after, err := kafka.DescribeTopics(t.Context(), client, killTopic.Name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(before, after); diff != "" {
		t.Errorf("topic (-before +after):\n%s", diff)
	}
}

func TestBrokerDoesNotCreateTopics(t *testing.T) {
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client := newClient(t, broker.Addr(), kgo.AllowAutoTopicCreation(), kgo.UnknownTopicRetries(0))
	err = client.ProduceSync(t.Context(), &kgo.Record{Topic: "nobody.declared", Value: []byte("v")}).FirstErr()
	if !errors.Is(err, kerr.UnknownTopicOrPartition) {
		t.Errorf("got %v, want UNKNOWN_TOPIC_OR_PARTITION", err)
	}
}

func TestBrokerRefuses(t *testing.T) {
	dir := t.TempDir()
	first, err := embedded.StartBroker(embedded.BrokerConfig{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	defer first.Close()
	for _, test := range []struct {
		name  string
		cfg   embedded.BrokerConfig
		is    error
		names string
	}{
		{"a taken address", embedded.BrokerConfig{Addr: first.Addr()}, embedded.ErrAddrTaken, first.Addr()},
		{"a taken directory", embedded.BrokerConfig{Dir: dir}, embedded.ErrDirTaken, dir},
		{"no port", embedded.BrokerConfig{Addr: "localhost"}, nil, "localhost"},
		{"a bad port", embedded.BrokerConfig{Addr: "localhost:99999"}, nil, "99999"},
		{"an address nobody can connect to", embedded.BrokerConfig{Addr: "0.0.0.0:0"}, nil, "0.0.0.0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			broker, err := embedded.StartBroker(test.cfg)
			if err == nil {
				broker.Close()
				t.Fatal("got a broker")
			}
			if test.is != nil && !errors.Is(err, test.is) || !strings.Contains(err.Error(), test.names) {
				t.Errorf("got %v, want %v that names %s", err, test.is, test.names)
			}
		})
	}
	// What a refused start took it gave back.
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}
	again, err := embedded.StartBroker(embedded.BrokerConfig{Dir: dir, Addr: first.Addr()})
	if err != nil {
		t.Fatal(err)
	}
	if err := again.Close(); err != nil {
		t.Error(err)
	}
}

// Compaction keeps the last record of a key, but for the newest batch, and the
// offsets that remain.
func TestBrokerCompacts(t *testing.T) {
	broker, err := embedded.StartBroker(embedded.BrokerConfig{Dir: t.TempDir()})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client := newClient(t, broker.Addr(), kgo.RecordDeliveryTimeout(0)) // it counts from the record's timestamp
	topic := kafka.Topic{Name: "compact.me", Partitions: 1, Replication: 1, Configs: map[string]string{"cleanup.policy": "compact", "retention.ms": "-1"}}
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{topic}); err != nil {
		t.Fatal(err)
	}
	for i := range 10 {
		r := &kgo.Record{Topic: topic.Name, Key: fmt.Appendf(nil, "key-%d", i%2), Value: fmt.Appendf(nil, "%d", i),
			Timestamp: time.Now().Add(-365 * 24 * time.Hour)} // age is no reason to go
		if err := client.ProduceSync(t.Context(), r).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	broker.Compact()
	infos, err := kafka.DescribeTopics(t.Context(), client, topic.Name)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, r := range consume(t, broker.Addr(), infos[0]) {
		got = append(got, fmt.Sprintf("%d=%s", r.Offset, r.Value))
	}
	// 8 is the last of key-0; 7 is key-1's last before the newest batch, 9.
	if diff := cmp.Diff([]string{"7=7", "8=8", "9=9"}, got); diff != "" {
		t.Errorf("records (-want +got):\n%s", diff)
	}
}

// A group's members get their partitions at once: nothing delays the first
// rebalance.
func TestBrokerJoinsGroupsFast(t *testing.T) {
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client := newClient(t, broker.Addr())
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{killTopic}); err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	assigned := make(chan int, 10)
	newClient(t, broker.Addr(), kgo.ConsumerGroup("g"), kgo.ConsumeTopics(killTopic.Name),
		kgo.OnPartitionsAssigned(func(_ context.Context, _ *kgo.Client, got map[string][]int32) {
			assigned <- len(got[killTopic.Name])
		}))
	if got := <-assigned; got != 3 {
		t.Errorf("got %d partitions, want 3", got)
	}
	if took := time.Since(began); took > 2*time.Second {
		t.Errorf("took %s", took)
	}
}

func newClient(t *testing.T, addr string, opts ...kgo.Opt) *kgo.Client {
	t.Helper()
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{addr}}, opts...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// consume returns what is in the topic, by partition and offset.
func consume(t *testing.T, addr string, info kafka.TopicInfo) []*kgo.Record {
	t.Helper()
	client := newClient(t, addr, kgo.ConsumeTopics(info.Name), kgo.ConsumeStartOffset(kgo.NewOffset().AtStart()))
	left := map[int32]int64{}
	for _, p := range info.Partitions {
		if p.End > p.Start {
			left[p.ID] = p.End - 1
		}
	}
	var all []*kgo.Record
	for len(left) > 0 {
		fetches := client.PollFetches(t.Context())
		if err := fetches.Err(); err != nil {
			t.Fatal(err)
		}
		fetches.EachRecord(func(r *kgo.Record) {
			all = append(all, r)
			if r.Offset >= left[r.Partition] {
				delete(left, r.Partition)
			}
		})
	}
	return all
}
