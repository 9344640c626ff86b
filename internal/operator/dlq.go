package operator

import (
	"bufio"
	"cmp"
	"context"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"firehose/internal/deadletter"
	"firehose/internal/kafka"
	"firehose/internal/service"
	"firehose/schemas"
)

func dlqCommand(s Streams) *service.Command {
	return &service.Command{
		Name:     "dlq",
		Summary:  "records that services set aside",
		Commands: []*service.Command{dlqListCommand(s), dlqShowCommand(s)},
	}
}

// classUnreadable stands for a record of a dead-letter topic that does not say
// where it came from.
const classUnreadable = "unreadable"

// letters tells the dead letters of a topic from their repetitions: one may be
// written twice, when its writer dies between the acknowledgement and its commit.
type letters map[deadletter.ID]bool

// read returns why a record was set aside, and whether it is the first time that
// it is seen. A record that does not say counts for itself.
func (l letters) read(r *kafka.Record) (reason deadletter.Reason, first bool, err error) {
	if reason, err = deadletter.ParseHeaders(r.Headers); err != nil {
		return deadletter.Reason{Class: classUnreadable, Message: err.Error()}, true, err
	}
	first = !l[reason.ID()]
	l[reason.ID()] = true
	return reason, first, nil
}

// dlqList is `firehose dlq list`.
type dlqList struct {
	Streams
	brokers
	group string
	json  bool
}

func dlqListCommand(s Streams) *service.Command {
	c := &dlqList{Streams: s}
	return &service.Command{
		Name:    "list",
		Summary: "count the dead letters by topic and class",
		Help: "Reads every dead-letter topic from its beginning. A record counts once, by topic ID,\n" +
			"partition and offset, however often it was set aside.",
		Example: "firehose dlq list\nfirehose dlq list --group billing -J",
		Register: func(f *service.Flags) {
			c.brokers.Register(f)
			f.StringVar(&c.group, "group", "", "`group` whose dead letters to count; default is all")
			f.Short("G", "group")
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// letterCount is a line of `firehose dlq list`.
type letterCount struct {
	Topic   string     `json:"topic"`
	Class   string     `json:"class"` // empty for a topic without dead letters
	Records int        `json:"records"`
	Last    *time.Time `json:"last,omitempty"` // when the latest was set aside
}

func (c *dlqList) run(ctx context.Context, _ []string) error {
	client, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	topics, err := kafka.ListTopics(ctx, client)
	if err != nil {
		return err
	}
	topics = slices.DeleteFunc(topics, func(t string) bool { return !kafka.IsDeadLetterName(t, c.group) })
	var counts []letterCount
	for _, topic := range topics {
		of, err := c.count(ctx, topic)
		if err != nil {
			return err
		}
		counts = append(counts, of...)
	}
	if c.json {
		return printJSON(c.Out, counts)
	}
	if len(topics) == 0 {
		fmt.Fprintln(c.Out, "no dead-letter topic: `firehose topics apply` creates them from manifests")
		return nil
	}
	var rows [][]string
	for _, n := range counts {
		last := "-"
		if n.Last != nil {
			last = n.Last.Format("2006-01-02T15:04:05Z")
		}
		rows = append(rows, []string{n.Topic, cmp.Or(n.Class, "-"), itoa(n.Records), last})
	}
	return printTable(c.Out, []string{"TOPIC", "CLASS", "RECORDS", "LAST"}, rows)
}

// count reads a topic. One without dead letters has a line, too: nothing is an
// answer.
func (c *dlqList) count(ctx context.Context, topic string) ([]letterCount, error) {
	seen, counts := letters{}, map[string]*letterCount{}
	err := kafka.Read(ctx, c.config(), kafka.ReadConfig{Topic: topic}, func(r *kafka.Record) (bool, error) {
		reason, first, _ := seen.read(r) // its error is its class
		n := counts[reason.Class]
		if n == nil {
			n = &letterCount{Topic: topic, Class: printable(reason.Class)}
			counts[reason.Class] = n
		}
		if first {
			n.Records++
		}
		if at := r.Timestamp.UTC(); n.Last == nil || at.After(*n.Last) {
			n.Last = &at
		}
		return true, nil
	})
	if err != nil {
		return nil, err
	}
	if len(counts) == 0 {
		return []letterCount{{Topic: topic}}, nil
	}
	var list []letterCount
	for _, n := range counts {
		list = append(list, *n)
	}
	slices.SortFunc(list, func(a, b letterCount) int {
		return cmp.Or(cmp.Compare(b.Records, a.Records), strings.Compare(a.Class, b.Class))
	})
	return list, nil
}

// dlqShow is `firehose dlq show`.
type dlqShow struct {
	Streams
	brokers
	registry
	partitions []string
	offset     string
	count      int
	json       bool
}

func dlqShowCommand(s Streams) *service.Command {
	c := &dlqShow{Streams: s}
	return &service.Command{
		Name:      "show",
		Summary:   "show the dead letters of a topic: where from, why, and what they hold",
		Arguments: "TOPIC",
		Help: "Shows each record's key and value, decoded where that can be done, else the first\n" +
			"bytes in hexadecimal digits. That may be PERSONAL DATA: logs, metrics and dead-letter\n" +
			"headers hold none of it, this output does. A record set aside twice is shown once.",
		Example: "firehose dlq show shop.orders.billing-dlt -c 5",
		Register: func(f *service.Flags) {
			c.brokers.Register(f)
			c.registry.Register(f)
			registerRead(f, &c.partitions, &c.offset, "beginning", &c.count)
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// maxHex bounds the bytes of a value that are shown undecoded.
const maxHex = 256

// shownLetter is a dead letter as it is shown.
type shownLetter struct {
	Reason letterReason `json:"reason"`
	Record *shown       `json:"record"` // as it lies in the dead-letter topic
	Bytes  int          `json:"value_bytes"`
	Hex    string       `json:"value_hex,omitempty"` // the first bytes of what cannot be decoded
}

// letterReason is a reason whose topic ID is text in JSON.
type letterReason struct {
	deadletter.Reason
	TopicID string `json:"topic_id"`
}

func (c *dlqShow) run(ctx context.Context, args []string) error {
	rc, err := readConfig(args, c.partitions, c.offset, c.count)
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
	client.Close()

	decoded, known := newValues(reg), &contracts{set: schemas.Shop(), registry: reg}
	seen, n := letters{}, 0
	out := bufio.NewWriter(c.Out)
	return kafka.Read(ctx, c.config(), rc, func(r *kafka.Record) (bool, error) {
		reason, first, _ := seen.read(r)
		if !first {
			return true, nil
		}
		letter := &shownLetter{Reason: letterReason{reason, reason.TopicID.String()}, Record: decoded.show(ctx, known, r), Bytes: len(r.Value)}
		if err := ctx.Err(); err != nil {
			return false, err
		}
		if letter.Record.Value == nil {
			letter.Hex = hex.EncodeToString(r.Value[:min(maxHex, len(r.Value))])
		}
		if err := letter.write(out, c.json); err != nil {
			return false, err
		}
		n++
		return c.count == 0 || n < c.count, nil
	})
}

func (s *shownLetter) write(out *bufio.Writer, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			return err
		}
		return out.Flush()
	}
	s.describe(out)
	return out.Flush()
}

// describe writes the dead letter for people, over several lines.
func (s *shownLetter) describe(out *bufio.Writer) {
	r := s.Record
	field := func(name, text string) {
		if text != "" {
			fmt.Fprintf(out, "  %-9s %s\n", name, printable(text))
		}
	}
	fmt.Fprintf(out, "%s/%d@%d  %s\n", r.Topic, r.Partition, r.Offset, printable(s.Reason.Class))
	if s.Reason.Class != classUnreadable {
		field("from", fmt.Sprintf("%s/%d@%d, topic ID %s", s.Reason.Topic, s.Reason.Partition, s.Reason.Offset, s.Reason.TopicID))
		field("group", fmt.Sprintf("%s, %s", s.Reason.Group, deliveries(s.Reason.Deliveries)))
	}
	field("reason", s.Reason.Message)
	field("set aside", r.Timestamp.Format("2006-01-02T15:04:05.000Z"))
	if r.Key != nil {
		field("key", *r.Key)
	}
	field("type", r.Type)
	if r.Version != nil {
		field("version", itoa(*r.Version))
	}
	field("id", r.ID)
	field("source", r.Source)
	switch {
	case r.Value != nil:
		field("value", string(r.Value))
	case r.Tombstone:
		field("value", "null, a tombstone")
	default:
		text := plural(s.Bytes, "byte")
		if r.Error != nil && r.Error.Class != "bad_header" {
			text += ", " + r.Error.Reason
		}
		field("value", text)
		if s.Bytes > maxHex {
			field("", s.Hex+"…")
		} else {
			field("", s.Hex)
		}
	}
	fmt.Fprintln(out)
}

func deliveries(n int) string {
	if n == 1 {
		return "delivered once"
	}
	return fmt.Sprintf("delivered %d times", n)
}
