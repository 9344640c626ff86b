package main

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"

	"firehose/internal/service"
)

func pageCommand() *service.Command {
	var in string
	return &service.Command{
		Name: "page", Summary: "print docs/performance.md from results",
		Example: "peers page --in peers.jsonl",
		Register: func(f *service.Flags) {
			f.StringVar(&in, "in", "peers.jsonl", "`file` of results")
		},
		Run: func(context.Context, []string) error {
			file, err := os.Open(in)
			if err != nil {
				return err
			}
			results, err := readResults(file)
			if err := errors.Join(err, file.Close()); err != nil {
				return err
			}
			return writePage(os.Stdout, results)
		},
	}
}

func readResults(in io.Reader) ([]result, error) {
	var all []result
	for scan := bufio.NewScanner(in); scan.Scan(); {
		var r result
		if err := json.Unmarshal(scan.Bytes(), &r); err != nil {
			return nil, fmt.Errorf("result %d: %w", len(all)+1, err)
		}
		all = append(all, r)
	}
	if len(all) == 0 {
		return nil, errors.New("there is no result")
	}
	return all, nil
}

// figures are a contender's medians in a row, and the spread of its rate.
type figures struct {
	runs, failed      int
	rate, least, most float64 // events a second
	cpu, memory       float64
	named             map[string]float64 // the row's own
}

// figuresOf takes a contender's runs of so many events.
func figuresOf(results []result, row, contender string, events int) *figures {
	f := &figures{named: map[string]float64{}}
	var perSecond, cpus, peaks []float64
	named := map[string][]float64{}
	for _, r := range results {
		switch {
		case r.Row != row || r.Contender != contender || r.Asked != events:
		case r.Problem != "":
			f.failed++
		default:
			f.runs++
			perSecond = append(perSecond, float64(r.Events)/r.Seconds)
			cpus = append(cpus, r.CPUSeconds)
			peaks = append(peaks, r.PeakMB)
			for name, v := range r.Figures {
				named[name] = append(named[name], v)
			}
		}
	}
	if f.runs > 0 {
		f.rate, f.least, f.most = median(perSecond), slices.Min(perSecond), slices.Max(perSecond)
		f.cpu, f.memory = median(cpus), median(peaks)
	}
	for name, all := range named {
		f.named[name] = median(all)
	}
	return f
}

func median(all []float64) float64 {
	all = slices.Clone(all)
	slices.Sort(all)
	if n := len(all); n%2 == 0 {
		return (all[n/2-1] + all[n/2]) / 2
	}
	return all[len(all)/2]
}

func writePage(out io.Writer, results []result) error {
	w := bufio.NewWriter(out)
	m := results[len(results)-1].Machine
	fmt.Fprintf(w, pageHead, m.CPU, m.Cores, m.Date, m.Postgres)
	for _, r := range allRows() {
		var sizes []int // of its runs
		for _, one := range results {
			if one.Row == r.name && !slices.Contains(sizes, one.Asked) {
				sizes = append(sizes, one.Asked)
			}
		}
		if len(sizes) == 0 {
			continue
		}
		slices.Sort(sizes)
		fmt.Fprintf(w, "\n## %s\n", upper(r.work))
		for _, events := range sizes {
			r.section(w, results, events)
		}
		if note := notes[r.name]; note != "" {
			fmt.Fprintf(w, "\n%s\n", strings.TrimSpace(note))
		}
	}
	return w.Flush()
}

// section is a row's runs of so many events.
func (r *row) section(w io.Writer, results []result, events int) {
	command := "make peers ROW=" + r.name
	if r.events == 0 && r.name != "latency" {
		command += fmt.Sprintf(" EVENTS=%d", events)
	}
	fmt.Fprintf(w, "\n    %s\n\n", command)
	head, line := "| who |", "| --- |"
	column := func(name string) {
		head += " " + name + " |"
		line += " --: |"
	}
	if !r.noRate {
		column("events/s, median")
		column("least to most")
	}
	for _, name := range r.shows {
		column(name)
	}
	column("runs")
	column("CPU s")
	column("peak MB")
	fmt.Fprintf(w, "%s\n%s\n", head, line)
	for _, c := range r.contenders {
		f := figuresOf(results, r.name, c.name, events)
		if f.runs == 0 {
			fmt.Fprintf(w, "| %s | not measured, %d runs failed |\n", c.name, f.failed)
			continue
		}
		fmt.Fprintf(w, "| %s |", c.name)
		if !r.noRate {
			fmt.Fprintf(w, " %s | %s to %s |", thousands(f.rate), thousands(f.least), thousands(f.most))
		}
		for _, name := range r.shows {
			if v, ok := f.named[name]; ok {
				fmt.Fprintf(w, " %.2f |", v)
			} else {
				fmt.Fprint(w, " |")
			}
		}
		fmt.Fprintf(w, " %d | %.1f |", f.runs, f.cpu)
		if f.memory > 0 {
			fmt.Fprintf(w, " %.0f |\n", f.memory)
		} else {
			fmt.Fprintln(w, " |")
		}
	}
	fmt.Fprintln(w)
	for _, g := range r.goals {
		g.write(w, r, results, events)
	}
}

// write tells of a goal whether it holds.
func (g goal) write(w io.Writer, r *row, results []result, events int) {
	who := g.of
	if who == "" {
		who = r.contenders[0].name
	}
	own := figuresOf(results, r.name, who, events)
	other := own
	if g.against != "" {
		other = figuresOf(results, r.name, g.against, events)
	}
	if own.runs == 0 || other.runs == 0 {
		return
	}
	text, holds := g.result(own, other)
	mark := "holds"
	if !holds {
		mark = "**missed**"
	}
	about := g.against
	switch {
	case g.of != "" && g.against != "":
		about = g.of + " against " + g.against
	case g.of != "":
		about = g.of
	case g.against == "":
		about = who
	}
	fmt.Fprintf(w, "- %s: %s: %s\n", about, text, mark)
}

func upper(s string) string { return strings.ToUpper(s[:1]) + s[1:] }

func thousands(x float64) string {
	if x < 10_000 {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.0f k", x/1000)
}

const pageHead = `# Performance

<!-- made by peers page from results; what it says is in loadtest/peers -->

What users would pick instead, and for each piece of work the fastest bare program
that we could write, which does nothing but the one thing: in turns with ours, on
the same brokers, input and machine, each in a process of its own. Rates are medians
of the time from the first event that is seen to be there to the last. A JVM's start
and its first fifth of the events are its warm-up and not in its rate. CPU seconds
and memory are the whole process's.

Measured on %s, %d cores, which brokers, databases and contenders share; %s.
Kafka 4.3.1 (one broker with a heap of 1 GB, or three of 512 MB), PostgreSQL %s
with its own settings, 8 partitions.

    make peers                              # all rows; fetches what it needs
    make peers ROW=sqlite-spread ROUNDS=5   # one of them

Choices: JVMs get a heap of 1 GB and G1. Connect's converter reads a schema that it
knows by heart, with no registry (for Connect); the sink merges what a batch has of
one key, writes 10,000 rows at once with unnest, and has two tasks. Streams has 64 MB
of cache and one thread. kafka-producer-perf-test sends values only, as large as our
records with key and headers, batches of 128 KiB, linger 5 ms; it sends three times
as many (its CPU seconds are of all). Raw franz-go has the settings of our client and
bytes that were encoded before (against us). 20,000 different events are sent over and
over, by all three. The bare programs read no headers, know
one schema, fence nothing and set nothing aside (against us). Clustered input has the
five versions of an order close together; spread input has no two of them in one
batch. Who begins changes from round to round.
`
