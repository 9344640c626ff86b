package bench

import (
	"cmp"
	"fmt"
	"os"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	code := m.Run()
	printTable()
	if code == 0 {
		if err := goleak.Find(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			code = 1
		}
	}
	os.Exit(code)
}

// side is one of those that are compared.
type side struct {
	name string
	// cost is what one event takes, measured anew at each call; nil where once
	// is given: one event's work, of which the allocations are counted, too.
	cost func() time.Duration
	once func()
	// most is what ours may cost in this side's costs, as it was promised; 0
	// where nothing was.
	most float64
}

// turns is how often the sides take their turn within a round where one event
// takes less than some microseconds; the median counts. A turn is short beside
// what another program gets of the processor, and long enough to pay for the
// garbage that it makes.
const (
	turns     = 25
	turnCalls = 5000
)

// compare has all sides take their turn, once a round, and notes what ours, the
// first one, costs against each of the others.
func compare(b *testing.B, what string, sides ...side) {
	b.Helper()
	costs := make([][]float64, len(sides))
	round := 0
	for b.Loop() {
		for i := range sides {
			at := (i + round) % len(sides) // nobody is always the first
			if sides[at].cost != nil {
				runtime.GC() // nobody pays for the one before
				costs[at] = append(costs[at], float64(sides[at].cost()))
			}
		}
		if sides[0].once != nil {
			for at, cost := range quick(sides) {
				costs[at] = append(costs[at], cost)
			}
		}
		round++
	}
	b.ReportMetric(0, "ns/op") // of a whole round it says nothing
	for i, s := range sides {
		b.ReportMetric(median(costs[i]), unit.Replace(s.name)+"-ns/event")
		if i == 0 {
			continue
		}
		ratios := make([]float64, len(costs[i]))
		for r := range ratios {
			ratios[r] = costs[0][r] / costs[i][r]
		}
		table = append(table, row{
			what: what, ours: describe(sides[0], costs[0]), other: describe(s, costs[i]),
			ratios: ratios, most: s.most,
		})
	}
}

// unit makes a name fit for a metric, which benchstat reads by words.
var unit = strings.NewReplacer(" ", "-", ",", "")

// row is a line of the table at the end.
type row struct {
	what, ours, other string
	ratios            []float64
	most              float64
}

// table is written when all benchmarks are done, which TestMain alone knows.
var table []row

func describe(s side, costs []float64) string {
	text := fmt.Sprintf("%s %.2f µs", s.name, median(costs)/1000)
	if s.once != nil {
		text += fmt.Sprintf(", %.0f allocs", testing.AllocsPerRun(1000, s.once))
	}
	return text
}

func median(values []float64) float64 {
	sorted := slices.Sorted(slices.Values(values))
	n := len(sorted)
	return (sorted[(n-1)/2] + sorted[n/2]) / 2
}

func printTable() {
	if len(table) == 0 || testing.Short() { // so few events say nothing
		return
	}
	lines := [][]string{{"", "ours, of one event", "against", "costs", "spread", "as fast", "wanted"}}
	for _, r := range table {
		m := median(r.ratios)
		wanted := ""
		if r.most > 0 {
			wanted = fmt.Sprintf("≤ %.2f×", r.most)
			if m > r.most {
				wanted += ", MISSED"
			}
		}
		lines = append(lines, []string{
			r.what, r.ours, r.other, fmt.Sprintf("%.2f×", m),
			fmt.Sprintf("%.2f–%.2f", slices.Min(r.ratios), slices.Max(r.ratios)), fmt.Sprintf("%.0f %%", 100/m), wanted,
		})
	}
	fmt.Printf("\nWhat ours costs, in the other's costs: median and spread of %d rounds.\n\n", len(slices.MaxFunc(table, func(a, b row) int {
		return cmp.Compare(len(a.ratios), len(b.ratios))
	}).ratios))
	widths := make([]int, len(lines[0]))
	for _, l := range lines {
		for i, text := range l {
			widths[i] = max(widths[i], utf8.RuneCountInString(text))
		}
	}
	for _, l := range lines {
		var b strings.Builder
		for i, text := range l {
			b.WriteString(text + strings.Repeat(" ", widths[i]-utf8.RuneCountInString(text)+2))
		}
		fmt.Println(strings.TrimRight(b.String(), " "))
	}
	fmt.Println()
}

// quick measures what takes less than some microseconds.
func quick(sides []side) []float64 {
	all, costs := make([][]float64, len(sides)), make([]float64, len(sides))
	calls := scale(turnCalls)
	for range turns {
		for at := range sides {
			runtime.GC()
			start := time.Now()
			for range calls {
				sides[at].once()
			}
			all[at] = append(all[at], float64(time.Since(start))/float64(calls))
		}
	}
	for at := range all {
		costs[at] = median(all[at])
	}
	return costs
}

// scale is how many events a round has: few, where benchmarks only have to show
// that they still run.
func scale(n int) int {
	if testing.Short() {
		return n / 50
	}
	return n
}
