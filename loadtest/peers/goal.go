package main

import "fmt"

// goal is what a contender is to be: by itself, or in another's figure.
type goal struct {
	figure  string // rate, memory, cpu, or one of a run's own
	of      string // whose; "" is the row's first
	against string // whose it is divided by; "" for none
	least   float64
	most    float64 // 0 for no limit
}

func rate(against string, least float64) goal {
	return goal{figure: "rate", against: against, least: least}
}

func memory(against string, most float64) goal {
	return goal{figure: "memory", against: against, most: most}
}

func cpu(against string, most float64) goal {
	return goal{figure: "cpu", against: against, most: most}
}

// units are of the figures that every run has.
var units = map[string]string{"rate": "events/s", "memory": "MB at the most", "cpu": "CPU seconds"}

// result says how a contender does by a goal, and whether that holds.
func (g goal) result(own, other *figures) (text string, holds bool) {
	x := own.of(g.figure)
	unit := units[g.figure]
	if unit == "" {
		unit = g.figure
	}
	digits := "%.0f"
	if g.against != "" {
		x /= other.of(g.figure)
		unit, digits = "× its "+unit, "%.2f"
	}
	if x < 100 {
		digits = "%.2f"
	}
	show := func(v float64) string { return fmt.Sprintf(digits, v) }
	wanted := "≥ " + show(g.least)
	switch {
	case g.least > 0 && g.most > 0:
		wanted = show(g.least) + " to " + show(g.most)
	case g.most > 0:
		wanted = "≤ " + show(g.most)
	}
	return fmt.Sprintf("%s %s, wanted %s", show(x), unit, wanted), x >= g.least && (g.most == 0 || x <= g.most)
}

// of is a figure by its name.
func (f *figures) of(name string) float64 {
	switch name {
	case "rate":
		return f.rate
	case "memory":
		return f.memory
	case "cpu":
		return f.cpu
	default:
		return f.named[name]
	}
}
