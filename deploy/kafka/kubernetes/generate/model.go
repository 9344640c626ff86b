package main

import (
	"maps"
	"slices"
	"strings"

	"firehose/internal/kafka"
)

// Model is what the templates show.
type Model struct {
	Topics []Topic
	Users  []User
	Scaled []Scaled
}

// Topic is a KafkaTopic.
type Topic struct {
	Name        string
	Holds       string // "events", or whose dead letters
	Partitions  int32
	Replication int
	Configs     []Setting // sorted by name
}

// Setting is a line of a topic's configuration.
type Setting struct{ Name, Value string }

// User is a KafkaUser.
type User struct {
	Name   string
	Reason string // a sentence that says why it may what it may
	ACLs   []ACL
}

// ACL is one permission on a literal name, in Strimzi's words: "Read", not "READ".
type ACL struct {
	Resource   string
	Name       string
	Operations []string
}

func (a ACL) equal(b ACL) bool {
	return a.Resource == b.Resource && a.Name == b.Name && slices.Equal(a.Operations, b.Operations)
}

// Scaled is a service that is scaled by the lag of its group.
type Scaled struct {
	Service string
	Group   string
	Topics  []string
	Max     int32 // partitions of the topic that has the fewest: an instance more could idle
}

func newTopic(t kafka.Topic, holds string) Topic {
	out := Topic{Name: t.Name, Holds: holds, Partitions: t.Partitions, Replication: replication}
	for _, name := range slices.Sorted(maps.Keys(t.Configs)) {
		out.Configs = append(out.Configs, Setting{name, t.Configs[name]})
	}
	return out
}

// withInSync adds what a replicated topic needs and a manifest, which knows no
// cluster, leaves open: acknowledged means that two brokers have it.
func withInSync(configs map[string]string) map[string]string {
	configs = maps.Clone(configs)
	configs["min.insync.replicas"] = "2"
	return configs
}

func newACL(resource, name string, operations []string) ACL {
	out := ACL{Resource: resource, Name: name}
	for _, op := range operations {
		out.Operations = append(out.Operations, operation(op))
	}
	return out
}

// operation turns DESCRIBE_CONFIGS into DescribeConfigs.
func operation(name string) string {
	var out strings.Builder
	for word := range strings.SplitSeq(strings.ToLower(name), "_") {
		out.WriteString(strings.ToUpper(word[:1]) + word[1:])
	}
	return out.String()
}
