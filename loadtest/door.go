package loadtest

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"firehose/internal/codec"
	cloudevent "firehose/internal/event"
	"firehose/internal/kafka"
	"firehose/internal/publish"
	"firehose/loadtest/tally"
	"firehose/schemas"
)

// door is where events go in.
type door interface {
	// send sends events in order; answered is called once for each, in any order
	// and on any goroutine. It returns how long it waited for room or for
	// answers: time that the system took, not the generator.
	send(ctx context.Context, events []outgoing, answered func(event, answer)) (waited time.Duration)
	// close waits until every event is answered, or ctx ends.
	close(ctx context.Context) error
}

// outgoing is an event with what is sent of it.
type outgoing struct {
	event
	padding string
}

// outcome is what became of an event.
type outcome int

const (
	acknowledged outcome = iota
	rejected
	unknown
)

// answer is what the sender was told.
type answer struct {
	outcome   outcome
	partition int32
	offset    int64
	why       string // of one that was not acknowledged: short, of few
}

// maker makes the data of a run's events.
type maker struct {
	run     string
	start   time.Time
	names   tally.Names
	numbers []string // keys as they are sent
}

func (m *maker) data(e *outgoing) tally.Event {
	return tally.Event{
		Key: m.numbers[e.number], Run: m.run, Number: int64(e.number), Sequence: int64(e.sequence),
		Due: m.at(e.due), Padding: e.padding,
	}
}

// at returns the time of a due event, of whole microseconds.
func (m *maker) at(due int64) time.Time { return time.UnixMicro(m.start.UnixMicro() + due) }

func (m *maker) eventType(s stream) string {
	if s == ticks {
		return m.names.TickCounted
	}
	return m.names.ItemChanged
}

// kafkaDoor publishes as any producer of ours does.
type kafkaDoor struct {
	*maker
	client    *kafka.Client
	registry  *codec.Registry
	publisher *publish.Publisher
}

func openKafkaDoor(ctx context.Context, m *maker, cfg kafka.Config, registry codec.RegistryConfig, set *schemas.Set, log *slog.Logger) (_ *kafkaDoor, err error) {
	d := &kafkaDoor{maker: m}
	if d.registry, err = codec.NewRegistry(registry); err != nil {
		return nil, err
	}
	if d.client, err = kafka.NewClient(cfg); err != nil {
		d.registry.Close()
		return nil, err
	}
	d.publisher, err = publish.New(d.client, d.registry, set, publish.Config{Source: "/loadtest/" + m.run, Log: log})
	if err != nil {
		d.release()
		return nil, err
	}
	// The first event of a topic must not wait for what is only asked once.
	if err := d.publisher.Prepare(ctx); err != nil {
		return nil, errors.Join(err, d.close(ctx))
	}
	return d, nil
}

func (d *kafkaDoor) send(ctx context.Context, events []outgoing, answered func(event, answer)) (waited time.Duration) {
	for i := range events {
		e := &events[i]
		data := d.data(e)
		out := publish.Event{Envelope: cloudevent.Envelope{Type: d.eventType(e.stream)}, Data: &data}
		sent := e.event
		done := func(r publish.Receipt, err error) { answered(sent, answerOf(r, err)) }
		if err := d.publisher.TryPublish(ctx, &out, done); err != nil {
			began := time.Now()
			d.publisher.Publish(ctx, &out, done)
			waited += time.Since(began)
		}
	}
	return waited
}

func answerOf(r publish.Receipt, err error) answer {
	if err == nil {
		return answer{partition: r.Partition, offset: r.Offset}
	}
	a := answer{outcome: rejected, why: "other"}
	var failed *publish.Error
	if errors.As(err, &failed) {
		a.why = failed.Reason
	}
	if errors.Is(err, publish.ErrUnknown) {
		a.outcome = unknown
	}
	return a
}

func (d *kafkaDoor) close(ctx context.Context) error {
	err := d.publisher.Close(ctx)
	d.release()
	return err
}

func (d *kafkaDoor) release() {
	d.client.Close()
	d.registry.Close()
}
