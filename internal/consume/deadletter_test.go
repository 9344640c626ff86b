package consume_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/consume"
)

func TestEveryKindOfBadRecordIsSetAside(t *testing.T) {
	b := newBank(t)
	good := func(i int) *kgo.Record { return b.entry(fmt.Sprint("good", i), "a", 1, 0) }
	with := func(change func(r *kgo.Record)) *kgo.Record {
		r := b.entry("bad", "a", 1, 0)
		change(r)
		return r
	}
	unknown := binary.BigEndian.AppendUint32([]byte{0}, 99999)
	version := int64(1)
	tests := []struct {
		name  string
		class string
		r     *kgo.Record
	}{
		{"empty", consume.ClassUndecodable, with(func(r *kgo.Record) { r.Value = []byte{} })},
		{"no magic byte", consume.ClassUndecodable, with(func(r *kgo.Record) { r.Value = []byte(`{"json":true}`) })},
		{"unknown schema", consume.ClassUnknownSchema, with(func(r *kgo.Record) { r.Value = append(unknown, 1, 2) })},
		{"truncated", consume.ClassUndecodable, with(func(r *kgo.Record) { r.Value = r.Value[:6] })},
		{"trailing bytes", consume.ClassUndecodable, with(func(r *kgo.Record) { r.Value = append(r.Value, 0) })},
		{"decoder bomb", consume.ClassUndecodable, with(func(r *kgo.Record) {
			r.Value = append(r.Value[:5:5], 0xfe, 0xff, 0xff, 0xff, 0x0f)
		})},
		{"tombstone of a fact", consume.ClassTombstone, with(func(r *kgo.Record) { r.Value = nil })},
		{"no ID", consume.ClassMissingID, with(func(r *kgo.Record) { r.Headers = nil })},
		{"no key", consume.ClassBadKey, with(func(r *kgo.Record) { r.Key = nil })},
		{"another key", consume.ClassBadKey, with(func(r *kgo.Record) { r.Key = []byte("b") })},
		{"key not UTF-8", consume.ClassBadKey, with(func(r *kgo.Record) { r.Key = []byte{0xff} })},
		{"bad ce_time", consume.ClassBadHeader, with(func(r *kgo.Record) {
			for i := range r.Headers {
				if r.Headers[i].Key == "ce_time" {
					r.Headers[i].Value = []byte("yesterday")
				}
			}
		})},
		{"refused by the projection", consume.ClassProjectionError, b.entry("x", "a", -666, 0)},
	}
	entities := []struct {
		name  string
		class string
		r     *kgo.Record
	}{
		{"NaN", consume.ClassValueRefused, b.record("bank.accounts", 0, "nan", "n", &account{ID: "n", Version: 1, Rate: math.NaN()}, &version)},
		{"ce_sequence differs", consume.ClassBadVersion, b.record("bank.accounts", 0, "s", "n", &account{ID: "n", Version: 2}, &version)},
		{"tombstone without version", consume.ClassBadVersion, &kgo.Record{Topic: "bank.accounts", Key: []byte("n")}},
		{"tombstone of a key with U+0000", consume.ClassBadKey, b.record("bank.accounts", 0, "gone", "n", &account{}, &version)},
	}
	zero := entities[len(entities)-1].r
	zero.Key, zero.Value = []byte("n\x00"), nil
	for i, test := range tests {
		b.produce(test.r, good(i))
	}
	for _, test := range entities {
		b.produce(test.r)
	}
	b.produce(b.account("a", 1, 1, 0))
	b.start(b.store)
	b.caughtUp()
	b.wantQuery(int64(len(tests)), "SELECT sum(entries) FROM sums")
	b.wantQuery(1, "SELECT count(*) FROM accounts")
	b.wantQuery(int64(len(tests)+len(entities)), "SELECT count(*) FROM firehose_dead_letters")

	reasons, records := b.deadLetters("bank.entries")
	if len(reasons) != len(tests) {
		t.Fatalf("dead letters: got %d, want %d", len(reasons), len(tests))
	}
	for i, test := range tests {
		r := records[i]
		if reasons[i].Class != test.class {
			t.Errorf("%s: class is %s (%s), want %s", test.name, reasons[i].Class, reasons[i].Message, test.class)
		}
		if reasons[i].Offset != int64(2*i) || reasons[i].Topic != "bank.entries" || reasons[i].Group != "bank" {
			t.Errorf("%s: came from %+v", test.name, reasons[i])
		}
		if !bytes.Equal(r.Value, test.r.Value) || !bytes.Equal(r.Key, test.r.Key) || (r.Value == nil) != (test.r.Value == nil) {
			t.Errorf("%s: key or value is not what it was", test.name)
		}
	}
	reasons, _ = b.deadLetters("bank.accounts")
	classes := map[int64]string{} // by offset: what fails only in the merge is written last
	for _, r := range reasons {
		classes[r.Offset] = r.Class
	}
	for i, test := range entities {
		if got := classes[int64(i)]; got != test.class {
			t.Errorf("%s: class is %q, want %q", test.name, got, test.class)
		}
	}
}

// Hundreds of bad records in a row do not pour into the dead letters: the breaker
// trips, tells of it, and goes on by itself; nothing is lost.
func TestBreakerTripsAndGoesOn(t *testing.T) {
	b := newBank(t)
	for i := range 300 {
		r := b.entry(fmt.Sprint("bad", i), "a", 1, 0)
		r.Value = []byte("not framed")
		b.client.Produce(t.Context(), r, nil)
	}
	b.produce(b.entry("good", "a", 1, 0), b.entry("other", "a", 1, 1))
	m := b.start(b.store)
	b.eventually("the breaker trips", func() error { return wantState(m, consume.PausedBreaker) })
	if err := m.Ready(); err == nil || !strings.Contains(err.Error(), "bank.entries/0 paused_breaker") {
		t.Errorf("ready: got %v, want the partition and its state", err)
	}
	if n := b.query("SELECT count(*) FROM firehose_dead_letters"); n < 100 || n > 200 {
		t.Errorf("set aside before the first probes: got %d, want about 100", n)
	}
	b.caughtUp()
	b.wantQuery(2, "SELECT sum(entries) FROM sums")
	b.wantQuery(300, "SELECT count(*) FROM firehose_dead_letters")
	b.eventually("active again", func() error { return m.Ready() })
}

func wantState(m *member, want consume.State) error {
	for _, s := range m.Status() {
		if s.State == want {
			return nil
		}
	}
	return fmt.Errorf("no partition is %s: %+v", want, m.Status())
}

// A burst of unknown schemas pauses; once they are known, nothing was set aside
// but the first few.
func TestBurstOfUnknownSchemas(t *testing.T) {
	b := newBank(t)
	next := []byte(strings.Replace(entryText, `{"name":"cents","type":"long"}`, `{"name":"cents","type":"long"},{"name":"memo","type":"string","default":""}`, 1))
	id := b.ids["bank.entries"] + 1 // the next one that the registry gives
	for i := range 50 {
		r := b.entry(fmt.Sprint("e", i), "a", 1, 0)
		r.Value = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(id)), append(r.Value[5:], 0)...)
		b.client.Produce(t.Context(), r, nil)
	}
	b.produce(b.entry("old", "a", 1, 1))
	m := b.start(b.store)
	b.eventually("paused", func() error { return wantState(m, consume.PausedSchema) })
	set := b.set
	t1, _ := set.Topic("bank.entries")
	v2, err := parseSchema(string(next), 2)
	if err != nil {
		t.Fatal(err)
	}
	topic := *t1
	topic.Versions = append(topic.Versions[:1:1], v2)
	ids, err := b.codec.Register(t.Context(), &topic)
	if err != nil || ids[1] != id {
		t.Fatalf("register: %v %v, want id %d", ids, err, id)
	}
	b.caughtUp()
	aside := b.query("SELECT count(*) FROM firehose_dead_letters")
	if aside == 0 || aside > 10 {
		t.Errorf("set aside: got %d, want a few", aside)
	}
	b.wantQuery(51-aside, "SELECT sum(entries) FROM sums")
}

// A schema that is registered a moment after its first record is waited for.
func TestSchemaRegisteredLate(t *testing.T) {
	b := newBank(t)
	text := strings.Replace(entryText, `{"name":"cents","type":"long"}`, `{"name":"cents","type":"long"},{"name":"memo","type":"string","default":""}`, 1)
	r := b.entry("e", "a", 1, 0)
	r.Value = append(binary.BigEndian.AppendUint32([]byte{0}, uint32(b.ids["bank.entries"]+1)), append(r.Value[5:], 0)...)
	b.produce(r)
	m := b.start(b.store, func(c *consume.Config) { c.SchemaPatience = 20 * time.Second })
	b.eventually("fetched", func() error {
		if s := m.Status(); len(s) == 4 && s[2].Age > 0 {
			return nil
		}
		return errors.New("nothing waits")
	})
	t1, _ := b.set.Topic("bank.entries")
	v2, err := parseSchema(text, 2)
	if err != nil {
		t.Fatal(err)
	}
	topic := *t1
	topic.Versions = append(topic.Versions[:1:1], v2)
	if _, err := b.codec.Register(t.Context(), &topic); err != nil {
		t.Fatal(err)
	}
	b.caughtUp()
	b.wantQuery(1, "SELECT sum(entries) FROM sums")
	b.wantQuery(0, "SELECT count(*) FROM firehose_dead_letters")
}

// The dead letter is not acknowledged: the position does not pass the record.
func TestDeadLetterNotAcknowledged(t *testing.T) {
	b := newBank(t)
	bad := b.entry("bad", "a", 1, 0)
	bad.Value = nil
	b.produce(b.entry("e1", "a", 1, 0), bad, b.entry("e2", "a", 1, 0))
	accept := b.refuse("bank.entries.bank-dlt", kerr.NotEnoughReplicas)
	m := b.start(b.store, func(c *consume.Config) { c.DeadLetterTimeout = 50 * time.Millisecond })
	b.eventually("paused", func() error { return wantState(m, consume.PausedDLT) })
	if got := b.position("bank.entries", 0).Next; got > 1 {
		t.Errorf("the position is %d, beyond a record that is nowhere", got)
	}
	accept()
	b.caughtUp()
	b.wantQuery(2, "SELECT sum(entries) FROM sums")
	b.wantQuery(1, "SELECT count(*) FROM firehose_dead_letters")
}

// Somebody added a partition to the source and none to the dead letters: the new
// partition says what it wants, and goes on soon after it has it.
func TestDeadLetterTopicWithFewerPartitions(t *testing.T) {
	b := newBank(t)
	admin := kadm.NewClient(b.client)
	grow := func(topic string) {
		t.Helper()
		if resp, err := admin.UpdatePartitions(t.Context(), 3, topic); err != nil || resp.Error() != nil {
			t.Fatal(err, resp.Error())
		}
	}
	grow("bank.entries")
	bad := b.entry("bad", "a", 1, 2)
	bad.Value = []byte("garbage")
	b.eventually("the partition is there", func() error {
		b.client.ForceMetadataRefresh()
		return b.client.ProduceSync(t.Context(), bad).FirstErr()
	})
	m := b.start(b.store)
	b.eventually("it says what it wants", func() error {
		for _, s := range m.Status() {
			if strings.Contains(s.Why, "bank.entries.bank-dlt has 2 partitions") && s.State == consume.PausedDLT && s.Position.Partition == 2 {
				return nil
			}
		}
		return fmt.Errorf("%+v", m.Status())
	})
	grow("bank.entries.bank-dlt")
	b.caughtUp()
	b.wantQuery(1, "SELECT count(*) FROM firehose_dead_letters")
}
