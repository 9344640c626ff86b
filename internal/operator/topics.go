package operator

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"firehose"
	"firehose/internal/codec"
	"firehose/internal/kafka"
	"firehose/internal/service"
	"firehose/schemas"
)

func topicsCommand(s Streams) *service.Command {
	return &service.Command{
		Name:     "topics",
		Summary:  "create topics as they are declared, list what is there",
		Commands: []*service.Command{topicsApplyCommand(s), topicsListCommand(s)},
	}
}

// topicsApply is `firehose topics apply`.
type topicsApply struct {
	Streams
	brokers
	schemas     schemaDir
	replication int
	json        bool
}

func topicsApplyCommand(s Streams) *service.Command {
	c := &topicsApply{Streams: s}
	return &service.Command{
		Name:      "apply",
		Summary:   "create and configure the topics that schemas and services declare",
		Arguments: "[MANIFEST...|-]",
		Help: "Event topics follow from the schemas' contracts. Topics of a group (dead letters)\n" +
			"follow from manifests, as `SERVICE manifest -J` prints them; - reads any number of\n" +
			"them from standard input. What is there already is left or configured as declared;\n" +
			"nothing is ever deleted, and another number of partitions or copies is reported, not\n" +
			"changed: it would move keys, or take disk and network. Of three copies or more two\n" +
			"have to have a record before it is acknowledged.",
		Example: "firehose topics apply\nbilling manifest -J | firehose topics apply --replication 3 -",
		Register: func(f *service.Flags) {
			c.brokers.Register(f)
			c.schemas.register(f)
			f.IntVar(&c.replication, "replication", -1, "`copies` of each new topic, -1 for the cluster's default; of 3 or more, two have to be in sync")
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

func (c *topicsApply) run(ctx context.Context, args []string) error {
	if c.replication != -1 && (c.replication < 1 || c.replication > 100) {
		return service.Usagef("--replication %d: want -1, or 1 to 100", c.replication)
	}
	set, err := c.schemas.load()
	if err != nil {
		return err
	}
	manifests, err := readManifests(c.In, args)
	if err != nil {
		return err
	}
	client, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer client.Close()

	var events []kafka.Topic
	for _, t := range set.Topics() {
		events = append(events, kafka.EventTopic(t.Contract, int16(c.replication)))
	}
	outcomes, err := apply(ctx, client, events)
	if err == nil {
		var groups []kafka.Topic
		if groups, err = c.groupTopics(ctx, client, manifests); err == nil {
			var more []applied
			more, err = apply(ctx, client, groups)
			outcomes = append(outcomes, more...)
		}
	}
	return errors.Join(c.print(outcomes), err)
}

// groupTopics are what the manifests declare. A dead letter keeps its partition
// number, so where the source has grown its dead letters do, too.
func (c *topicsApply) groupTopics(ctx context.Context, client *kafka.Client, manifests []firehose.Manifest) ([]kafka.Topic, error) {
	present, err := kafka.ListTopics(ctx, client)
	if err != nil {
		return nil, err
	}
	var topics []kafka.Topic
	for _, m := range manifests {
		for _, t := range m.Topics {
			declared := kafka.Topic{
				Name: t.Name, Partitions: t.Partitions, Replication: int16(c.replication), Configs: t.Configs,
			}
			if slices.Contains(present, t.For) {
				infos, err := kafka.DescribeTopics(ctx, client, t.For)
				if err != nil {
					return nil, err
				}
				declared.Partitions = max(declared.Partitions, int32(len(infos[0].Partitions)))
			}
			topics = append(topics, declared)
		}
	}
	return topics, nil
}

// applied is what became of one declared topic.
type applied struct {
	Topic      string              `json:"topic"`
	Outcome    string              `json:"outcome"` // created, configured, differs or unchanged
	Partitions int32               `json:"partitions"`
	Changes    []kafka.TopicChange `json:"changes,omitempty"`
}

const unchanged = "unchanged"

func apply(ctx context.Context, client *kafka.Client, topics []kafka.Topic) ([]applied, error) {
	var outcomes []applied
	for _, t := range topics {
		changes, err := kafka.ApplyTopics(ctx, client, []kafka.Topic{t})
		if err != nil {
			return outcomes, err
		}
		a := applied{Topic: t.Name, Outcome: unchanged, Partitions: t.Partitions}
		for _, change := range changes {
			if change.Kind != kafka.Created {
				a.Changes = append(a.Changes, change)
			}
			if a.Outcome != string(kafka.Differs) && a.Outcome != string(kafka.Created) {
				a.Outcome = string(change.Kind)
			}
		}
		outcomes = append(outcomes, a)
	}
	return outcomes, nil
}

func (c *topicsApply) print(outcomes []applied) error {
	if c.json {
		return printJSON(c.Out, outcomes)
	}
	var rows [][]string
	for _, a := range outcomes {
		var what []string
		switch a.Outcome {
		case string(kafka.Created):
			what = append(what, plural(int(a.Partitions), "partition"))
		case unchanged:
			what = append(what, "as declared")
		}
		for _, change := range a.Changes {
			text := fmt.Sprintf("%s: %s → %s", change.Key, printable(change.From), printable(change.To))
			if change.Kind == kafka.Differs {
				text = fmt.Sprintf("%s: %s, declared %s; left as it is", change.Key, printable(change.From), printable(change.To))
			}
			what = append(what, text)
		}
		rows = append(rows, []string{a.Topic, a.Outcome, strings.Join(what, "; ")})
	}
	return printTable(c.Out, []string{"TOPIC", "OUTCOME", "WHAT"}, rows)
}

// readManifests reads the files, each of any number of manifests.
func readManifests(stdin io.Reader, files []string) ([]firehose.Manifest, error) {
	var all []firehose.Manifest
	for _, name := range files {
		in, label := stdin, "standard input"
		if name != "-" {
			file, err := os.Open(name)
			if err != nil {
				return nil, err
			}
			defer file.Close()
			in, label = file, name
		}
		manifests, err := parseManifests(in)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", label, err)
		}
		all = append(all, manifests...)
	}
	return all, nil
}

func parseManifests(in io.Reader) ([]firehose.Manifest, error) {
	var all []firehose.Manifest
	for dec := json.NewDecoder(in); ; {
		var m firehose.Manifest
		switch err := dec.Decode(&m); {
		case errors.Is(err, io.EOF) && len(all) > 0:
			return all, nil
		case errors.Is(err, io.EOF):
			return nil, errors.New("no manifest in it: want what `SERVICE manifest -J` prints")
		case err != nil:
			return nil, fmt.Errorf("manifest %d: %w: want what `SERVICE manifest -J` prints", len(all)+1, err)
		}
		if m.Service == "" || m.Group == "" {
			return nil, fmt.Errorf("manifest %d: names no service and group: want what `SERVICE manifest -J` prints", len(all)+1)
		}
		for _, t := range m.Topics {
			if t.Name == "" || strings.HasPrefix(t.Name, "__") || t.Partitions < 1 {
				return nil, fmt.Errorf("manifest of %s: topic %q with %d partitions cannot be created", m.Service, t.Name, t.Partitions)
			}
		}
		all = append(all, m)
	}
}

// topicsList is `firehose topics list`.
type topicsList struct {
	Streams
	brokers
	registry
	schemas schemaDir
	json    bool
}

func topicsListCommand(s Streams) *service.Command {
	c := &topicsList{Streams: s}
	return &service.Command{
		Name:    "list",
		Summary: "list the topics with what their contracts say",
		Help: "KIND is from the topic's contract: the local schemas', else the registry's. RECORDS\n" +
			"counts the offsets that can be read; compaction and transactions leave gaps in them.",
		Example: "firehose topics list\nfirehose topics list -J | jq -r 'select(.kind==\"entity\").topic'",
		Register: func(f *service.Flags) {
			c.brokers.Register(f)
			c.registry.Register(f)
			c.schemas.register(f)
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// listedTopic is a line of `firehose topics list`.
type listedTopic struct {
	Topic      string `json:"topic"`
	ID         string `json:"topic_id"`
	Kind       string `json:"kind"` // entity, fact, dead letters; empty when nobody says
	Partitions int    `json:"partitions"`
	Records    int64  `json:"records"`
	Cleanup    string `json:"cleanup_policy"`
}

func (c *topicsList) run(ctx context.Context, _ []string) error {
	set, err := c.schemas.load()
	if err != nil {
		return err
	}
	reg, err := c.registry.open()
	if err != nil {
		return err
	}
	defer reg.Close()
	client, err := c.brokers.open(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	names, err := kafka.ListTopics(ctx, client)
	if err != nil {
		return err
	}
	infos, err := kafka.DescribeTopics(ctx, client, names...)
	if err != nil {
		return err
	}
	cleanup, err := kafka.TopicSetting(ctx, client, "cleanup.policy", names...)
	if err != nil {
		return err
	}
	known := contracts{set: set, registry: reg}
	list := make([]listedTopic, 0, len(infos))
	for _, info := range infos {
		t := listedTopic{Topic: info.Name, ID: info.ID.String(), Partitions: len(info.Partitions), Cleanup: cleanup[info.Name]}
		for _, p := range info.Partitions {
			t.Records += p.StableEnd - p.Start
		}
		if s := known.of(ctx, info.Name); s != nil {
			t.Kind = string(s.Kind)
		} else if kafka.IsDeadLetterName(info.Name, "") {
			t.Kind = "dead letters"
		}
		list = append(list, t)
	}
	if c.json {
		return printJSON(c.Out, list)
	}
	rows := make([][]string, 0, len(list))
	for _, t := range list {
		rows = append(rows, []string{t.Topic, cmp.Or(t.Kind, "-"), itoa(t.Partitions), itoa(t.Records), t.Cleanup})
	}
	return printTable(c.Out, []string{"TOPIC", "KIND", "PARTITIONS", "RECORDS", "CLEANUP"}, rows)
}

// contracts finds the contract of a topic: among the local schemas, else at the
// registry, as long as that answers.
type contracts struct {
	set      *schemas.Set
	registry *codec.Registry
	found    map[string]*schemas.Schema
	away     bool
}

// of returns the latest schema of a topic, nil when nobody knows it.
func (c *contracts) of(ctx context.Context, topic string) *schemas.Schema {
	if t, ok := c.set.Topic(topic); ok {
		return t.Latest()
	}
	if s, ok := c.found[topic]; ok || c.away || kafka.IsDeadLetterName(topic, "") {
		return s
	}
	s, _, err := c.registry.Latest(ctx, topic+"-value")
	if errors.Is(err, codec.ErrUnavailable) {
		c.away = true
		return nil
	}
	if c.found == nil {
		c.found = map[string]*schemas.Schema{}
	}
	if err != nil {
		s = nil
	}
	c.found[topic] = s
	return s
}
