package consume_test

import (
	"fmt"
	"path/filepath"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/consume"
	"firehose/internal/store"
	"firehose/internal/store/sqlite"
	"firehose/schemas"
)

// An ID counts again once its horizon is over, by the records' own timestamps: as
// often in one batch, which a rebuild makes, as when the events come one by one.
func TestHorizonsInOneBatchAndLive(t *testing.T) {
	const h = schemas.DefaultDedup
	zero := time.UnixMilli(0).Add(100 * h) // a slice begins there
	for _, test := range []struct {
		name  string
		times []time.Duration // of records that have one ID
		old   int             // of them, already in the store when the batch comes
		want  int64
	}{
		{"again at once", []time.Duration{0, 1}, 0, 1},
		{"in the next slice", []time.Duration{0, h}, 0, 1},
		{"two slices on", []time.Duration{0, 2 * h}, 0, 2},
		{"far apart", []time.Duration{0, 3 * h, 6 * h}, 0, 3},
		{"late", []time.Duration{3 * h, 0}, 0, 2},
		{"between two that are apart", []time.Duration{0, 2 * h, h}, 0, 2},
		{"beside the later one", []time.Duration{0, 2 * h, 3 * h}, 0, 2},
		{"one is stored", []time.Duration{0, 0, 3 * h}, 1, 2},
		{"one is stored, the batch begins elsewhere", []time.Duration{0, 3 * h, 0, 3 * h}, 1, 2},
		{"stored apart from each", []time.Duration{2 * h, 0, 5 * h, h}, 1, 3},
	} {
		t.Run(test.name, func(t *testing.T) {
			b := newBank(t)
			live := b.start(b.store)
			send := func(times []time.Duration) {
				for _, d := range times {
					r := b.entry("e", "a", 1, 0)
					r.Timestamp = zero.Add(d)
					b.produceAs(r, kgo.RecordDeliveryTimeout(0)) // which begins at the timestamp
					b.caughtUp()
				}
			}
			send(test.times[:test.old])
			again := b.another("again.db")
			if test.old > 0 { // the other one is stopped while the rest comes
				m := b.start(again, group("again"))
				b.reaches(again, int64(test.old))
				if err := m.end(t); err != nil {
					t.Fatal(err)
				}
			}
			send(test.times[test.old:])
			b.wantQuery(test.want, "SELECT sum(entries) FROM sums")
			if err := live.end(t); err != nil {
				t.Fatal(err)
			}
			b.start(again, group("again"))
			b.reaches(again, int64(len(test.times)))
			one, err := b.store.Hash(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			other, err := again.Hash(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if one != other {
				t.Error("the state after one batch is not the one after events one by one")
			}
		})
	}
}

func group(name string) func(*consume.Config) {
	return func(c *consume.Config) { c.Group = name }
}

// another opens one more store.
func (b *bank) another(name string) *sqlite.Store {
	b.t.Helper()
	s, err := sqlite.Open(b.t.Context(), sqlite.Config{Path: filepath.Join(b.t.TempDir(), name)},
		[]*store.Table{accounts, sums, limits, journal})
	if err != nil {
		b.t.Fatal(err)
	}
	b.t.Cleanup(func() { s.Close() })
	return s
}

// reaches waits until a store is at an offset of partition 0 of the entries.
func (b *bank) reaches(s *sqlite.Store, next int64) {
	b.t.Helper()
	b.eventually("the other store follows", func() error {
		all, err := s.AllPositions(b.t.Context())
		if err != nil {
			return err
		}
		for _, p := range all {
			if p.Topic == "bank.entries" && p.Partition == 0 && p.Next == next {
				return nil
			}
		}
		return fmt.Errorf("at %v, want %d", all, next)
	})
}
