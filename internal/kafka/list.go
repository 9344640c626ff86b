package kafka

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/twmb/franz-go/pkg/kadm"
	"github.com/twmb/franz-go/pkg/kgo"
)

// ListTopics returns the names of the cluster's topics, without Kafka's own,
// sorted.
func ListTopics(ctx context.Context, client *kgo.Client) ([]string, error) {
	details, err := kadm.NewClient(client).ListTopics(ctx)
	if err != nil {
		return nil, fmt.Errorf("list topics: %w", err)
	}
	names := slices.DeleteFunc(details.Names(), func(name string) bool { return strings.HasPrefix(name, "__") })
	slices.Sort(names)
	return names, nil
}

// TopicSetting returns what a configuration key is set to, by topic.
func TopicSetting(ctx context.Context, client *kgo.Client, key string, names ...string) (map[string]string, error) {
	values := make(map[string]string, len(names))
	if len(names) == 0 {
		return values, nil
	}
	described, err := kadm.NewClient(client).DescribeTopicConfigs(ctx, names...)
	if err != nil {
		return nil, fmt.Errorf("describe configuration: %w", err)
	}
	for _, d := range described {
		if d.Err != nil {
			return nil, fmt.Errorf("describe configuration: %s: %w", d.Name, d.Err)
		}
		for _, c := range d.Configs {
			if c.Key == key {
				values[d.Name] = c.MaybeValue()
			}
		}
	}
	return values, nil
}

// IsDeadLetterName reports whether a topic holds dead letters: of the group, or
// of any when group is empty.
func IsDeadLetterName(topic, group string) bool {
	suffix := "-dlt"
	if group != "" {
		suffix = "." + group + suffix
	}
	return len(topic) > len(suffix) && strings.HasSuffix(topic, suffix)
}
