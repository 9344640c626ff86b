package real_test

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose"
	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/kafka/embedded"
	"firehose/internal/offsets"
	"firehose/schemas"
)

const entryText = `{"type":"record","name":"Entry","namespace":"bank","firehose":{"topic":"%s.entries","kind":"fact",
 "key":"account","types":["bank.entry.made"],"partitions":%d},
 "fields":[{"name":"account","type":"string"},{"name":"cents","type":"long"}]}`

type entry struct {
	Account string `avro:"account"`
	Cents   int64  `avro:"cents"`
}

const partitions = 3

// bank is a topic of entries on the real cluster and a service that sums them.
type bank struct {
	*cluster
	registry *embedded.Registry
	set      *schemas.Set
	topic    kafka.Topic
	service  firehose.Service
	store    string
}

func newBank(t *testing.T) *bank {
	t.Helper()
	b := &bank{cluster: start(t)}
	var err error
	if b.registry, err = embedded.StartRegistry(embedded.RegistryConfig{}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.registry.Close() })
	schema, err := schemas.Parse(fmt.Sprintf(entryText, b.Name(""), partitions), 1)
	if err != nil {
		t.Fatal(err)
	}
	if b.set, err = schemas.NewSet(schema); err != nil {
		t.Fatal(err)
	}
	registry, err := codec.NewRegistry(codec.RegistryConfig{URLs: []string{b.registry.URL()}})
	if err != nil {
		t.Fatal(err)
	}
	defer registry.Close()
	if _, err := registry.Register(t.Context(), b.set.Topics()[0]); err != nil {
		t.Fatal(err)
	}
	b.topic = kafka.EventTopic(schema.Contract, b.Replication())
	b.apply()
	sums := firehose.Counters("sums", firehose.Key{firehose.Text("account")}, "cents", "entries")
	b.service = firehose.Service{
		Name: "bank", Schemas: b.set, Tables: []*firehose.Table{sums},
		Projections: []firehose.Projection{firehose.OnFact(b.topic.Name, func(e firehose.Event[entry], c *firehose.Changes) error {
			c.Add(sums, firehose.Row{e.Data.Account}, e.Data.Cents, 1)
			return nil
		})},
	}
	b.store = "sqlite:" + filepath.Join(t.TempDir(), "bank.db")
	return b
}

func (b *bank) apply() {
	b.t.Helper()
	topics := []kafka.Topic{b.topic, kafka.DeadLetterTopic(b.topic, b.Name(""))}
	if _, err := kafka.ApplyTopics(b.context(), b.Client(), topics); err != nil {
		b.t.Fatal(err)
	}
}

// publish sends n entries to the accounts in turn. Each must be acknowledged.
func (b *bank) publish(n int) {
	b.t.Helper()
	p, err := firehose.NewPublisher(firehose.PublisherConfig{
		Schemas: b.set, Source: "/service/bank", Brokers: b.Brokers(), Registry: []string{b.registry.URL()},
	})
	if err != nil {
		b.t.Fatal(err)
	}
	answers := make(chan error, n)
	for i := range n {
		e := &firehose.Outgoing{Type: "bank.entry.made", Data: &entry{Account: fmt.Sprintf("account-%d", i%10), Cents: 1}}
		p.Publish(b.context(), e, func(_ firehose.Receipt, err error) { answers <- err })
	}
	for range n {
		if err := <-answers; err != nil {
			b.t.Error(err)
		}
	}
	if err := p.Close(b.context()); err != nil {
		b.t.Error(err)
	}
}

// run runs the service until what holds returns nil, then stops it.
func (b *bank) run(what string, holds func(*firehose.Instance) error) firehose.Counts {
	b.t.Helper()
	instance, err := b.service.Open(b.context(), firehose.Config{
		Brokers: b.Brokers(), Registry: []string{b.registry.URL()}, Store: b.store, Group: b.Name(""),
	})
	if err != nil {
		b.t.Fatal(err)
	}
	running, stop := context.WithCancel(context.WithoutCancel(b.t.Context()))
	done := make(chan error, 1)
	go func() { done <- instance.Run(running, nil) }()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for err = holds(instance); err != nil; err = holds(instance) {
		select {
		case <-tick.C:
			continue
		case <-deadline.C:
			b.t.Errorf("waited in vain for: %s: %v", what, err)
		case err := <-done:
			b.t.Fatalf("the service ended (%v) before: %s", err, what)
		}
		break
	}
	stop()
	if err := errors.Join(<-done, instance.Close()); err != nil {
		b.t.Error(err)
	}
	return instance.Counts()
}

// applied runs the service until its positions are the ends of the log, and
// checks that the group's committed offsets are those.
func (b *bank) applied() firehose.Counts {
	b.t.Helper()
	ends := b.ends()
	counts := b.run("everything is applied", func(i *firehose.Instance) error {
		status := i.Status()
		at := map[int32]int64{}
		for _, p := range status {
			at[p.Partition] = p.Position
		}
		if diff := cmp.Diff(ends, at); diff != "" {
			return fmt.Errorf("%+v", status)
		}
		return nil
	})
	committed, err := b.Admin().FetchOffsets(b.context(), b.Name(""))
	if err != nil {
		b.t.Fatal(err)
	}
	for id, end := range ends {
		c, _ := committed.Lookup(b.topic.Name, id)
		if _, ours := offsets.ParseMark(c.Metadata); c.At != end || !ours {
			b.t.Errorf("partition %d: committed %d with mark %q, want %d with ours", id, c.At, c.Metadata, end)
		}
	}
	return counts
}

// ends returns the ends of the log once no transaction is open: its end reaches
// the partitions a moment after the coordinator has answered.
func (b *bank) ends() map[int32]int64 {
	b.t.Helper()
	for ctx := b.context(); ; {
		infos, err := kafka.DescribeTopics(ctx, b.Client(), b.topic.Name)
		if err != nil {
			b.t.Fatal(err)
		}
		ends, open := map[int32]int64{}, false
		for _, p := range infos[0].Partitions {
			ends[p.ID] = p.StableEnd
			open = open || p.StableEnd < p.End
		}
		if !open {
			return ends
		}
	}
}

// What is published is applied once; who comes back goes on where the store
// says. Transactions of other producers leave records of their own in the log:
// the position passes them, and what was aborted is not applied.
func TestPipeline(t *testing.T) {
	b := newBank(t)
	b.publish(3000)
	if got := b.applied().Applied; got != 3000 {
		t.Errorf("applied %d events, want 3000", got)
	}
	b.publish(500)
	b.transactions()
	counts := b.applied()
	if counts.Applied != 501 || counts.Duplicate != 0 || counts.SetAside != 0 {
		t.Errorf("second run: %+v, want 500 published and 1 of the transactions applied", counts)
	}
	if got := b.applied().Applied; got != 0 {
		t.Errorf("third run applied %d events again", got)
	}
}

// transactions copies a record of each partition in a transaction that is
// aborted, and one of them under a new ID in one that is committed.
func (b *bank) transactions() {
	b.t.Helper()
	tx, err := kafka.NewClient(b.Config(), kgo.TransactionalID(b.Name("")), kgo.RecordPartitioner(kgo.ManualPartitioner()))
	if err != nil {
		b.t.Fatal(err)
	}
	defer tx.Close()
	copies := map[int32]*kgo.Record{}
	err = kafka.Read(b.context(), b.Config(), kafka.ReadConfig{Topic: b.topic.Name}, func(r *kafka.Record) (bool, error) {
		headers := slices.Clone(r.Headers)
		for i := range headers {
			if headers[i].Key == "ce_id" {
				headers[i].Value = []byte(b.Name(""))
			}
		}
		copies[r.Partition] = &kgo.Record{Topic: r.Topic, Partition: r.Partition, Key: r.Key, Value: r.Value, Headers: headers}
		return true, nil
	})
	if err != nil {
		b.t.Fatal(err)
	}
	for _, end := range []kgo.TransactionEndTry{kgo.TryAbort, kgo.TryCommit} {
		if err := tx.BeginTransaction(); err != nil {
			b.t.Fatal(err)
		}
		for _, r := range copies {
			again := *r
			if err := tx.ProduceSync(b.context(), &again).FirstErr(); err != nil {
				b.t.Fatal(err)
			}
			if end == kgo.TryCommit {
				break
			}
		}
		if err := tx.EndTransaction(b.context(), end); err != nil {
			b.t.Fatal(err)
		}
	}
}

// Under the name of a deleted topic comes another one, with another ID: nothing
// of it is applied, and nothing is skipped silently.
func TestRecreatedTopic(t *testing.T) {
	b := newBank(t)
	b.publish(100)
	b.applied()
	if _, err := b.Admin().DeleteTopic(b.context(), b.topic.Name); err != nil {
		t.Fatal(err)
	}
	for { // it is gone a moment after it is deleted
		if _, err := kafka.TopicIDs(b.context(), b.Client(), b.topic.Name); errors.Is(err, kafka.ErrUnknownTopic) || errors.Is(err, kerr.UnknownTopicOrPartition) {
			break
		} else if err != nil {
			t.Fatal(err)
		}
	}
	b.apply()
	b.publish(100)
	counts := b.run("all partitions are stopped", func(i *firehose.Instance) error {
		status := i.Status()
		for _, p := range status {
			if p.State != "stopped_topic_recreated" {
				return fmt.Errorf("%+v", status)
			}
		}
		if len(status) != partitions {
			return fmt.Errorf("%d partitions, want %d", len(status), partitions)
		}
		return nil
	})
	if counts.Applied != 0 {
		t.Errorf("applied %d events of the other topic", counts.Applied)
	}
}
