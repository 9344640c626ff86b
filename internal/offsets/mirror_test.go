package offsets_test

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"
	"go.uber.org/goleak"

	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/offsets"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// A broker that does not answer one commit holds up whoever flushes next no
// longer than that one wants to wait, and nothing of it is forgotten.
func TestFlushBehindASilentCommit(t *testing.T) {
	broker, err := embedded.StartBroker(embedded.BrokerConfig{})
	if err != nil {
		t.Fatal(err)
	}
	defer broker.Close()
	joined := make(chan struct{})
	client, err := kafka.NewClient(kafka.Config{Brokers: []string{broker.Addr()}},
		kgo.ConsumerGroup("g"), kgo.ConsumeTopics("t"), kgo.DisableAutoCommit(),
		kgo.OnPartitionsAssigned(func(context.Context, *kgo.Client, map[string][]int32) { close(joined) }))
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	if _, err := kafka.ApplyTopics(t.Context(), client, []kafka.Topic{{Name: "t", Partitions: 1, Replication: 1}}); err != nil {
		t.Fatal(err)
	}
	<-joined

	silent, asked := make(chan struct{}), make(chan struct{})
	var once sync.Once
	broker.Cluster().ControlKey(int16(kmsg.OffsetCommit), func(kmsg.Request) (kmsg.Response, error, bool) {
		once.Do(func() { close(asked) })
		broker.Cluster().SleepControl(func() { <-silent })
		return nil, nil, false
	})
	mirror := offsets.NewMirror(client, "g", slog.New(slog.DiscardHandler))
	at := offsets.Position{Topic: "t", Next: 1, LeaderEpoch: offsets.NoEpoch}
	mirror.Own(at, "active")
	first := make(chan error, 1)
	go func() { first <- mirror.Flush(t.Context()) }()
	<-asked

	at.Next = 2
	mirror.Set(at, "active")
	impatient, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	second := make(chan error, 1)
	go func() { second <- mirror.Flush(impatient) }()
	select {
	case err := <-second:
		if !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("the second flush: got %v, want its deadline", err)
		}
	case <-time.After(5 * time.Second):
		t.Error("the second flush waits beyond its deadline")
	}
	close(silent)
	if err := <-first; err != nil {
		t.Errorf("the first flush: %v", err)
	}
	if err := mirror.Flush(t.Context()); err != nil {
		t.Errorf("the third flush: %v", err)
	}
	got, err := kadm.NewClient(client).FetchOffsets(t.Context(), "g")
	if err != nil {
		t.Fatal(err)
	}
	if o, _ := got.Lookup("t", 0); o.At != 2 || o.Metadata != offsets.Mark("active") {
		t.Errorf("committed: got %d %q, want 2 with our mark", o.At, o.Metadata)
	}
}
