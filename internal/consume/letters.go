package consume

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
)

// letters writes dead letters. Its clients are made at first use: they keep the
// source's partition number, which the group's client would not.
//
// What fitted the source has to fit the dead letters, or its partition would wait
// for ever: a record of all that a topic takes, and one that only fitted because
// it was compressed. So the client for large ones allows whatever could be
// fetched and compresses as well as anybody; its batches have one record each,
// since several together would not fit.
type letters struct {
	e     *Engine
	open  sync.WaitGroup // rounds that are not over
	once  sync.Once
	small *kgo.Client
	large *kgo.Client
	err   error

	mu         sync.Mutex
	partitions map[string]int // how many a dead-letter topic has, as the clients know
}

// largeLetter is the size from which a dead letter is a batch of its own: far
// below what a client's batch and a topic take.
const largeLetter = 512 << 10

// errUnanswered says that nobody knows whether a dead letter was written. It is
// written again: topic ID, partition and offset tell the two apart from others.
var errUnanswered = errors.New("no answer in time")

// send writes the records and returns what became of each, after the dead-letter
// timeout at the latest, whatever the client still waits for.
func (l *letters) send(ctx context.Context, records []*kgo.Record) []error {
	ctx, cancel := context.WithTimeout(ctx, l.e.cfg.DeadLetterTimeout)
	defer cancel()
	type answer struct {
		i   int
		err error
	}
	answers := make(chan answer, len(records)) // a late one finds room, and nobody
	errs := make([]error, len(records))
	var large []int
	open := 0
	for i, r := range records {
		errs[i] = errUnanswered
		if wireSize(r) > largeLetter {
			large = append(large, i)
			continue
		}
		open++
		l.small.Produce(ctx, r, func(_ *kgo.Record, err error) { answers <- answer{i, err} })
	}
	for open > 0 || len(large) > 0 {
		if open == 0 { // one at a time
			i := large[0]
			large, open = large[1:], 1
			l.large.Produce(ctx, records[i], func(_ *kgo.Record, err error) { answers <- answer{i, err} })
		}
		select {
		case a := <-answers:
			errs[a.i] = a.err
			open--
		case <-ctx.Done():
			open, large = 0, nil
		}
	}
	for i, err := range errs {
		if err != nil && !errors.Is(err, errUnanswered) { // such a record is the client's still
			errs[i] = l.explain(records[i], err)
		}
	}
	return errs
}

// samePartition leaves a record on the partition number of its source. It is
// called by the clients.
func (l *letters) samePartition(topic string) func(*kgo.Record, int) int {
	return func(r *kgo.Record, n int) int {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.partitions[topic] = n
		return int(r.Partition)
	}
}

// explain says what is wrong where a dead-letter topic was not given the partitions
// that its source was. The clients would look again after minutes only.
func (l *letters) explain(r *kgo.Record, err error) error {
	l.mu.Lock()
	n := l.partitions[r.Topic]
	l.mu.Unlock()
	if n == 0 || int(r.Partition) < n {
		return err
	}
	l.small.ForceMetadataRefresh()
	l.large.ForceMetadataRefresh()
	return fmt.Errorf("topic %s has %d partitions and its source has one of number %d: give it as many as that has", r.Topic, n, r.Partition)
}

// connect makes the clients, if there are none.
func (l *letters) connect() error {
	l.once.Do(l.dial)
	return l.err
}

func (l *letters) dial() {
	// A dead letter may be written twice, but waiting for it must end.
	opts := append([]kgo.Opt{
		kgo.RecordPartitioner(kgo.BasicConsistentPartitioner(l.samePartition)),
		kgo.AllowIdempotentProduceCancellation(),
		kgo.WithContext(l.e.life),
	}, l.e.cfg.ClientOptions...)
	if l.small, l.err = kafka.NewMeteredClient(l.e.cfg.Kafka, l.e.metrics.reg, "deadletters", opts...); l.err != nil {
		return
	}
	if l.large, l.err = kafka.NewMeteredClient(l.e.cfg.Kafka, l.e.metrics.reg, "deadletters_large", append(opts,
		kgo.ProducerBatchMaxBytes(80<<20), // a fetched batch is at most 64 MiB
		kgo.ProducerBatchCompression(kgo.ZstdCompression(), kgo.GzipCompression()))...); l.err != nil {
		l.err = fmt.Errorf("for large ones: %w", l.err)
	}
}

// close closes the clients, if there are any. No round is open.
func (l *letters) close() {
	for _, c := range []*kgo.Client{l.small, l.large} {
		if c != nil {
			c.Close()
		}
	}
}
