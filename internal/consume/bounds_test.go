package consume_test

import (
	"bytes"
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/consume"
)

// Headers count like values where a transaction is bounded in bytes: a record may
// consist of them.
func TestBatchBytesCountHeaders(t *testing.T) {
	b := newBank(t)
	const n, size, most = 20, 32 << 10, 4
	for i := range n {
		r := b.entry(fmt.Sprint("e", i), "a", 1, 0)
		r.Headers = append(r.Headers, kgo.RecordHeader{Key: "large", Value: bytes.Repeat([]byte{'x'}, size)})
		b.client.Produce(t.Context(), r, nil)
	}
	if err := b.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	into := &batches{Store: b.store}
	b.start(into, func(c *consume.Config) { c.MaxBatchBytes = (most + 1) * size })
	b.caughtUp()
	b.wantQuery(n, "SELECT sum(entries) FROM sums")
	into.mu.Lock()
	defer into.mu.Unlock()
	for _, batch := range into.all {
		for _, m := range batch.Moves {
			if events := m.Next - m.From.Next; events > most {
				t.Errorf("a transaction of %d events of %d bytes, want %d at most", events, size, most)
			}
		}
	}
}
