// Package model predicts what a system can take: its throughput, the lag that a
// burst leaves, and the processors of each part, from how many keys events have,
// how large they are, how many are facts, the store and the service's instances.
// It is fitted on runs of a load test that gave the service more than it could
// apply, and says how wrong it is about runs that it was not fitted on.
//
//	loadtest model --held-out c.json --rate 100000 a.json b.json ...
//
// An event costs a sum of terms: itself, its size, the rows that are written for
// it (events of one key in a batch share one), and its ID, if it is a fact. What
// each costs is fitted for each store and number of instances: in time, which
// holds for the machine of the runs, and in processor time of each part, from
// which larger systems are reckoned.
package model

import (
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"slices"

	"firehose/internal/service"
	"firehose/loadtest"
)

// defaultBatch is the service's.
const defaultBatch = 20_000

// question is what to reckon.
type question struct {
	rate, burst, length float64
	work                Work
}

// Command is `loadtest model`.
func Command(stdout io.Writer) *service.Command {
	var heldOut []string
	var within float64
	var ask question
	return &service.Command{
		Name: "model", Summary: "fit costs to runs, try them on held-out runs, and reckon with them",
		Arguments: "RESULT...",
		Help: "The runs must have given the service more than it could apply, so that it had\n" +
			"work left after the load. Exit 1: a held-out run is predicted worse than --within.",
		Example: "loadtest model --held-out c.json --rate 100000 a.json b.json d.json e.json f.json",
		Register: func(f *service.Flags) {
			f.List(&heldOut, "held-out", nil, "`results` that are predicted and not fitted")
			f.Float64Var(&within, "within", 0.2, "`part` by which a prediction may be wrong")
			f.IntVar(&ask.work.Batch, "batch", defaultBatch, "`events` in a transaction of the service, as its --max-batch")
			f.Float64Var(&ask.rate, "rate", 0, "reckon what so many `events` a second need")
			f.Float64Var(&ask.burst, "burst", 0, "and the lag of a burst of so many `events` a second, of a minute")
			f.IntVar(&ask.work.Keys, "keys", 1_000_000, "`keys` of them")
			f.Float64Var(&ask.work.Skew, "skew", 0, "`exponent` of a Zipf distribution over the keys, above 1")
			f.Float64Var(&ask.work.Facts, "facts", 0, "`part` of them that are facts")
			f.Float64Var(&ask.work.PaddingBytes, "size", 100, "`bytes` of padding of each")
		},
		Run: func(_ context.Context, args []string) error {
			if len(args) == 0 {
				return service.Usagef("which results? name some that loadtest run --out has written")
			}
			if ask.work.Keys < 1 || ask.work.Batch < 1 || ask.work.Facts < 0 || ask.work.Facts > 1 {
				return service.Usagef("keys %d, batch %d, facts %g: want at least one, and a part", ask.work.Keys, ask.work.Batch, ask.work.Facts)
			}
			ask.length = 60
			runs, err := readAll(args, ask.work.Batch)
			if err != nil {
				return err
			}
			held, err := readAll(heldOut, ask.work.Batch)
			if err != nil {
				return err
			}
			model, err := fit(runs)
			if err != nil {
				return err
			}
			model.printCosts(stdout)
			wrong := model.printRuns(stdout, "fitted", runs, math.Inf(1))
			wrong += model.printRuns(stdout, "held out", held, within)
			if ask.rate > 0 {
				model.answer(stdout, &ask)
			}
			if wrong > 0 {
				return fmt.Errorf("%d held-out runs are predicted worse than within %.0f %%", wrong, 100*within)
			}
			return nil
		},
	}
}

func readAll(paths []string, batch int) ([]*sample, error) {
	var all []*sample
	for _, path := range paths {
		r, err := loadtest.Read(path)
		if err != nil {
			return nil, err
		}
		s, err := read(r, batch)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		all = append(all, s)
	}
	return all, nil
}

func (f *fitted) kinds() []kind {
	return slices.SortedFunc(maps.Keys(f.seconds), func(a, b kind) int {
		if a.store != b.store {
			return len(a.store) - len(b.store)
		}
		return a.instances - b.instances
	})
}

func (f *fitted) printCosts(w io.Writer) {
	fmt.Fprintf(w, "| store, instances | microseconds of | %s | %s | %s | %s |\n|---|---|---:|---:|---:|---:|\n", termNames[0], termNames[1], termNames[2], termNames[3])
	for _, k := range f.kinds() {
		line := func(what string, c *cost) {
			fmt.Fprintf(w, "| %s | %s |", k, what)
			for _, v := range c {
				fmt.Fprintf(w, " %.2f |", 1e6*v)
			}
			fmt.Fprintln(w)
		}
		line("time", f.seconds[k])
		for _, name := range slices.Sorted(maps.Keys(f.cpu[k])) {
			line("processor: "+name, f.cpu[k][name])
		}
	}
}

func (k kind) String() string { return fmt.Sprintf("%s, %d", k.store, k.instances) }

// printRuns returns how many are predicted worse than within.
func (f *fitted) printRuns(w io.Writer, title string, runs []*sample, within float64) (wrong int) {
	fmt.Fprintf(w, "\n| %s | store, instances | events/s | predicted | off | backlog | s to apply it | predicted |\n|---|---|---:|---:|---:|---:|---:|---:|\n", title)
	for _, s := range runs {
		k := kind{s.store, s.instances}
		c := f.seconds[k]
		if c == nil {
			fmt.Fprintf(w, "| %s | %s | %.0f | not fitted | | | | |\n", s.name, k, s.rate)
			wrong++
			continue
		}
		predicted := 1 / c.of(s.terms)
		off := predicted/s.rate - 1
		fmt.Fprintf(w, "| %s | %s | %.0f | %.0f | %+.0f %% | %.0f | %.1f | %.1f |\n", s.name, k, s.rate, predicted, 100*off, s.backlog, s.drain, s.backlog/predicted)
		if !(math.Abs(off) <= within) {
			wrong++
		}
	}
	return wrong
}

// answer reckons what a load needs.
func (f *fitted) answer(w io.Writer, q *question) {
	x := q.work.terms()
	fmt.Fprintf(w, "\n%.0f events/s of %.0f bytes of padding, %d keys, %.2f rows written an event, %.0f %% facts:\n", q.rate, q.work.PaddingBytes, q.work.Keys, x[perRow], 100*q.work.Facts)
	for _, k := range f.kinds() {
		most := 1 / f.seconds[k].of(x)
		fmt.Fprintf(w, "  %-12s a machine such as that of the runs applies %.0f/s, so %.1f of them are needed\n", k, most, q.rate/most)
		for _, name := range slices.Sorted(maps.Keys(f.cpu[k])) {
			if cores := q.rate * f.cpu[k][name].of(x); cores >= 0.005 {
				fmt.Fprintf(w, "  %-12s %s: %.2f cores\n", "", name, cores)
			}
		}
		if q.burst > q.rate {
			n := math.Ceil(q.rate / most)
			most *= n
			backlog := max(0, q.burst-most) * q.length
			fmt.Fprintf(w, "  %-12s a burst of %.0f/s for %.0f s on %.0f of them leaves %.0f events, %.0f s old, gone after %.0f s more\n",
				"", q.burst, q.length, n, backlog, backlog/most, backlog/(most-q.rate))
		}
	}
}
