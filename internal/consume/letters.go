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
			return errs
		}
	}
	return errs
}

// connect makes the clients, if there are none.
func (l *letters) connect() error {
	l.once.Do(l.dial)
	return l.err
}

func (l *letters) dial() {
	// A dead letter may be written twice, but waiting for it must end.
	opts := append([]kgo.Opt{
		kgo.RecordPartitioner(kgo.ManualPartitioner()),
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
