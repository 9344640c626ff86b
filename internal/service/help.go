package service

import (
	"flag"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
)

// printHelp writes what a command is for, how it is called, an example that
// works when pasted, and its flags.
func printHelp(w io.Writer, name string, cmd *Command, flags *Flags) {
	fmt.Fprintf(w, "%s: %s\n\nUsage:\n", name, cmd.Summary)
	if len(cmd.Commands) > 0 {
		fmt.Fprintf(w, "  %s COMMAND [flags]\n\nCommands:\n", name)
		width := 0
		for _, c := range cmd.Commands {
			width = max(width, len(c.Name))
		}
		for _, c := range cmd.Commands {
			fmt.Fprintf(w, "  %-*s  %s\n", width, c.Name, c.Summary)
		}
	} else {
		fmt.Fprintln(w, strings.TrimRight(fmt.Sprintf("  %s [flags] %s", name, cmd.Arguments), " "))
	}
	if cmd.Help != "" {
		fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(cmd.Help))
	}
	if cmd.Example != "" {
		fmt.Fprintf(w, "\nExample:\n")
		for line := range strings.SplitSeq(strings.TrimSpace(cmd.Example), "\n") {
			fmt.Fprintf(w, "  %s\n", strings.TrimSpace(line))
		}
	}
	if cmd.Run == nil {
		fmt.Fprintf(w, "\nHelp on a command: %s COMMAND --help\n", name)
		return
	}
	fmt.Fprintf(w, "\nFlags:\n")
	flags.VisitAll(func(g *flag.Flag) {
		if flags.long(g.Name) == g.Name {
			flags.describe(w, g)
		}
	})
	fmt.Fprintf(w, "\nEvery flag is also a variable (--log-level is FIREHOSE_LOG_LEVEL) and a line of\n"+
		"the --config file (log-level: debug). Flags beat the environment, which beats the file.\n")
	for _, variable := range slices.Sorted(maps.Keys(cmd.Env)) {
		fmt.Fprintf(w, "%s: %s\n", variable, cmd.Env[variable])
	}
}
