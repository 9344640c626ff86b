package service

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// envPrefix starts the name of every variable that is ours.
const envPrefix = "FIREHOSE_"

// Flags is a flag.FlagSet that also reads the environment and a YAML file, and
// knows short names: kcat's letters where a flag has one.
type Flags struct {
	*flag.FlagSet
	short  map[string]string // letter → the name it stands for
	config string
}

// known names the flags and the variables that somebody reads.
type known struct {
	flags, env map[string]bool
}

func newFlags(name string) *Flags {
	fs := flag.NewFlagSet(name, flag.ContinueOnError)
	fs.SetOutput(io.Discard) // Execute prints errors and help, in its own form
	return &Flags{FlagSet: fs, short: map[string]string{}}
}

// Short lets letter stand for the flag name, which must be registered already.
func (f *Flags) Short(letter, name string) {
	g := f.Lookup(name)
	if g == nil {
		panic("service: no flag " + name + " for the short name " + letter)
	}
	f.Var(g.Value, letter, g.Usage)
	f.short[letter] = name
}

// List declares a flag that holds a comma-separated list, or is given several
// times, or is a YAML sequence. Items are trimmed; empty ones are refused.
func (f *Flags) List(p *[]string, name string, value []string, usage string) {
	*p = slices.Clone(value)
	f.Var(&list{items: p, split: true}, name, usage)
}

// Repeated declares a flag that can be given several times, one item each:
// what an item holds is left alone, commas too.
func (f *Flags) Repeated(p *[]string, name, usage string) {
	*p = nil
	f.Var(&list{items: p}, name, usage)
}

func (f *Flags) registerConfig() {
	f.StringVar(&f.config, "config", "", "read settings from the YAML `file`, one \"flag-name: value\" a line")
}

// list is the flag.Value of List and Repeated. The first Set replaces the
// default, further ones add to it.
type list struct {
	items *[]string
	split bool
	set   bool
}

func (l *list) String() string {
	if l.items == nil {
		return ""
	}
	return strings.Join(*l.items, ",")
}

func (l *list) Set(s string) error {
	if !l.set {
		*l.items, l.set = nil, true
	}
	if !l.split {
		*l.items = append(*l.items, s)
		return nil
	}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item == "" {
			return errors.New("empty item in the list")
		}
		*l.items = append(*l.items, item)
	}
	return nil
}

// parse reads args, then fills in from env and the file what args left open.
// It returns the arguments that are not flags.
func (f *Flags) parse(args, env []string, others known) ([]string, error) {
	rest, err := f.parseArgs(args)
	if err != nil {
		return nil, err
	}
	given := map[string]bool{}
	f.Visit(func(g *flag.Flag) { given[f.long(g.Name)] = true })

	if err := f.parseEnv(env, given, others); err != nil {
		return nil, err
	}
	if f.config == "" {
		return rest, nil
	}
	settings, err := readFile(f.config)
	if err != nil {
		return nil, &UsageError{Err: err}
	}
	for _, s := range settings {
		switch {
		case s.name == "config" || f.Lookup(s.name) == nil && !others.flags[s.name] || f.long(s.name) != s.name:
			return nil, Usagef("%s: unknown key %q", s.where, s.name)
		case f.Lookup(s.name) == nil || given[s.name]:
			continue
		}
		for _, value := range s.values {
			if err := f.Set(s.name, value); err != nil {
				return nil, Usagef("%s: %s: invalid value %q: %w", s.where, s.name, value, err)
			}
		}
	}
	return rest, nil
}

// parseArgs is flag.Parse for flags that may stand between the arguments, as
// users of kcat write them. What follows "--" is never a flag.
func (f *Flags) parseArgs(args []string) ([]string, error) {
	var rest []string
	for {
		if err := f.Parse(args); err != nil {
			if errors.Is(err, flag.ErrHelp) {
				return nil, err
			}
			// The flag package writes one dash; we write two everywhere.
			if name, ok := strings.CutPrefix(err.Error(), "flag provided but not defined: -"); ok {
				return nil, Usagef("unknown flag --%s", name)
			}
			return nil, &UsageError{Err: err}
		}
		left := f.Args()
		if len(left) == 0 {
			return rest, nil
		}
		if parsed := len(args) - len(left); parsed > 0 && args[parsed-1] == "--" {
			return append(rest, left...), nil
		}
		rest, args = append(rest, left[0]), left[1:]
	}
}

func (f *Flags) parseEnv(env []string, given map[string]bool, others known) error {
	byName := map[string]string{}
	f.VisitAll(func(g *flag.Flag) {
		if f.long(g.Name) == g.Name {
			byName[envName(g.Name)] = g.Name
		}
	})
	for name := range others.flags {
		others.env[envName(name)] = true
	}
	for _, assignment := range slices.Sorted(slices.Values(env)) {
		variable, value, _ := strings.Cut(assignment, "=")
		if !strings.HasPrefix(variable, envPrefix) {
			continue
		}
		name, ok := byName[variable]
		switch {
		case !ok && (others.env[variable] || isServiceLink(variable, value)):
			continue
		case !ok:
			return Usagef("unknown environment variable %s", variable)
		case given[name]:
			continue
		}
		if err := f.Set(name, value); err != nil {
			return Usagef("%s: invalid value %q: %w", variable, value, err)
		}
		given[name] = true
	}
	return nil
}

// long is the name that a short name stands for.
func (f *Flags) long(name string) string {
	if long, ok := f.short[name]; ok {
		return long
	}
	return name
}

func envName(flag string) string {
	return envPrefix + strings.ToUpper(strings.ReplaceAll(flag, "-", "_"))
}

var serviceLink = regexp.MustCompile(`_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT_\d+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?)$`)

// isServiceLink recognises the variables that Kubernetes puts into every pod
// for each Service of its namespace: a Service named "firehose" would otherwise
// keep all pods from starting.
func isServiceLink(variable, value string) bool {
	if serviceLink.MatchString(variable) {
		return true
	}
	scheme, _, ok := strings.Cut(value, "://")
	return ok && strings.HasSuffix(variable, "_PORT") && slices.Contains([]string{"tcp", "udp", "sctp"}, scheme)
}

// describe is a flag's line in the help.
func (f *Flags) describe(w io.Writer, g *flag.Flag) {
	letter := "    "
	for l, name := range f.short {
		if name == g.Name {
			letter = "-" + l + ", "
		}
	}
	kind, usage := flag.UnquoteUsage(g)
	line := "  " + letter + "--" + g.Name
	if kind != "" {
		line += " " + kind
	}
	if g.DefValue != "" && g.DefValue != "false" && g.DefValue != "0" {
		usage += fmt.Sprintf(" (default %s)", g.DefValue)
	}
	fmt.Fprintf(w, "%s\n          %s\n", line, usage)
}
