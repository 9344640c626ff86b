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
	Key   string     `json:"key,omitempty"` // a configuration's name, "partitions" or "replication"
	From  string     `json:"from,omitempty"`
	To    string     `json:"to,omitempty"`
}

// ApplyTopics creates the topics that are missing and sets what is configured
// otherwise than declared. It is idempotent, several may do it at once, and it
// never destroys: another number of partitions or copies is reported and left,
// since adding partitions moves keys and copies take disk and network, and a
// message limit or a number of in-sync replicas that is higher is left as it is.
// Where three brokers or more hold a topic, declared so or not, two have to have
// a record before it is acknowledged; where fewer do it is not asked for, for
// nobody could write while one of them is away. When it returns, the topics can
// be read and written: a cluster answers that a topic is created a moment before
// its brokers know of it.
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
	copies, err := copiesOf(ctx, admin, t)
	if err == nil {
		err = create(ctx, admin, t.heldBy(copies))
	}
	var changes []TopicChange
	switch {
	case err == nil:
		changes = append(changes, TopicChange{Topic: t.Name, Kind: Created, Key: "partitions", To: strconv.Itoa(int(t.Partitions))})
		if copies > 0 {
			return changes, nil
		}
	case !errors.Is(err, kerr.TopicAlreadyExists):
		return nil, fmt.Errorf("create: %w", err)
	}
	found, err := describe(ctx, client, t.Name)
	if err != nil {
		return changes, fmt.Errorf("describe: %w", err)
	}
	if n := len(found.Partitions); n != int(t.Partitions) {
		changes = append(changes, differs(t.Name, "partitions", n, int(t.Partitions)))
	}
	least := leastCopies(found)
	if t.Replication > 0 && least != int(t.Replication) {
		changes = append(changes, differs(t.Name, "replication", least, int(t.Replication)))
	}
	configured, err := applyConfigs(ctx, admin, t.heldBy(least))
	return append(changes, configured...), err
}

func differs(topic, key string, found, declared int) TopicChange {
	return TopicChange{Topic: topic, Kind: Differs, Key: key, From: strconv.Itoa(found), To: strconv.Itoa(declared)}
}

// copiesOf returns how many brokers will hold the topic, 0 when that cannot be
// known yet: the cluster decides, and brokers before 2.4 do not tell.
func copiesOf(ctx context.Context, admin *kadm.Client, t Topic) (int, error) {
	if t.Replication > 0 {
		return int(t.Replication), nil
	}
	answers, err := admin.ValidateCreateTopics(ctx, t.Partitions, t.Replication, values(t.Configs), t.Name)
	if err != nil {
		return 0, err
	}
	answer, err := answers.On(t.Name, nil)
	return max(int(answer.ReplicationFactor), 0), refusal(answer, cmp.Or(err, answer.Err))
}

func create(ctx context.Context, admin *kadm.Client, t Topic) error {
	answer, err := admin.CreateTopic(ctx, t.Partitions, t.Replication, values(t.Configs), t.Name)
	return refusal(answer, err)
}

func values(configs map[string]string) map[string]*string {
	out := make(map[string]*string, len(configs))
	for k, v := range configs {
		out[k] = &v
	}
	return out
}

// refusal is err with the broker's own words.
func refusal(answer kadm.CreateTopicResponse, err error) error {
	if err != nil && answer.ErrMessage != "" {
		return fmt.Errorf("%w: %s", err, answer.ErrMessage)
	}
	return err
}

// describe returns a topic that exists, which this moment's brokers may not know.
func describe(ctx context.Context, client *kgo.Client, name string) (kadm.TopicDetail, error) {
	admin := kadm.NewClient(client)
	found, err := admin.ListTopicsWithInternal(ctx, name)
	if err != nil {
		return kadm.TopicDetail{}, err
	}
	if errors.Is(found[name].Err, kerr.UnknownTopicOrPartition) {
		if err := awaitTopic(ctx, client, name); err != nil {
			return kadm.TopicDetail{}, err
		}
		if found, err = admin.ListTopicsWithInternal(ctx, name); err != nil {
			return kadm.TopicDetail{}, err
		}
	}
	return found[name], found[name].Err
}

// leastCopies is how many brokers hold the partition that the fewest hold.
func leastCopies(t kadm.TopicDetail) int {
	least := 0
	for _, p := range t.Partitions {
		if n := len(p.Replicas); least == 0 || n < least {
			least = n
		}
	}
	return least
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
		if have[key] == want || (key == maxMessage || key == minInSync) && larger(have[key], want) {
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
