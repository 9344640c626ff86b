package kafka_test

import (
	"errors"
	"testing"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/offsets"
)

// What is wrong with one partition says nothing about the others.
func TestDescribeLogs(t *testing.T) {
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{broker.Addr()}}, kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{
		{Name: "a.bs", Partitions: 2, Replication: 1}, {Name: "a.cs", Partitions: 1, Replication: 1},
	}); err != nil {
		t.Fatal(err)
	}
	for range 3 {
		if err := client.ProduceSync(t.Context(), &kgo.Record{Topic: "a.bs", Partition: 1}).FirstErr(); err != nil {
			t.Fatal(err)
		}
	}
	if err := broker.Cluster().DeleteRecords("a.bs", 1, 1); err != nil {
		t.Fatal(err)
	}
	infos, err := kafka.DescribeTopics(t.Context(), client, "a.bs")
	if err != nil {
		t.Fatal(err)
	}
	sick := func(name string, id int32) bool { return name == "a.bs" && id == 0 }
	broker.Cluster().ControlKey(int16(kmsg.ListOffsets), func(req kmsg.Request) (kmsg.Response, error, bool) {
		broker.Cluster().KeepControl()
		asked := req.(*kmsg.ListOffsetsRequest)
		resp := asked.ResponseKind().(*kmsg.ListOffsetsResponse)
		ill := false
		for _, topic := range asked.Topics {
			rt := kmsg.NewListOffsetsResponseTopic()
			rt.Topic = topic.Topic
			for _, p := range topic.Partitions {
				rp := kmsg.NewListOffsetsResponseTopicPartition()
				rp.Partition, rp.Offset = p.Partition, 0
				if sick(topic.Topic, p.Partition) {
					rp.ErrorCode, ill = kerr.LeaderNotAvailable.Code, true
				} else if topic.Topic == "a.bs" {
					rp.Offset = map[int64]int64{-2: 1, -1: 3}[p.Timestamp]
				}
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, ill
	})
	logs, err := kafka.DescribeLogs(t.Context(), client, "a.bs", "a.cs", "a.ds")
	if err != nil {
		t.Fatal(err)
	}
	for id, want := range map[offsets.Partition]struct {
		log kafka.PartitionInfo
		err error
	}{
		{Topic: "a.bs", ID: 0}: {err: kerr.LeaderNotAvailable},
		{Topic: "a.bs", ID: 1}: {log: kafka.PartitionInfo{ID: 1, Start: 1, End: 3, StableEnd: 3}},
		{Topic: "a.bs", ID: 2}: {err: kerr.UnknownTopicOrPartition},
		{Topic: "a.cs", ID: 0}: {},
		{Topic: "a.ds", ID: 0}: {err: kafka.ErrUnknownTopic},
		{Topic: "a.es", ID: 0}: {err: kafka.ErrUnknownTopic}, // not asked for
	} {
		got := logs.Of(id)
		if !errors.Is(got.Err, want.err) || want.err == nil && got.PartitionInfo != want.log {
			t.Errorf("%s: got %+v %v, want %+v %v", id, got.PartitionInfo, got.Err, want.log, want.err)
		}
		if id.Topic == "a.bs" && id.ID < 2 && got.TopicID != infos[0].ID {
			t.Errorf("%s: topic ID %s, want %s", id, got.TopicID, infos[0].ID)
		}
	}
}
