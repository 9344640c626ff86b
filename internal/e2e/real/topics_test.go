package real_test

import (
	"fmt"
	"maps"
	"strconv"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/schemas"
)

// What is applied can be described and written at once, by clients that have
// never heard of it; applied again it is as declared, since the cluster tells
// every setting as we wrote it.
func TestAppliedTopics(t *testing.T) {
	c := start(t)
	var topics []kafka.Topic
	for i, kind := range []schemas.Kind{schemas.Entity, schemas.Fact} {
		source := kafka.EventTopic(schemas.Contract{
			Topic: fmt.Sprintf("%s.%d", c.Name(""), i), Kind: kind, Origins: schemas.One, Partitions: 8,
		}, c.Replication())
		topics = append(topics, source, kafka.DeadLetterTopic(source, "reader"))
	}
	changes, err := kafka.ApplyTopics(c.context(), c.Client(), topics)
	if err != nil {
		t.Fatal(err)
	}
	stranger, err := kafka.NewClient(c.Config())
	if err != nil {
		t.Fatal(err)
	}
	defer stranger.Close()
	var want []kafka.TopicChange
	for _, topic := range topics {
		want = append(want, kafka.TopicChange{Topic: topic.Name, Kind: kafka.Created, Key: "partitions", To: "8"})
		infos, err := kafka.DescribeTopics(c.context(), stranger, topic.Name)
		if err != nil {
			t.Fatalf("%s, just created: %v", topic.Name, err)
		}
		if len(infos[0].Partitions) != 8 || infos[0].ID == (kafka.TopicInfo{}).ID {
			t.Errorf("%s: %d partitions, ID %v", topic.Name, len(infos[0].Partitions), infos[0].ID)
		}
		if err := stranger.ProduceSync(c.context(), &kgo.Record{Topic: topic.Name, Key: []byte("k")}).FirstErr(); err != nil {
			t.Errorf("%s, just created: %v", topic.Name, err)
		}
	}
	if diff := cmp.Diff(want, changes); diff != "" {
		t.Errorf("first time (-want +got):\n%s", diff)
	}
	if changes, err = kafka.ApplyTopics(c.context(), c.Client(), topics); err != nil || len(changes) > 0 {
		t.Errorf("again: %v, %v, want no change", changes, err)
	}
	topics[0].Configs = maps.Clone(topics[0].Configs)
	topics[0].Configs["max.message.bytes"] = "2000000"
	changes, err = kafka.ApplyTopics(c.context(), c.Client(), topics[:1])
	want = []kafka.TopicChange{{
		Topic: topics[0].Name, Kind: kafka.Configured, Key: "max.message.bytes",
		From: strconv.Itoa(kafka.MaxMessageBytes), To: "2000000",
	}}
	if diff := cmp.Diff(want, changes); err != nil || diff != "" {
		t.Errorf("limit raised: %v (-want +got):\n%s", err, diff)
	}
}

// A cluster on which a typing error makes a topic would hide it for ever.
func TestTopicsAreNotMadeByThemselves(t *testing.T) {
	c := start(t)
	err := c.Client().ProduceSync(c.context(), &kgo.Record{Topic: c.Name(".typo"), Key: []byte("k")}).FirstErr()
	if got, want := kerr.TypedErrorForCode(3), err; want == nil || want.Error() != got.Error() {
		t.Errorf("got %v, want %v", err, got)
	}
}
