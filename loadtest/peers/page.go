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
	runs, failed           int
	rate, least, most      float64 // events a second
	cpu, memory, whole     float64
	perSecond, cpus, peaks []float64
	wholes                 []float64
	events                 int
}

func figuresOf(results []result, row, contender string) *figures {
	f := &figures{}
	for _, r := range results {
		switch {
		case r.Row != row || r.Contender != contender:
		case r.Problem != "":
			f.failed++
		default:
			f.runs++
			f.events = r.Events
			f.perSecond = append(f.perSecond, float64(r.Events)/r.Seconds)
			f.cpus = append(f.cpus, r.CPUSeconds)
			f.peaks = append(f.peaks, r.PeakMB)
			f.wholes = append(f.wholes, r.WholeSeconds)
		}
	}
	if f.runs > 0 {
		f.rate, f.least, f.most = median(f.perSecond), slices.Min(f.perSecond), slices.Max(f.perSecond)
		f.cpu, f.memory, f.whole = median(f.cpus), median(f.peaks), median(f.wholes)
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

// result says how ours does by a goal, and whether that holds.
func (g goal) result(ours, other *figures) (text string, holds bool) {
	switch g.figure {
	case "rate":
		x := ours.rate / other.rate
		return fmt.Sprintf("%.2f× its rate, wanted ≥ %.2f×", x, g.least), x >= g.least
	case "memory":
		x := ours.memory / other.memory
		return fmt.Sprintf("%.2f of its memory, wanted ≤ %.2f", x, g.most), x <= g.most
	default:
		x := ours.cpu / other.cpu
		return fmt.Sprintf("%.2f of its CPU seconds, wanted ≤ %.2f", x, g.most), x <= g.most
	}
}

func writePage(out io.Writer, results []result) error {
	w := bufio.NewWriter(out)
	m := results[len(results)-1].Machine
	fmt.Fprintf(w, pageHead, m.CPU, m.Cores, m.Date)
	for _, r := range allRows() {
		own := figuresOf(results, r.name, ours)
		if own.runs == 0 {
			continue
		}
		fmt.Fprintf(w, "\n## %s\n\n    make peers ROW=%s EVENTS=%d\n\n", upper(r.work), r.name, own.events)
		fmt.Fprint(w, "| who | events/s, median | least to most | runs | CPU s | peak MB |\n| --- | --: | --: | --: | --: | --: |\n")
		for _, c := range r.contenders {
			f := figuresOf(results, r.name, c.name)
			if f.runs == 0 {
				fmt.Fprintf(w, "| %s | not measured | | %d failed | | |\n", c.name, f.failed)
				continue
			}
			fmt.Fprintf(w, "| %s | %s | %s to %s | %d | %.1f | %.0f |\n", c.name, thousands(f.rate), thousands(f.least), thousands(f.most), f.runs, f.cpu, f.memory)
		}
		fmt.Fprintln(w)
		for _, g := range r.goals {
			other := figuresOf(results, r.name, g.against)
			if other.runs == 0 {
				continue
			}
			text, holds := g.result(own, other)
			mark := "holds"
			if !holds {
				mark = "**missed**"
			}
			fmt.Fprintf(w, "- %s: %s: %s\n", g.against, text, mark)
		}
	}
	return w.Flush()
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
of the time from the first event that is seen to be there to the last; a JVM's start
and the joining of groups are apart. CPU seconds and memory are the whole process's.

Measured on %s, %d cores, which brokers, databases and contenders share; %s.
Kafka 4.3.1 (heap 1 GB), PostgreSQL 15 as it comes, but for 64 MB of shared memory.

    make peers                              # all rows; fetches what it needs
    make peers ROW=sqlite-spread ROUNDS=5   # one of them

Choices: Connect's converter reads a schema that it knows by heart, with no registry
(for Connect); the sink merges what a batch has of one key, writes 10,000 rows at
once with unnest, and has two tasks. Streams has 64 MB of cache and one thread.
kafka-producer-perf-test sends values only, as large as our records with key and
headers, batches of 128 KiB, linger 5 ms; it sends three times as many, of which the first fifth is its warm-up (its CPU seconds are of all). Raw
franz-go has the settings of our client and bytes that were encoded before (against
us). The bare programs read no headers, know one schema, fence nothing and set nothing
aside (against us). Clustered input has the five versions of an order close together;
spread input has no two of them in one batch.
`
