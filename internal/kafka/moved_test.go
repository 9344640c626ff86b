package kafka_test

import (
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kfake"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

	"firehose/internal/kafka"
)

// A partition's leader moves when a broker dies, and the others need some
// seconds to agree on that. Once they have, the client must find the new leader
// soon: what waits has a deadline of its own.
func TestNewLeaderIsFoundSoon(t *testing.T) {
	broker, client := start(t)
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{{Name: "a.bs", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	produce := func() error {
		return client.ProduceSync(t.Context(), &kgo.Record{Topic: "a.bs", Key: []byte("k")}).FirstErr()
	}
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	// Twice, since the first answer after the move may still be the old one.
	moved := broker.Cluster().Fault(kfake.Fault{Keys: []kmsg.Key{kmsg.Produce}, Err: kerr.NotLeaderForPartition, Count: 2})
	began := time.Now()
	if err := produce(); err != nil {
		t.Fatal(err)
	}
	if took, most := time.Since(began), 4*time.Second; took > most {
		t.Errorf("it took %s, want at most %s", took, most)
	}
	if moved.Hits() != 2 {
		t.Errorf("%d of 2 requests were sent away: nothing is tested", moved.Hits())
	}
}
