package consume_test

import (
	"bytes"
	"context"
	"slices"
	"sync"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
	"github.com/twmb/franz-go/pkg/kmsg"

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

// refuse makes the broker refuse what is produced to a topic, until the func that
// it returns is called.
func (b *bank) refuse(topic string, with *kerr.Error) (accept func()) {
	b.t.Helper()
	infos, err := kafka.DescribeTopics(b.t.Context(), b.client, topic)
	if err != nil {
		b.t.Fatal(err)
	}
	id := [16]byte(infos[0].ID)
	ctx, accept := context.WithCancel(context.Background())
	b.t.Cleanup(accept)
	b.broker.Cluster().ControlKey(int16(kmsg.Produce), func(req kmsg.Request) (kmsg.Response, error, bool) {
		if ctx.Err() != nil {
			return nil, nil, false
		}
		b.broker.Cluster().KeepControl()
		p := req.(*kmsg.ProduceRequest)
		// A record of another topic that shares the request is refused with it.
		if !slices.ContainsFunc(p.Topics, func(t kmsg.ProduceRequestTopic) bool { return t.Topic == topic || t.TopicID == id }) {
			return nil, nil, false
		}
		resp := p.ResponseKind().(*kmsg.ProduceResponse)
		for _, t := range p.Topics {
			rt := kmsg.NewProduceResponseTopic()
			rt.Topic, rt.TopicID = t.Topic, t.TopicID
			for _, q := range t.Partitions {
				rp := kmsg.NewProduceResponseTopicPartition()
				rp.Partition, rp.ErrorCode = q.Partition, with.Code
				rt.Partitions = append(rt.Partitions, rp)
			}
			resp.Topics = append(resp.Topics, rt)
		}
		return resp, nil, true
	})
	return accept
}
