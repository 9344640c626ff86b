package operator

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strconv"

	"firehose/internal/kafka"
	"firehose/internal/service"
)

// tail is `firehose tail`.
type tail struct {
	Streams
	brokers
	registry
	schemas    schemaDir
	partitions []string
	offset     string
	follow     bool
	count      int
	json       bool
}

func tailCommand(s Streams) *service.Command {
	c := &tail{Streams: s}
	return &service.Command{
		Name:      "tail",
		Summary:   "show the events of a topic, decoded",
		Arguments: "TOPIC",
		Help: "One event a line, in order within a partition; of transactions only what was\n" +
			"committed. A record that cannot be decoded is shown with the reason.",
		Example: "firehose tail shop.orders\n" +
			"firehose tail shop.orders -p 3 -o beginning -c 10\n" +
			"firehose tail shop.orders -f -J | jq .value.status",
		Register: func(f *service.Flags) {
			c.brokers.Register(f)
			c.registry.Register(f)
			c.schemas.register(f)
			registerRead(f, &c.partitions, &c.offset, "-10", &c.count)
			f.BoolVar(&c.follow, "follow", false, "wait for more at the end, until Ctrl-C")
			f.Short("f", "follow")
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

// registerRead declares which records of a topic are read.
func registerRead(f *service.Flags, partitions *[]string, offset *string, from string, count *int) {
	f.List(partitions, "partition", nil, "`partitions` to read, comma-separated; default is all")
	f.Short("p", "partition")
	f.StringVar(offset, "offset", from, "`where` to start in each partition: beginning, end, an offset, or -N for the last N")
	f.Short("o", "offset")
	f.IntVar(count, "count", 0, "stop after that `many`; 0 is no limit")
	f.Short("c", "count")
}

// readConfig makes what Read needs of the flags.
func readConfig(args, partitions []string, offset string, count int) (kafka.ReadConfig, error) {
	if len(args) != 1 {
		return kafka.ReadConfig{}, service.Usagef("want one topic, got %d", len(args))
	}
	rc := kafka.ReadConfig{Topic: args[0]}
	for _, p := range partitions {
		n, err := strconv.ParseInt(p, 10, 32)
		if err != nil || n < 0 {
			return rc, service.Usagef("--partition %q: want a number from 0", p)
		}
		rc.Partitions = append(rc.Partitions, int32(n))
	}
	if count < 0 {
		return rc, service.Usagef("--count %d: want 0 or more", count)
	}
	from, err := kafka.ParseFrom(offset)
	if err != nil {
		return rc, service.Usagef("--%w", err)
	}
	rc.From = from
	return rc, nil
}

func (c *tail) run(ctx context.Context, args []string) error {
	rc, err := readConfig(args, c.partitions, c.offset, c.count)
	if err != nil {
		return err
	}
	if rc.From.IsEnd() && !c.follow {
		return service.Usagef("--offset end shows nothing without --follow")
	}
	rc.Follow = c.follow
	set, err := c.schemas.load()
	if err != nil {
		return err
	}
	reg, err := c.registry.open()
	if err != nil {
		return err
	}
	defer reg.Close()
	client, err := c.brokers.open(ctx) // says early that nobody is there
	if err != nil {
		return err
	}
	client.Close()

	decoded, known := newValues(reg), &contracts{set: set, registry: reg}
	out := bufio.NewWriter(c.Out)
	if !c.json {
		fmt.Fprint(out, recordHeadings())
	}
	if err := out.Flush(); err != nil {
		return err
	}
	n := 0
	return kafka.Read(ctx, c.config(), rc, func(r *kafka.Record) (bool, error) {
		s := decoded.show(ctx, known, r)
		if err := ctx.Err(); err != nil {
			return false, err // decoding may have been what was interrupted
		}
		if err := writeRecord(out, s, c.json); err != nil {
			return false, err
		}
		n++
		return c.count == 0 || n < c.count, nil
	})
}

// writeRecord writes a line and hands it on at once: somebody may be watching.
func writeRecord(out *bufio.Writer, s *shown, asJSON bool) error {
	if asJSON {
		enc := json.NewEncoder(out)
		enc.SetEscapeHTML(false)
		if err := enc.Encode(s); err != nil {
			return err
		}
	} else if _, err := out.WriteString(s.line()); err != nil {
		return err
	}
	return out.Flush()
}
