package loadtest

import (
	"context"
	"errors"
	"fmt"

	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/loadtest/tally"
)

// errBehind says that the service had not applied everything in time, so that
// rows cannot be compared with the log.
var errBehind = errors.New("not everything is applied")

// settle makes the books complete: what was not acknowledged, and may be in the
// log all the same, is looked for there.
func (r *run) settle(ctx context.Context) error {
	ends, err := r.target.ends(ctx)
	if err != nil {
		return err
	}
	if !r.applies(ends) {
		return errBehind
	}
	for _, t := range sorted(r.tails) {
		end := ends[partitionOf{t.stream, t.partition}]
		from, gap := t.gap(end)
		if !gap {
			continue
		}
		if err := r.read(ctx, t, from, end); err != nil {
			return fmt.Errorf("look for events of unknown outcome: %w", err)
		}
	}
	return nil
}

// read fills a tail with what its partition holds from an offset up to the end.
func (r *run) read(ctx context.Context, t *tail, from, end int64) error {
	start, err := kafka.ParseFrom(fmt.Sprint(from))
	if err != nil {
		return err
	}
	topic := r.target.names.Items
	if t.stream == ticks {
		topic = r.target.names.Ticks
	}
	described, _ := r.target.set.Topic(topic)
	schema := described.Latest().Avro
	at := from
	err = kafka.Read(ctx, r.target.cfg.Kafka, kafka.ReadConfig{Topic: topic, Partitions: []int32{t.partition}, From: start},
		func(rec *kafka.Record) (bool, error) {
			if rec.Offset >= end {
				return false, nil
			}
			for ; at < rec.Offset; at++ { // a marker, or what was deleted meanwhile
				t.fill(at, notOurs)
			}
			at = rec.Offset + 1
			var e tally.Event
			frame, err := codec.ParseFrame(rec.Value, nil)
			if err == nil {
				_, err = schema.Decode(frame.Payload, &e)
			}
			mine := err == nil && e.Run == r.id && e.Number >= 0 && e.Number < int64(len(t.keys))
			if !mine {
				t.fill(rec.Offset, notOurs)
				return at < end, nil
			}
			t.fill(rec.Offset, place{
				due: e.Due.UnixMicro() - t.start + 1, number: uint32(e.Number), sequence: uint32(e.Sequence),
			})
			return at < end, nil
		})
	for ; err == nil && at < end; at++ {
		t.fill(at, notOurs)
	}
	return err
}
