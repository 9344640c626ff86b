package service

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
)

// The exit codes of every binary.
const (
	ExitDone   = 0 // it did what was asked
	ExitFailed = 1 // it tried and could not
	ExitUsage  = 2 // it was asked wrongly: flags, environment, file or arguments
)

// ErrFailed makes a command exit with ExitFailed without another word: the
// command has already said on its own output what went wrong (one line per
// refused event, for example).
var ErrFailed = errors.New("failed")

// UsageError says that a command was called wrongly. Main exits with
// ExitUsage for it.
type UsageError struct {
	Err error
}

// Error says what is wrong with the call.
func (e *UsageError) Error() string { return e.Err.Error() }

// Unwrap gives the cause.
func (e *UsageError) Unwrap() error { return e.Err }

// Usagef makes a UsageError, as fmt.Errorf makes an error.
func Usagef(format string, args ...any) error {
	return &UsageError{Err: fmt.Errorf(format, args...)}
}

// Command is one command of a binary, or a binary that has commands.
type Command struct {
	Name      string            // the word it is called by, e.g. "send"
	Summary   string            // one line, no full stop
	Arguments string            // what follows the flags, e.g. "FILE...|-"; empty for none
	Help      string            // paragraphs between usage and flags; optional
	Example   string            // shell lines that work when pasted
	Env       map[string]string // variables read beside the flags' own, with what each is for

	// Register declares the command's flags. It is called once for a call of
	// the command and must only write the defaults of what it registers.
	Register func(*Flags)
	// Run does the work. args is what is left after the flags, which may stand
	// anywhere among the arguments. ctx ends at the first signal: see Group.
	Run func(ctx context.Context, args []string) error

	Commands []*Command // subcommands; a command with subcommands has no Run
}

// Process is what a command may see of its process. Main fills it; tests call
// Execute with one of their own.
type Process struct {
	Args   []string // without the program's name
	Env    []string // as os.Environ gives it
	Stdout io.Writer
	Stderr io.Writer
}

// Main runs cmd as the whole process: it parses, installs the signal handlers
// (the first SIGINT or SIGTERM ends ctx, the second aborts), runs, prints the
// error and returns the exit code for os.Exit.
func Main(ctx context.Context, cmd *Command) int {
	ctx, stop := withSignals(ctx)
	defer stop()
	return Execute(ctx, cmd, Process{
		Args:   os.Args[1:],
		Env:    os.Environ(),
		Stdout: os.Stdout,
		Stderr: os.Stderr,
	})
}

// Execute parses p's arguments, runs the command they name and returns its
// exit code. Main is Execute with the process's own surroundings.
func Execute(ctx context.Context, root *Command, p Process) int {
	if len(p.Args) == 1 && p.Args[0] == "--version" {
		fmt.Fprintf(p.Stdout, "%s %s\n", root.Name, version())
		return ExitDone
	}
	path, args, err := find(root, p.Args)
	cmd := path[len(path)-1]
	name := names(path)
	if err == nil && cmd.Run == nil && !asksHelp(args) {
		err = Usagef("which command? one of: %s", strings.Join(commandNames(cmd), ", "))
	}
	flags := newFlags(name)
	if err == nil {
		if cmd.Register != nil {
			cmd.Register(flags)
		}
		if cmd.Run != nil {
			flags.registerConfig()
		}
		args, err = flags.parse(args, p.Env, elsewhere(root, cmd))
	}
	if errors.Is(err, flag.ErrHelp) {
		printHelp(p.Stdout, name, cmd, flags)
		return ExitDone
	}
	if err == nil && cmd.Arguments == "" && len(args) > 0 {
		err = Usagef("unexpected argument %q", args[0])
	}
	if err != nil {
		fmt.Fprintf(p.Stderr, "%s: %v\nTry: %s --help\n", name, err, name)
		return ExitUsage
	}

	err = cmd.Run(ctx, args)
	var usage *UsageError
	switch {
	case err == nil:
		return ExitDone
	case errors.As(err, &usage):
		fmt.Fprintf(p.Stderr, "%s: %v\nTry: %s --help\n", name, err, name)
		return ExitUsage
	case errors.Is(err, ErrFailed):
		return ExitFailed
	case ctx.Err() != nil && errors.Is(err, context.Canceled):
		fmt.Fprintf(p.Stderr, "%s: interrupted\n", name)
		return ExitFailed
	default:
		fmt.Fprintf(p.Stderr, "%s: %v\n", name, err)
		return ExitFailed
	}
}

// find follows args down the tree of commands. The path it returns always
// holds at least the root, so that an error can name where it happened.
func find(root *Command, args []string) ([]*Command, []string, error) {
	path := []*Command{root}
	for cmd := root; len(cmd.Commands) > 0; {
		if len(args) == 0 || strings.HasPrefix(args[0], "-") {
			return path, args, nil
		}
		if args[0] == "help" {
			args = append(slices.Clone(args[1:]), "--help")
			continue
		}
		i := slices.IndexFunc(cmd.Commands, func(c *Command) bool { return c.Name == args[0] })
		if i < 0 {
			return path, args, Usagef("unknown command %q; one of: %s", args[0], strings.Join(commandNames(cmd), ", "))
		}
		cmd, args = cmd.Commands[i], args[1:]
		path = append(path, cmd)
	}
	return path, args, nil
}

// elsewhere names the flags and variables of root's other commands: a key of
// theirs in a shared file or environment is not ours, but it is not a
// misspelling either.
func elsewhere(root, cmd *Command) known {
	k := known{flags: map[string]bool{}, env: map[string]bool{}}
	var walk func(*Command)
	walk = func(c *Command) {
		for name := range c.Env {
			k.env[name] = true
		}
		if c != cmd && c.Register != nil {
			f := newFlags(c.Name)
			c.Register(f)
			f.VisitAll(func(g *flag.Flag) { k.flags[g.Name] = true })
		}
		for _, sub := range c.Commands {
			walk(sub)
		}
	}
	walk(root)
	return k
}

// version is the module's version and revision as the linker recorded them.
func version() string {
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	version := info.Main.Version
	for _, s := range info.Settings {
		if s.Key == "vcs.revision" && !strings.Contains(version, s.Value[:min(12, len(s.Value))]) {
			version += " " + s.Value
		}
	}
	return version + " " + info.GoVersion
}

func names(path []*Command) string {
	words := make([]string, len(path))
	for i, c := range path {
		words[i] = c.Name
	}
	return strings.Join(words, " ")
}

func commandNames(cmd *Command) []string {
	var list []string
	for _, c := range cmd.Commands {
		list = append(list, c.Name)
	}
	return list
}

func asksHelp(args []string) bool {
	return len(args) > 0 && slices.Contains([]string{"-h", "-help", "--help"}, args[0])
}
