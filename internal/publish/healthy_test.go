package publish

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/schemas"
)

// An event that is published again, with its ID, is not one that the client has held
// since the look before.
func TestRepetitionIsAnotherSuspect(t *testing.T) {
	p := &Publisher{}
	of := &topic{Contract: schemas.Contract{Topic: "shop.orders"}}
	look := func(taken time.Duration) suspect {
		pd := &pending{id: "order-1-placed", topic: of, taken: taken}
		p.late.push(pd)
		defer p.late.remove(pd)
		return p.longestLate()[of.Topic]
	}
	first := look(time.Second)
	if first != look(time.Second) {
		t.Error("the same event is another one at the next look")
	}
	if first == look(time.Minute) {
		t.Error("its repetition seems to be the first one, held all the time")
	}
}

// Events are taken from the client only where nothing that the brokers know of
// keeps them.
func TestHealthy(t *testing.T) {
	well := kadm.PartitionDetail{Leader: 1, Replicas: []int32{1, 2, 3}, ISR: []int32{1, 3, 2}}
	leaderless, lagging, failed := well, well, well
	leaderless.Leader = -1
	lagging.ISR = []int32{1, 2}
	failed.Err = kerr.LeaderNotAvailable
	answers := map[int32]kadm.ListedOffset{0: {}, 1: {}}
	for _, test := range []struct {
		name  string
		topic kadm.TopicDetail
		ends  map[int32]kadm.ListedOffset
		want  bool
	}{
		{"well", kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: well, 1: well}}, answers, true},
		{"unknown", kadm.TopicDetail{}, answers, false},
		{"refused", kadm.TopicDetail{Err: kerr.TopicAuthorizationFailed, Partitions: kadm.PartitionDetails{0: well}}, answers, false},
		{"one without a leader", kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: well, 1: leaderless}}, answers, false},
		{"one with a replica behind", kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: well, 1: lagging}}, answers, false},
		{"one with an error", kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: failed, 1: well}}, answers, false},
		{
			"one whose leader does not answer", kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: well, 1: well}},
			map[int32]kadm.ListedOffset{0: {}}, false,
		},
		{
			"one whose leader answers with an error", kadm.TopicDetail{Partitions: kadm.PartitionDetails{0: well, 1: well}},
			map[int32]kadm.ListedOffset{0: {}, 1: {Err: kerr.NotLeaderForPartition}}, false,
		},
	} {
		if got := healthy(test.topic, test.ends); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// A leader that cannot be reached keeps the events of its own topics, and those of
// no other.
func TestLeaderOutOfReachKeepsItsOwnTopics(t *testing.T) {
	cluster, err := kfake.NewCluster(kfake.NumBrokers(2), kfake.SeedTopics(1, "near", "far"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	for node, topic := range []string{"near", "far"} {
		if err := cluster.MoveTopicPartition(topic, 0, int32(node)); err != nil {
			t.Fatal(err)
		}
	}
	addrs := cluster.ListenAddrs()
	client, err := kgo.NewClient(kgo.SeedBrokers(addrs[0]), kgo.RequestRetries(0),
		kgo.Dialer(func(ctx context.Context, network, addr string) (net.Conn, error) {
			if addr == addrs[1] {
				return nil, errors.New("cut")
			}
			return new(net.Dialer).DialContext(ctx, network, addr)
		}))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	p := &Publisher{client: client, cfg: Config{Log: slog.New(slog.DiscardHandler)}}
	for _, name := range []string{"near", "far"} {
		p.late.push(&pending{id: "of-" + name, topic: &topic{Contract: schemas.Contract{Topic: name}}})
	}
	suspects := p.suspect(t.Context(), nil)
	if _, near := suspects["near"]; !near || len(suspects) != 1 {
		t.Errorf("got %v, want the event of topic near, whose leader answers, alone", suspects)
	}
}
