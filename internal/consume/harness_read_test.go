package consume_test

import (
	"bytes"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/deadletter"
	"firehose/internal/kafka"
)

// deadLetters reads the group's dead letters of a topic.
func (b *bank) deadLetters(topic string) (reasons []deadletter.Reason, records []*kgo.Record) {
	b.t.Helper()
	name := kafka.DeadLetterName(topic, "bank")
	ends, err := kadm.NewClient(b.client).ListEndOffsets(b.t.Context(), name)
	if err != nil {
		b.t.Fatal(err)
	}
	want := 0
	start := map[string]map[int32]kgo.Offset{name: {}}
	ends.Each(func(o kadm.ListedOffset) {
		want += int(o.Offset)
		start[name][o.Partition] = kgo.NewOffset().AtStart()
	})
	reader, err := kafka.NewClient(kafka.Config{Brokers: []string{b.broker.Addr()}}, kgo.ConsumePartitions(start))
	if err != nil {
		b.t.Fatal(err)
	}
	defer reader.Close()
	for len(records) < want {
		f := reader.PollFetches(b.t.Context())
		if err := f.Err(); err != nil {
			b.t.Fatal(err)
		}
		records = append(records, f.Records()...)
	}
	for _, r := range records {
		reason, err := deadletter.ParseHeaders(r.Headers)
		if err != nil {
			b.t.Fatal(err)
		}
		reasons = append(reasons, reason)
	}
	return reasons, records
}

// logBuffer collects log lines.
type logBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *logBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *logBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
