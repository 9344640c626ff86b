package consume

import (
	"sync"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/offsets"
)

// What waits is bounded by what it takes in memory, of which headers may be the
// most.
func TestQueueBytesCountHeaders(t *testing.T) {
	for name, test := range map[string]struct {
		headers []kgo.RecordHeader
		want    int // at least
	}{
		"values":       {[]kgo.RecordHeader{{Key: "k", Value: make([]byte, 1<<20)}}, 1 << 20},
		"keys":         {[]kgo.RecordHeader{{Key: string(make([]byte, 1<<20))}}, 1 << 20},
		"many of them": {make([]kgo.RecordHeader, 1<<15), 1 << 20}, // two bytes each on the wire
	} {
		id := offsets.Partition{Topic: "t"}
		p := &partition{id: id, state: Active}
		e := &Engine{cfg: Config{MaxQueueBytes: 1 << 30}, parts: map[offsets.Partition]*partition{id: p}, polls: 1}
		e.changed = sync.NewCond(&e.mu)
		e.enqueue(kgo.FetchTopicPartition{Topic: "t", FetchPartition: kgo.FetchPartition{
			Records: []*kgo.Record{{Topic: "t", Headers: test.headers}},
		}})
		if p.queuedBytes < test.want {
			t.Errorf("%s: counts for %d bytes, want %d at least", name, p.queuedBytes, test.want)
		}
	}
}
