package consume

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
	"firehose/internal/offsets"
)

// deniedFor is how long a refusal stands that is not repeated.
const deniedFor = 15 * time.Second

// permissions are what this member needs.
func (e *Engine) permissions() []kafka.Permission {
	wanted := []kafka.Permission{{Resource: "group", Name: e.cfg.Group, Operation: "READ"}}
	for topic := range e.handlers {
		wanted = append(wanted, kafka.Permission{Resource: "topic", Name: topic, Operation: "READ"},
			kafka.Permission{Resource: "topic", Name: kafka.DeadLetterName(topic, e.cfg.Group), Operation: "WRITE"})
	}
	return wanted
}

// checkAccess asks, until somebody answers, whether the brokers let this member
// do its work. If not, it does not begin.
func (e *Engine) checkAccess(ctx context.Context, client *kgo.Client) error {
	for attempt := 1; ; attempt++ {
		err := kafka.CheckConsumer(ctx, client, e.cfg.Kafka, e.permissions())
		switch {
		case err == nil || ctx.Err() != nil:
			return nil
		case errors.Is(err, kafka.ErrDenied):
			return fmt.Errorf("group %s: %w", e.cfg.Group, err)
		}
		if wait(ctx, e.backoff(attempt)) != nil {
			return nil
		}
	}
}

// refuse notes that the brokers refuse what this member wants: at all, or on one
// partition. Before it has joined its group that ends it; later it may be a
// password that is just being changed.
func (e *Engine) refuse(id offsets.Partition, err error) error {
	e.mu.Lock()
	defer e.mu.Unlock()
	about := "group " + e.cfg.Group
	if id.Topic != "" {
		about = "topic " + id.Topic
	}
	text := about + ": " + err.Error()
	if !e.joined {
		return fmt.Errorf("%s: %w", about, err)
	}
	e.deniedAt = time.Now()
	e.metrics.denied.Set(1)
	if e.denied != text {
		e.denied = text
		e.cfg.Log.Error("access denied", "group", e.cfg.Group, "topic", id.Topic, "err", err)
	}
	for _, p := range e.parts {
		if p.id.Topic == id.Topic && (id.ID < 0 || p.id.ID == id.ID) && p.state == Active {
			e.setState(p, PausedAccess, err.Error())
		}
	}
	return nil
}

// allowAgain forgets a refusal that was not repeated. The caller holds the mutex.
func (e *Engine) allowAgain() {
	if e.denied == "" || time.Since(e.deniedAt) < deniedFor {
		return
	}
	e.denied = ""
	e.metrics.denied.Set(0)
	for _, p := range e.parts {
		if p.state == PausedAccess {
			e.setState(p, Active, "")
		}
	}
}

// watchAccess forgets refusals in time.
func (e *Engine) watchAccess(ctx context.Context) error {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			e.mu.Lock()
			e.allowAgain()
			e.mu.Unlock()
		}
	}
}
