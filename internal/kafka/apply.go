package kafka

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kerr"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ChangeKind says what ApplyTopics did, or would not do.
type ChangeKind string

// The kinds of change.
const (
	Created    ChangeKind = "created"
	Configured ChangeKind = "configured" // Key was From and is now To
	Differs    ChangeKind = "differs"    // Key is From, declared is To, and it was left so
)

// TopicChange is one difference between what is declared and what was found.
type TopicChange struct {
	Topic string     `json:"topic"`
	Kind  ChangeKind `json:"kind"`
	Key   string     `json:"key,omitempty"` // a configuration's name, or "partitions"
	From  string     `json:"from,omitempty"`
	To    string     `json:"to,omitempty"`
}

// ApplyTopics creates the topics that are missing and sets what is configured
// otherwise than declared. It is idempotent, several may do it at once, and it
// never destroys: another partition count is reported and left, since adding
// partitions moves keys, and a higher message limit is left as it is. When it
// returns, the topics can be read and written: a cluster answers that a topic is
// created a moment before its brokers know of it.
func ApplyTopics(ctx context.Context, client *kgo.Client, topics []Topic) ([]TopicChange, error) {
	var changes []TopicChange
	for _, t := range topics {
		c, err := applyTopic(ctx, client, t)
		changes = append(changes, c...)
		if err != nil {
			return changes, fmt.Errorf("topic %s: %w", t.Name, err)
		}
	}
	// All are created before the first is waited for: they come up together.
	for _, c := range changes {
		if c.Kind != Created {
			continue
		}
		if err := awaitTopic(ctx, client, c.Topic); err != nil {
			return changes, fmt.Errorf("topic %s: %w", c.Topic, err)
		}
	}
	return changes, nil
}

const (
	awaitTopicFor   = 30 * time.Second
	awaitTopicEvery = 50 * time.Millisecond
)

// awaitTopic waits until every partition of a topic has a leader that serves it.
func awaitTopic(ctx context.Context, client *kgo.Client, name string) error {
	deadline := time.NewTimer(awaitTopicFor)
	defer deadline.Stop()
	for {
		_, err := DescribeTopics(ctx, client, name)
		if err == nil || !errors.Is(err, ErrUnknownTopic) && !kerr.IsRetriable(err) {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-deadline.C:
			return fmt.Errorf("not served after %s: %w", awaitTopicFor, err)
		case <-time.After(awaitTopicEvery):
		}
	}
}

func applyTopic(ctx context.Context, client *kgo.Client, t Topic) ([]TopicChange, error) {
	admin := kadm.NewClient(client)
	configs := make(map[string]*string, len(t.Configs))
	for k, v := range t.Configs {
		configs[k] = &v
	}
	resp, err := admin.CreateTopic(ctx, t.Partitions, t.Replication, configs, t.Name)
	switch {
	case err == nil:
		return []TopicChange{{Topic: t.Name, Kind: Created, Key: "partitions", To: strconv.Itoa(int(t.Partitions))}}, nil
	case !errors.Is(err, kerr.TopicAlreadyExists):
		if resp.ErrMessage != "" {
			err = fmt.Errorf("%w: %s", err, resp.ErrMessage)
		}
		return nil, fmt.Errorf("create: %w", err)
	}
	var changes []TopicChange
	found, err := admin.ListTopicsWithInternal(ctx, t.Name)
	if err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	if errors.Is(found[t.Name].Err, kerr.UnknownTopicOrPartition) {
		// Somebody else has created it just now.
		if err := awaitTopic(ctx, client, t.Name); err != nil {
			return nil, err
		}
		if found, err = admin.ListTopicsWithInternal(ctx, t.Name); err != nil {
			return nil, fmt.Errorf("describe: %w", err)
		}
	}
	if err := found[t.Name].Err; err != nil {
		return nil, fmt.Errorf("describe: %w", err)
	}
	if n := len(found[t.Name].Partitions); n != int(t.Partitions) {
		changes = append(changes, TopicChange{
			Topic: t.Name, Kind: Differs, Key: "partitions",
			From: strconv.Itoa(n), To: strconv.Itoa(int(t.Partitions)),
		})
	}
	configured, err := applyConfigs(ctx, admin, t)
	return append(changes, configured...), err
}

func applyConfigs(ctx context.Context, admin *kadm.Client, t Topic) ([]TopicChange, error) {
	described, err := admin.DescribeTopicConfigs(ctx, t.Name)
	if err != nil {
		return nil, fmt.Errorf("describe configuration: %w", err)
	}
	current, err := described.On(t.Name, nil)
	if err = cmp.Or(err, current.Err); err != nil {
		return nil, fmt.Errorf("describe configuration: %w", err)
	}
	have := make(map[string]string, len(current.Configs))
	for _, c := range current.Configs {
		have[c.Key] = c.MaybeValue()
	}
	var changes []TopicChange
	var alter []kadm.AlterConfig
	for _, key := range slices.Sorted(maps.Keys(t.Configs)) {
		want := t.Configs[key]
		if have[key] == want || key == "max.message.bytes" && larger(have[key], want) {
			continue
		}
		changes = append(changes, TopicChange{Topic: t.Name, Kind: Configured, Key: key, From: have[key], To: want})
		alter = append(alter, kadm.AlterConfig{Op: kadm.SetConfig, Name: key, Value: &want})
	}
	if len(alter) == 0 {
		return nil, nil
	}
	altered, err := admin.AlterTopicConfigs(ctx, alter, t.Name)
	if err != nil {
		return nil, fmt.Errorf("configure: %w", err)
	}
	for _, a := range altered {
		if a.Err != nil {
			return nil, fmt.Errorf("configure: %w: %s", a.Err, a.ErrMessage)
		}
	}
	return changes, nil
}

func larger(a, b string) bool {
	x, errX := strconv.ParseInt(a, 10, 64)
	y, errY := strconv.ParseInt(b, 10, 64)
	return errX == nil && errY == nil && x > y
}
