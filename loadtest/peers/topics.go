package main

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"

	"firehose/internal/kafka"
)

// recreate deletes the topic, if it is there, and makes it anew: every round
// writes to an empty log.
func recreate(ctx context.Context, client *kgo.Client, t kafka.Topic) error {
	admin := kadm.NewClient(client)
	if _, err := admin.DeleteTopic(ctx, t.Name); err != nil && !errors.Is(err, kerr.UnknownTopicOrPartition) {
		return fmt.Errorf("delete topic %s: %w", t.Name, err)
	}
	for {
		_, err := kafka.ApplyTopics(ctx, client, []kafka.Topic{t})
		if err == nil {
			return nil
		}
		if err := wait(ctx, 200*time.Millisecond); err != nil { // until the brokers have deleted it
			return err
		}
	}
}

func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}
