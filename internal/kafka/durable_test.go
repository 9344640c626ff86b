package kafka_test

import (
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
)

const (
	inSync  = "min.insync.replicas"
	unclean = "unclean.leader.election.enable"
)

// startThree starts a cluster of three brokers.
func startThree(t *testing.T) (*kfake.Cluster, *kgo.Client) {
	t.Helper()
	cluster, err := kfake.NewCluster(kfake.NumBrokers(3))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(cluster.Close)
	client, err := kafka.NewClient(kafka.Config{Brokers: cluster.ListenAddrs()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return cluster, client
}

// How many brokers have to have a record before it is acknowledged follows from
// how many really hold it, whoever made the topic.
func TestInSyncFollowsFromTheRealReplication(t *testing.T) {
	replication := kafka.TopicChange{Topic: "a.bs", Kind: kafka.Differs, Key: "replication", From: "1", To: "3"}
	created := kafka.TopicChange{Topic: "a.bs", Kind: kafka.Created, Key: "partitions", To: "2"}
	configured := func(key, from, to string) kafka.TopicChange {
		return kafka.TopicChange{Topic: "a.bs", Kind: kafka.Configured, Key: key, From: from, To: to}
	}
	const none = 0
	for _, test := range []struct {
		name     string
		there    int16 // copies of the topic that is there already, or none
		config   map[string]string
		declared int16
		want     []kafka.TopicChange
		inSync   string
	}{
		{"new, three copies", none, nil, 3, []kafka.TopicChange{created}, "2"},
		{"new, the cluster's default", none, nil, -1, []kafka.TopicChange{created}, "2"},
		{"new, two copies", none, nil, 2, []kafka.TopicChange{created}, "1"},
		{"new, one copy", none, nil, 1, []kafka.TopicChange{created}, "1"},
		{"there, one copy where three are declared", 1, nil, 3, []kafka.TopicChange{replication}, "1"},
		{"there, one copy and the default declared", 1, nil, -1, nil, "1"},
		{"there, three copies and the default declared", 3, nil, -1, []kafka.TopicChange{configured(inSync, "1", "2")}, "2"},
		{"there, three copies where one is declared", 3, nil, 1, []kafka.TopicChange{
			{Topic: "a.bs", Kind: kafka.Differs, Key: "replication", From: "3", To: "1"}, configured(inSync, "1", "2"),
		}, "2"},
		{"there, the operator wants more in sync", 3, map[string]string{inSync: "3"}, 3, nil, "3"},
		{"there, unclean", 3, map[string]string{inSync: "2", unclean: "true"}, 3, []kafka.TopicChange{configured(unclean, "true", "false")}, "2"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			_, client := startThree(t)
			admin := kadm.NewClient(client)
			if test.there != none {
				configs := map[string]*string{unclean: kadm.StringPtr("false")}
				for k, v := range test.config {
					configs[k] = &v
				}
				if _, err := admin.CreateTopic(t.Context(), 2, test.there, configs, "a.bs"); err != nil {
					t.Fatal(err)
				}
			}
			declared := kafka.Topic{Name: "a.bs", Partitions: 2, Replication: test.declared, Configs: map[string]string{unclean: "false"}}
			if declared.Replication >= 3 {
				declared.Configs[inSync] = "2" // as EventTopic does
			}
			got, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{declared})
			if err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("changes (-want +got):\n%s", diff)
			}
			values, err := kafka.TopicSetting(t.Context(), client, inSync, "a.bs")
			if err != nil {
				t.Fatal(err)
			}
			if got := values["a.bs"]; got != test.inSync {
				t.Errorf("%s is %s, want %s", inSync, got, test.inSync)
			}
			again, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{declared})
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range again {
				if change.Kind != kafka.Differs {
					t.Errorf("again: got %+v", change)
				}
			}
		})
	}
}

// Brokers before 2.4, and users who may not see configurations, are not told how
// many copies there are to be: it is seen when the topic is there.
func TestInSyncWhereTheDefaultIsNotTold(t *testing.T) {
	cluster, client := startThree(t)
	cluster.ControlKey(int16(kmsg.CreateTopics), func(req kmsg.Request) (kmsg.Response, error, bool) {
		create := req.(*kmsg.CreateTopicsRequest)
		if !create.ValidateOnly {
			return nil, nil, false
		}
		resp := create.ResponseKind().(*kmsg.CreateTopicsResponse)
		for _, t := range create.Topics {
			topic := kmsg.NewCreateTopicsResponseTopic()
			topic.Topic, topic.NumPartitions, topic.ReplicationFactor = t.Topic, -1, -1
			resp.Topics = append(resp.Topics, topic)
		}
		return resp, nil, true
	})
	got, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{{Name: "a.bs", Partitions: 2, Replication: -1}})
	if err != nil {
		t.Fatal(err)
	}
	want := []kafka.TopicChange{
		{Topic: "a.bs", Kind: kafka.Created, Key: "partitions", To: "2"},
		{Topic: "a.bs", Kind: kafka.Configured, Key: inSync, From: "1", To: "2"},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("changes (-want +got):\n%s", diff)
	}
}
