package kafka_test

import (
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
)

// Brokers of a real cluster deny a topic, or that its partitions have a leader,
// for a moment after it was created. Whoever created it can use it at once.
func TestCreatedTopicsAreServed(t *testing.T) {
	topic := kafka.Topic{Name: "a.bs", Partitions: 2, Replication: 1}
	for _, test := range []struct {
		name   string
		key    kmsg.Key
		err    *kerr.Error
		exists bool // by somebody else's doing
	}{
		{"leaders do not serve it", kmsg.ListOffsets, kerr.UnknownTopicOrPartition, false},
		{"brokers have not heard of it", kmsg.Metadata, kerr.UnknownTopicOrPartition, false},
		{"brokers have not heard of another's", kmsg.Metadata, kerr.UnknownTopicOrPartition, true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			broker, client := start(t)
			if test.exists {
				other, err := kafka.NewClient(kafka.Config{Brokers: []string{broker.Addr()}})
				if err != nil {
					t.Fatal(err)
				}
				defer other.Close()
				if _, err := kafka.ApplyTopics(t.Context(), other, []kafka.Topic{topic}); err != nil {
					t.Fatal(err)
				}
			}
			faults := broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{test.key}, Topic: "a.bs", Err: test.err, Count: 2})
			if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{topic}); err != nil {
				t.Fatal(err)
			}
			if _, err := kafka.DescribeTopics(t.Context(), client, "a.bs"); err != nil {
				t.Errorf("a moment later: %v", err)
			}
			if faults.Hits() == 0 {
				t.Error("no broker denied it: nothing is tested")
			}
		})
	}
}
