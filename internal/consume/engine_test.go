package consume_test

import (
	"fmt"
	"testing"

	"github.com/twmb/franz-go/pkg/kadm"

	"firehose/internal/offsets"
)

func TestFoldsAndKeepsThePosition(t *testing.T) {
	b := newBank(t)
	for i := range 1000 {
		b.client.Produce(t.Context(), b.entry(fmt.Sprintf("e%d", i), fmt.Sprintf("a%d", i%10), int64(i), int32(i%2)), nil)
	}
	b.produce(b.account("a1", 1, 100, 0), b.account("a1", 2, 70, 0), b.account("a2", 1, 5, 1), b.account("a1", 1, 100, 0))
	if err := b.client.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
	m := b.start(b.store)
	b.caughtUp()
	b.wantQuery(499500, "SELECT sum(cents) FROM sums")
	b.wantQuery(1000, "SELECT sum(entries) FROM sums")
	b.wantQuery(1000, "SELECT count(*) FROM journal")
	b.wantQuery(70, "SELECT lim FROM accounts WHERE id='a1'")
	b.wantQuery(75, "SELECT total FROM limits")

	// The group's committed offsets follow, with our mark.
	b.eventually("mirror", func() error {
		got, err := kadm.NewClient(b.client).FetchOffsets(t.Context(), "bank")
		if err != nil {
			return err
		}
		for id, end := range b.ends() {
			o, _ := got.Lookup(id.Topic, id.ID)
			if state, ours := offsets.ParseMark(o.Metadata); o.At != end || !ours || state != "active" {
				return fmt.Errorf("%s: committed %d %q, log ends at %d", id, o.At, o.Metadata, end)
			}
		}
		return nil
	})
	if err := m.Ready(); err != nil {
		t.Errorf("ready: %v", err)
	}
	if err := m.end(t); err != nil {
		t.Errorf("run: %v", err)
	}
}
