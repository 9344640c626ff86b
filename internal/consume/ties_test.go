package consume_test

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kgo"
	"pgregory.net/rapid"

	"firehose/internal/codec"
	"firehose/internal/consume"
	"firehose/internal/event"
	"firehose/internal/store"
)

// asRows makes the accounts a projection that sees no before: the store decides.
func asRows(cfg *consume.Config) {
	h := *cfg.Handlers[0]
	h.NeedBefore = false
	h.Project = func(e, _ *consume.Event, c *consume.Changes) error {
		if e.Deleted {
			c.Remove(accounts, []any{e.Key})
			return nil
		}
		v := e.Value.(*account)
		c.Put(accounts, []any{v.ID}, []any{v.Limit, v.Rate})
		return nil
	}
	cfg.Handlers = []*consume.Handler{&h, cfg.Handlers[1]}
}

// Two bodies under one stamp leave one winner and one loser, whichever came first
// and whether they met in a batch, in the store or both.
func TestOneStampOfTwoBodies(t *testing.T) {
	for name, adjust := range map[string]func(*consume.Config){
		"rows": asRows, "images": func(*consume.Config) {},
	} {
		for _, order := range [][]int64{{70, 300}, {300, 70}} {
			for _, batches := range []int{1, 2} {
				t.Run(fmt.Sprintf("%s/%v/%d", name, order, batches), func(t *testing.T) {
					b := newBank(t)
					one := func(limit int64) *kgo.Record {
						v := int64(1)
						return b.record("bank.accounts", 0, "same", "a", &account{ID: "a", Version: v, Limit: limit}, &v)
					}
					if batches == 2 {
						b.start(b.store, adjust)
						for _, limit := range order {
							b.produce(one(limit))
							b.caughtUp()
						}
					} else {
						b.produce(one(order[0]), one(order[1]))
						b.start(b.store, adjust)
						b.caughtUp()
					}
					b.produce(one(order[0]), one(order[1])) // each of them again
					b.caughtUp()
					// As Avro the greater begins with the greater byte, so that
					// bytes and values agree here.
					b.wantQuery(300, "SELECT lim FROM accounts WHERE id='a'")
					b.wantQuery(1, "SELECT count(*) FROM conflicts WHERE encoding = 'event'")
					b.wantQuery(1, "SELECT count(*) FROM conflicts")
					if name == "images" {
						b.wantQuery(300, "SELECT total FROM limits")
					}
				})
			}
		}
	}
}

// A delete that orders after a concurrent state displaces it, one that orders
// before loses to it; both are recorded.
func TestConcurrentDeleteIsRecorded(t *testing.T) {
	for _, c := range []struct {
		tombstone, encoding string
		left                int64
	}{{"z", "columns", 0}, {"0", "none", 1}} {
		t.Run(c.tombstone, func(t *testing.T) {
			b := newBank(t)
			b.start(b.store, asRows)
			v := int64(1)
			b.produce(b.record("bank.accounts", 0, "m", "a", &account{ID: "a", Version: v, Limit: 5}, &v))
			b.caughtUp()
			gone := b.record("bank.accounts", 0, c.tombstone, "a", &account{ID: "a", Version: v}, &v)
			gone.Value = nil
			b.produce(gone)
			b.caughtUp()
			b.wantQuery(c.left, "SELECT count(*) FROM accounts")
			b.wantQuery(1, "SELECT count(*) FROM conflicts WHERE encoding = ?", c.encoding)
		})
	}
}

// An event whose schema travels in a header is the same event when it comes
// again: the image keeps the schema in front.
func TestSchemaInAHeaderIsNoOtherBody(t *testing.T) {
	b := newBank(t)
	b.start(b.store)
	v := int64(1)
	r := b.record("bank.accounts", 0, "same", "a", &account{ID: "a", Version: v, Limit: 5}, &v)
	r.Headers = append(r.Headers, kgo.RecordHeader{Key: codec.SchemaIDHeader, Value: r.Value[:5]})
	r.Value = r.Value[5:]
	for range 2 {
		b.produce(r)
		b.caughtUp()
	}
	b.wantQuery(5, "SELECT lim FROM accounts WHERE id='a'")
	b.wantQuery(0, "SELECT count(*) FROM conflicts")
	b.wantQuery(0, "SELECT count(*) FROM firehose_dead_letters")
}

// A conflict keeps what it takes to decode the loser: a schema that travels in a
// header is put in front of it.
func TestConflictKeepsTheSchemaOfAHeader(t *testing.T) {
	for _, batches := range []int{1, 2} {
		for name, two := range map[string]func(b *bank) [2]*kgo.Record{
			"rows": func(b *bank) [2]*kgo.Record {
				one := func(limit int64) *kgo.Record {
					v := int64(1)
					return b.record("bank.accounts", 0, "same", "a", &account{ID: "a", Version: v, Limit: limit}, &v)
				}
				return [2]*kgo.Record{one(300), one(70)}
			},
			"facts": func(b *bank) [2]*kgo.Record {
				return [2]*kgo.Record{b.entry("same", "a", 1, 0), b.entry("same", "a", 2, 0)}
			},
		} {
			t.Run(fmt.Sprintf("%s/%d", name, batches), func(t *testing.T) {
				b := newBank(t)
				records := two(b)
				want := fmt.Sprintf("%X", records[1].Value)
				for _, r := range records {
					r.Headers = append(r.Headers, kgo.RecordHeader{Key: codec.SchemaIDHeader, Value: r.Value[:5]})
					r.Value = r.Value[5:]
				}
				if batches == 2 {
					b.start(b.store, asRows)
					b.produce(records[0])
					b.caughtUp()
					b.produce(records[1])
				} else {
					b.produce(records[:]...)
					b.start(b.store, asRows)
				}
				b.caughtUp()
				if got := b.texts("SELECT hex(body) FROM conflicts"); !slices.Equal(got, []string{want}) {
					t.Errorf("bodies: got %s, want %s", got, want)
				}
			})
		}
	}
}

// The tables are a pure function of the set of events, also where one stamp has
// several bodies.
func TestFoldIsAFunctionOfTheSet(t *testing.T) {
	b := newBank(t)
	topic, _ := b.set.Topic("bank.accounts")
	encoder := codec.NewEncoder(topic.Latest(), b.ids["bank.accounts"])
	type happening struct {
		version, limit int64
		key, id        string
		deleted        bool
	}
	one := rapid.Custom(func(t *rapid.T) happening {
		return happening{
			version: rapid.Int64Range(1, 3).Draw(t, "version"), limit: rapid.Int64Range(-100, 100).Draw(t, "limit"),
			key: rapid.SampledFrom([]string{"a", "b"}).Draw(t, "key"), id: rapid.SampledFrom([]string{"x", "y"}).Draw(t, "ID"),
			deleted: rapid.IntRange(0, 4).Draw(t, "kind") == 0,
		}
	})
	for name, adjust := range map[string]func(*consume.Config){"rows": asRows, "images": func(*consume.Config) {}} {
		t.Run(name, func(t *testing.T) {
			cfg := consume.Config{Handlers: b.handlers()}
			adjust(&cfg)
			rapid.Check(t, func(rt *rapid.T) {
				set := rapid.SliceOfN(one, 1, 8).Draw(rt, "events")
				fold := func(events []happening) [][]any {
					f := consume.NewFold(cfg.Handlers, []*store.Table{accounts, sums, limits, journal})
					for _, h := range events {
						// A key is part of what makes an event ID.
						env := &event.Envelope{ID: h.key + h.id, Source: "/test", Type: topic.Types[0], Time: time.UnixMicro(1e15), Subject: h.key, Sequence: h.version, HasSequence: true}
						var value []byte
						if !h.deleted {
							var err error
							value, err = encoder.AppendEncode(nil, &account{ID: h.key, Version: h.version, Limit: h.limit})
							if err != nil {
								rt.Fatal(err)
							}
						}
						if err := f.Apply(rt.Context(), "bank.accounts", env, value); err != nil {
							rt.Fatal(err)
						}
					}
					return slices.Concat(f.Rows("accounts"), f.Rows("limits"))
				}
				other := rapid.Permutation(set).Draw(rt, "order")
				other = append(other, rapid.SampledFrom(set).Draw(rt, "again"))
				if diff := cmp.Diff(withoutZero(fold(set)), withoutZero(fold(other))); diff != "" {
					rt.Fatalf("two orders (-one +other):\n%s", diff)
				}
			})
		})
	}
}

// withoutZero leaves out counters at zero: whether there is a row for one depends
// on what was added to it and taken back.
func withoutZero(rows [][]any) [][]any {
	left := [][]any{}
	for _, r := range rows {
		if len(r) > 2 || r[1] != int64(0) {
			left = append(left, r)
		}
	}
	return left
}
