package service

import (
	"flag"
	"slices"
)

// Setting describes a flag, and so the variable and the YAML key of its name.
type Setting struct {
	Name    string // of the flag and of the YAML key, without dashes in front
	Short   string // the letter that stands for it, or empty
	Env     string // the variable
	Kind    string // what its value is, one word; empty for a switch
	Usage   string // what it does
	Default string // as --help shows it; empty when there is none
}

// Settings describes the flags that register declares, in the order of their
// names.
func Settings(register func(*Flags)) []Setting {
	f := newFlags("")
	register(f)
	var all []Setting
	f.VisitAll(func(g *flag.Flag) {
		if f.long(g.Name) != g.Name {
			return
		}
		s := Setting{Name: g.Name, Env: envName(g.Name), Default: g.DefValue}
		s.Kind, s.Usage = flag.UnquoteUsage(g)
		for letter, name := range f.short {
			if name == g.Name {
				s.Short = letter
			}
		}
		all = append(all, s)
	})
	return all
}

// Settings describes the command's flags, --config among them.
func (c *Command) Settings() []Setting {
	return Settings(func(f *Flags) {
		if c.Register != nil {
			c.Register(f)
		}
		f.registerConfig()
	})
}

// Walk calls visit with each command that can be run, the root's own first, and
// with the words that it is called by.
func (c *Command) Walk(visit func(words []string, c *Command)) { c.walk(nil, visit) }

func (c *Command) walk(before []string, visit func([]string, *Command)) {
	words := append(slices.Clip(before), c.Name)
	if c.Run != nil {
		visit(words, c)
	}
	for _, sub := range c.Commands {
		sub.walk(words, visit)
	}
}
