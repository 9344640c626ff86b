package operator

import (
	"context"
	"fmt"
	"strings"

	"firehose/internal/offsets"
	"firehose/internal/service"
)

// lag is `firehose lag`.
type lag struct {
	Streams
	brokers
	groups []string
	json   bool
}

func lagCommand(s Streams) *service.Command {
	c := &lag{Streams: s}
	return &service.Command{
		Name:    "lag",
		Summary: "how far each group is behind, and in which state",
		Help: "COMMITTED is the group's committed offset, which mirrors the position in the\n" +
			"service's store; END is the last stable offset, where the next finished record\n" +
			"goes. STATE is what the service says of the partition: a paused one goes on by\n" +
			"itself, a stopped one needs somebody. A foreign one was committed by somebody else\n" +
			"than the service, \"none\" has no commit, \"gone\" is no longer in the cluster.\n" +
			"Without --group: all groups that this system's services committed for.",
		Example: "firehose lag\nfirehose lag --group billing -J | jq 'select(.lag>0)'",
		Register: func(f *service.Flags) {
			c.brokers.Register(f)
			f.List(&c.groups, "group", nil, "`groups` to show, comma-separated")
			f.Short("G", "group")
			registerJSON(f, &c.json)
		},
		Run: c.run,
	}
}

func (c *lag) run(ctx context.Context, _ []string) error {
	client, err := c.open(ctx)
	if err != nil {
		return err
	}
	defer client.Close()
	lags, err := offsets.Lags(ctx, client, c.groups...)
	if err != nil {
		return err
	}
	if c.json {
		return printJSON(c.Out, lags)
	}
	if len(lags) == 0 {
		fmt.Fprintln(c.Out, "no group has committed anything with this system's mark; --group shows others")
		return nil
	}
	return c.print(lags)
}

// wants reports whether a state is one that somebody should look at.
func wants(state string) bool { return state != "active" }

func (c *lag) print(lags []offsets.Lag) error {
	var rows [][]string
	var noted []string
	var behind int64
	groups := map[string]bool{}
	for _, l := range lags {
		state := printable(l.State)
		if wants(l.State) {
			state = "! " + state
			noted = append(noted, fmt.Sprintf("! %s: %s/%d is %s, %d behind",
				printable(l.Group), l.Topic, l.Partition, strings.ReplaceAll(printable(l.State), "_", " "), l.Records))
		}
		rows = append(rows, []string{
			printable(l.Group), l.Topic, itoa(l.Partition), orDash(l.Committed), orDash(l.End), itoa(l.Records), state,
		})
		behind += l.Records
		groups[l.Group] = true
	}
	if err := printTable(c.Out, []string{"GROUP", "TOPIC", "PARTITION", "COMMITTED", "END", "LAG", "STATE"}, rows); err != nil {
		return err
	}
	fmt.Fprintf(c.Out, "\n%s, %s, %d behind", plural(len(groups), "group"), plural(len(lags), "partition"), behind)
	if len(noted) == 0 {
		fmt.Fprintln(c.Out, ", all active")
		return nil
	}
	fmt.Fprintf(c.Out, ", %d not active:\n%s\n", len(noted), strings.Join(noted, "\n"))
	return nil
}

func orDash(n int64) string {
	if n < 0 {
		return "-"
	}
	return itoa(n)
}
