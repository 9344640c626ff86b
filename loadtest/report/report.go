// Package report makes one HTML page of the results of load tests: what was
// found, and plots of each run beside the others', on the same scales.
//
// The page holds all that it needs. It loads nothing, from nowhere, and says so
// to the browser.
package report

import (
	_ "embed" // the page
	"fmt"
	"html/template"
	"io"
	"maps"
	"slices"
	"strings"

	"firehose/loadtest"
)

//go:embed page.html.tmpl
var pageText string

var page = template.Must(template.New("page").Funcs(template.FuncMap{
	"ms": func(v float64) string { return short3(v) }, "short": short,
	"percent": func(v float64) string { return fmt.Sprintf("%.0f %%", 100*v) },
}).Parse(pageText))

// short3 writes milliseconds.
func short3(v float64) string {
	if v >= 100 {
		return fmt.Sprintf("%.0f", v)
	}
	return fmt.Sprintf("%.3g", v)
}

// row is one kind of plot, for each run.
type row struct {
	Title  string
	Note   string
	Legend []line
	Plots  []plot
}

// view is what the page shows.
type view struct {
	Runs []*loadtest.Result
	Rows []row
}

// Write writes the page of some results.
func Write(w io.Writer, results ...*loadtest.Result) error {
	v := view{Runs: results}
	end := 0.0
	for _, r := range results {
		for _, s := range r.Series {
			end = max(end, s.At)
		}
	}
	for _, k := range kinds {
		v.Rows = append(v.Rows, k.row(results, end))
	}
	return page.Execute(w, v)
}

// kind is a kind of plot.
type kind struct {
	title, note string
	log         bool
	lines       func(r *loadtest.Result) []line
}

// series makes a line of a value in each interval.
func series(r *loadtest.Result, name, class string, value func(loadtest.Second) (float64, bool)) line {
	l := line{Name: name, Class: class}
	for _, s := range r.Series {
		if v, ok := value(s); ok {
			l.values = append(l.values, point{s.At - s.Length/2, v})
		}
	}
	return l
}

// quantiles makes lines of a latency.
func quantiles(of func(loadtest.Second) loadtest.Quantiles) func(*loadtest.Result) []line {
	return func(r *loadtest.Result) []line {
		pick := func(name, class string, value func(loadtest.Quantiles) float64) line {
			return series(r, name, class, func(s loadtest.Second) (float64, bool) {
				q := of(s)
				return value(q), q.Count > 0
			})
		}
		return []line{
			pick("p50", "c1", func(q loadtest.Quantiles) float64 { return q.P50 }),
			pick("p99", "c2", func(q loadtest.Quantiles) float64 { return q.P99 }),
			pick("max", "c3", func(q loadtest.Quantiles) float64 { return q.Max }),
		}
	}
}

// usage makes a line for each group of processes.
func usage(value func(loadtest.Usage) float64) func(*loadtest.Result) []line {
	return func(r *loadtest.Result) []line {
		names := map[string]bool{}
		for _, s := range r.Series {
			for name := range s.Usage {
				names[name] = true
			}
		}
		var lines []line
		for i, name := range slices.Sorted(maps.Keys(names)) {
			lines = append(lines, series(r, name, fmt.Sprintf("c%d", i%6+1), func(s loadtest.Second) (float64, bool) {
				u, ok := s.Usage[name]
				return value(u), ok
			}))
		}
		return lines
	}
}

var kinds = []kind{
	{title: "Throughput, events a second", lines: func(r *loadtest.Result) []line {
		rate := func(value func(loadtest.Second) float64) func(loadtest.Second) (float64, bool) {
			return func(s loadtest.Second) (float64, bool) { return value(s), true }
		}
		return []line{
			series(r, "due", "c0", rate(func(s loadtest.Second) float64 { return s.Due })),
			series(r, "acknowledged", "c1", rate(func(s loadtest.Second) float64 { return s.Acked })),
			series(r, "applied", "c2", rate(func(s loadtest.Second) float64 { return s.Applied })),
		}
	}},
	{title: "Acknowledged, ms after an event was due", log: true,
		lines: quantiles(func(s loadtest.Second) loadtest.Quantiles { return s.AckedMs })},
	{title: "Applied, ms after an event was due", log: true, note: "too long by less than the time between two looks at the store: see the notes of the run",
		lines: quantiles(func(s loadtest.Second) loadtest.Quantiles { return s.ApplyMs })},
	{title: "Lag: acknowledged and not yet applied, events", lines: func(r *loadtest.Result) []line {
		return []line{series(r, "behind", "c2", func(s loadtest.Second) (float64, bool) { return float64(s.Behind), true })}
	}},
	{title: "Lateness of the generator itself, ms", log: true,
		lines: quantiles(func(s loadtest.Second) loadtest.Quantiles { return s.LateMs })},
	{title: "Processors used, cores", lines: usage(func(u loadtest.Usage) float64 { return u.Cores })},
	{title: "Memory, MB", lines: usage(func(u loadtest.Usage) float64 { return u.Memory })},
}

// row draws the kind for each run, all on one scale.
func (k kind) row(results []*loadtest.Result, end float64) row {
	out := row{Title: k.title, Note: k.note}
	var all [][]line
	named := map[string]bool{}
	for _, r := range results {
		lines := k.lines(r)
		all = append(all, lines)
		for _, l := range lines {
			if !named[l.Name] {
				named[l.Name] = true
				out.Legend = append(out.Legend, l)
			}
		}
	}
	s := scaleOf(all, end, k.log)
	for i, r := range results {
		p := draw(strings.SplitN(k.title, ",", 2)[0]+" of "+r.Name, all[i], s)
		if warm := r.Settings.WarmUp; warm > 0 {
			p.shade(s, "warm", "warm-up", 0, warm)
		}
		for _, d := range r.Dents {
			p.shade(s, "dent", fmt.Sprintf("dent of %.0f s", d.Seconds), d.From, d.Recovered)
		}
		for _, m := range r.Marks {
			p.mark(s, m.What, m.At)
		}
		out.Plots = append(out.Plots, p)
	}
	return out
}
