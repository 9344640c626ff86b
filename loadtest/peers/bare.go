package main

import (
	"context"
	"fmt"

	"github.com/google/uuid"
	"github.com/twmb/avro"
	"github.com/twmb/franz-go/pkg/kgo"
	"golang.org/x/sync/errgroup"
)

// A ceiling is the fastest program that we can write which does nothing but the
// one thing: no headers, no conflicts, no dead letters, no fencing, one input.

// bareBatch is what one transaction of a ceiling writes.
type bareBatch struct {
	rows []order          // one of each order, the newest; or
	ids  [][seenPair]byte // event IDs of facts, with the hash of what they stand for
	next map[int32]int64  // positions
	n    int              // events
}

// What is kept of a fact: its source and ID, and a hash of its body.
const (
	seenKey  = 24
	seenPair = seenKey + 16
)

// bareWriter writes batches, one after the other.
type bareWriter interface {
	write(ctx context.Context, b *bareBatch) error
	close() error
}

// bareBatchSize is what measured best of 5,000, 10,000, 20,000 and 40,000.
const bareBatchSize = 20_000

// runBare reads the topic with some workers, each of which has its share of the
// partitions, a client and a writer of its own, until it has read all.
func runBare(ctx context.Context, s *side, workers int, open func(context.Context) (bareWriter, error)) error {
	g, ctx := errgroup.WithContext(ctx)
	ends, err := s.ends(ctx)
	if err != nil {
		return err
	}
	for w := range workers {
		start := map[int32]kgo.Offset{}
		left := int64(0)
		for p := w; p < partitions; p += workers {
			start[int32(p)] = kgo.NewOffset().AtStart()
			left += ends[int32(p)]
		}
		g.Go(func() error { return s.bareWorker(ctx, start, left, open) })
	}
	return g.Wait()
}

func (s *side) bareWorker(ctx context.Context, start map[int32]kgo.Offset, left int64, open func(context.Context) (bareWriter, error)) (err error) {
	writer, err := open(ctx)
	if err != nil {
		return err
	}
	defer func() {
		if cerr := writer.close(); err == nil {
			err = cerr
		}
	}()
	client, err := kgo.NewClient(kgo.SeedBrokers(s.brokers...), kgo.FetchMaxPartitionBytes(4<<20),
		kgo.ConsumePartitions(map[string]map[int32]kgo.Offset{s.topic: start}))
	if err != nil {
		return err
	}
	defer client.Close()
	schema, err := avro.Parse(`{"type":"record","name":"Order","namespace":"clustered","fields":` + orderFields + `}`)
	if err != nil {
		return err
	}
	full, free := make(chan *bareBatch), make(chan *bareBatch, 2) // one fills while the other is written
	free <- &bareBatch{next: map[int32]int64{}}
	free <- &bareBatch{next: map[int32]int64{}}
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error {
		defer close(full)
		at := map[string]int{}
		for left > 0 {
			b := <-free
			b.rows, b.ids, b.n = b.rows[:0], b.ids[:0], 0
			clear(b.next)
			clear(at)
			for b.n < bareBatchSize && left > 0 {
				fetched := client.PollRecords(ctx, bareBatchSize-b.n)
				if err := fetched.Err0(); err != nil {
					return err
				}
				for r := range fetched.RecordsAll() {
					if err := b.add(schema, at, r, s.topic == facts); err != nil {
						return err
					}
					left--
				}
			}
			select {
			case full <- b:
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
	g.Go(func() error {
		for b := range full {
			if err := writer.write(ctx, b); err != nil {
				return err
			}
			free <- b
		}
		return nil
	})
	return g.Wait()
}

// add takes a record into the batch: of an order the newest version, of a fact
// its event ID.
func (b *bareBatch) add(schema *avro.Schema, at map[string]int, r *kgo.Record, fact bool) error {
	b.next[r.Partition] = r.Offset + 1
	b.n++
	if fact {
		for _, h := range r.Headers {
			if h.Key == "ce_id" {
				id, err := uuid.ParseBytes(h.Value)
				if err != nil {
					return err
				}
				var pair [seenPair]byte // as large as what ours keeps of an event
				copy(pair[:], id[:])
				copy(pair[seenKey:], id[:])
				b.ids = append(b.ids, pair)
				return nil
			}
		}
		return fmt.Errorf("record %d of partition %d: no ce_id", r.Offset, r.Partition)
	}
	b.rows = append(b.rows, order{})
	o := &b.rows[len(b.rows)-1]
	if _, err := schema.Decode(r.Value[5:], o); err != nil {
		return err
	}
	if i, ok := at[o.OrderID]; ok {
		if o.Version > b.rows[i].Version {
			b.rows[i] = *o
		}
		b.rows = b.rows[:len(b.rows)-1]
	} else {
		at[o.OrderID] = len(b.rows) - 1
	}
	return nil
}
