package testbed_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/internal/testbed"
)

// A record is there whichever broker is killed, stopped or frozen, and a cluster
// that has come back is whole.
func TestKafkaFaults(t *testing.T) {
	c := testbed.KafkaAlone(t)
	topic := kafka.Topic{Name: c.Name(".faults"), Partitions: 3, Replication: c.Replication()}
	if _, err := kafka.ApplyTopics(t.Context(), c.Client(), []kafka.Topic{topic}); err != nil {
		t.Fatal(err)
	}
	// A request to a frozen broker is given up in time for another one to answer.
	cfg := c.Config()
	cfg.RequestTimeout = 2 * time.Second
	client, err := kafka.NewClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	faults := []struct {
		name       string
		break_, up func(int32)
	}{
		{"kill", c.Kill, c.Start}, {"stop", c.Stop, c.Start}, {"freeze", c.Freeze, c.Thaw},
	}
	for i, f := range faults {
		n := int32(i%c.Size() + 1)
		f.break_(n)
		if err := answers(t, c, n); err == nil {
			t.Errorf("after %s broker %d answers", f.name, n)
		}
		if c.Size() > 1 {
			record := &kgo.Record{Topic: topic.Name, Value: []byte(f.name)}
			if err := client.ProduceSync(t.Context(), record).FirstErr(); err != nil {
				t.Errorf("broker %d after %s, of %d: %v", n, f.name, c.Size(), err)
			}
		}
		f.up(n)
		c.AwaitHealthy()
		if err := answers(t, c, n); err != nil {
			t.Errorf("broker %d is back and does not answer: %v", n, err)
		}
	}
}

// answers asks broker n something, which a frozen one leaves unanswered.
func answers(t *testing.T, c *testbed.Cluster, n int32) error {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Second)
	defer cancel()
	listed, err := c.Admin().ApiVersions(ctx)
	if err != nil {
		return err
	}
	for _, b := range listed {
		if b.NodeID == n {
			return b.Err
		}
	}
	return errors.New("not listed")
}

// What a test made in the cluster that it shares is gone after it.
func TestKafkaIsCleared(t *testing.T) {
	var name string
	t.Run("test", func(t *testing.T) {
		c := testbed.Kafka(t)
		name = c.Name(".events")
		if _, err := c.Admin().CreateTopic(t.Context(), 1, c.Replication(), nil, name); err != nil {
			t.Fatal(err)
		}
	})
	if name == "" {
		t.Skip("the test was skipped") // and has said why
	}
	topics, err := testbed.Kafka(t).Admin().ListTopics(t.Context(), name)
	if err != nil {
		t.Fatal(err)
	}
	if topics.Has(name) && topics[name].Err == nil {
		t.Errorf("%s is still there", name)
	}
}
