package report_test

import (
	"bytes"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"testing"

	"go.uber.org/goleak"

	"firehose/loadtest"
	"firehose/loadtest/report"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// result is one of a run of some seconds, with everything that a page shows.
func result(name string, seconds int) *loadtest.Result {
	r := &loadtest.Result{
		Format: 1, Name: name, Settings: loadtest.Settings{Load: "1000:20s", WarmUp: 3},
		Events:   loadtest.Events{Due: 17000, Acked: 17000, Applied: 17000, AckedRate: 1000, AppliedRate: 1000},
		Correct:  loadtest.Correctness{Checked: true, Events: 20000, Keys: 10},
		Usage:    []loadtest.Used{{Name: "broker", CPU: 1}},
		Notes:    []string{"a note & a <b>tag</b>"},
		Marks:    []loadtest.Mark{{At: 8, What: `kill -9 "$(cat broker.pid)"`}},
		Dents:    []loadtest.Dent{{From: 8, Recovered: 11, Seconds: 3, Mark: "kill", SinceMark: 3}},
		Search:   []loadtest.Attempt{{Rate: 1000, Held: true}, {Rate: 2000, Why: "only 1500/s were applied"}},
		Findings: []string{},
	}
	for i := range seconds {
		q := loadtest.Quantiles{Count: 1000, P50: 1 + float64(i%3), P99: 10 + float64(i%4), Max: 30 * float64(1+i%5)}
		r.Series = append(r.Series, loadtest.Second{
			At: float64(i + 1), Length: 1, WarmUp: i < 3, Due: 1000, Sent: 1000, Acked: 990, Applied: 980 + float64(i), Behind: int64(10 * i),
			AckedMs: q, ApplyMs: q, LateMs: q,
			Usage: map[string]loadtest.Usage{"broker": {Cores: 0.5, Memory: 100}, "generator": {Cores: 1.1, Memory: 60}},
		})
	}
	return r
}

func write(t *testing.T, results ...*loadtest.Result) string {
	t.Helper()
	var b bytes.Buffer
	if err := report.Write(&b, results...); err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// The page is well formed, so that it can be read here as XML.
func TestPlotsAreDrawnAndNothingIsLoaded(t *testing.T) {
	text := write(t, result("before", 20), result("after", 12))
	dec := xml.NewDecoder(strings.NewReader(text))
	dec.Strict = true
	plots, lines, titles := 0, 0, 0
	inPlot := false
	for {
		token, err := dec.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			if slices.Contains([]string{"script", "link", "img", "iframe", "object", "embed", "image", "use", "base", "form"}, e.Name.Local) {
				t.Errorf("element %s: a page that loads nothing has none", e.Name.Local)
			}
			for _, a := range e.Attr {
				if v := strings.ToLower(a.Value); strings.Contains(v, "//") || strings.Contains(v, "url(") || strings.HasPrefix(a.Name.Local, "on") ||
					slices.Contains([]string{"href", "src", "srcset", "data", "action"}, a.Name.Local) {
					t.Errorf("attribute %s=%q of %s: refers to something else", a.Name.Local, a.Value, e.Name.Local)
				}
			}
			if e.Name.Local == "svg" && attribute(e, "class") == "plot" {
				plots++
				inPlot = true
			}
			if e.Name.Local == "polyline" && inPlot {
				lines++
				checkLine(t, attribute(e, "points"))
			}
			if e.Name.Local == "title" {
				titles++
			}
		case xml.EndElement:
			if e.Name.Local == "svg" {
				inPlot = false
			}
		}
	}
	if style := text[strings.Index(text, "<style>"):strings.Index(text, "</style>")]; strings.Contains(style, "url(") || strings.Contains(style, "@import") {
		t.Error("the style refers to something else")
	}
	if !strings.Contains(text, `content="default-src 'none'; style-src 'unsafe-inline'"`) {
		t.Error("the page does not forbid the browser to load")
	}
	const kinds, linesOfKinds = 7, 3 + 3 + 3 + 1 + 3 + 2 + 2
	if plots != 2*kinds || lines != 2*linesOfKinds || titles < lines {
		t.Errorf("got %d plots with %d lines and %d titles, want %d with %d", plots, lines, titles, 2*kinds, 2*linesOfKinds)
	}
	for _, want := range []string{"before", "after", "kill -9", "recovered after 3 s", "only 1500/s were applied", "a note &amp; a &lt;b&gt;"} {
		if !strings.Contains(text, want) {
			t.Errorf("the page lacks %q", want)
		}
	}
}

func attribute(e xml.StartElement, name string) string {
	for _, a := range e.Attr {
		if a.Name.Local == name {
			return a.Value
		}
	}
	return ""
}

// checkLine checks that a line has points, all of them within the plot.
func checkLine(t *testing.T, points string) {
	t.Helper()
	all := strings.Fields(points)
	if len(all) < 12 {
		t.Errorf("a line of %d points, want one of each interval: %q", len(all), points)
	}
	for _, p := range all {
		xs, ys, _ := strings.Cut(p, ",")
		x, errX := strconv.ParseFloat(xs, 64)
		y, errY := strconv.ParseFloat(ys, 64)
		if errX != nil || errY != nil || math.IsNaN(x+y) || x < 0 || x > 460 || y < 0 || y > 180 {
			t.Fatalf("point %q: not within the plot", p)
		}
	}
}

// A result from elsewhere, or one with hardly anything in it, makes a page, too.
func TestOddResultsMakeAPage(t *testing.T) {
	empty := &loadtest.Result{Format: 1, Name: `<script>alert(1)</script>"`}
	zero := result("zero", 3)
	for i := range zero.Series {
		zero.Series[i] = loadtest.Second{At: float64(i + 1), Length: 1}
	}
	text := write(t, empty, zero)
	if strings.Contains(text, "<script>") || strings.Contains(text, "NaN") || strings.Contains(text, "Inf") {
		t.Error("the page holds a script, or a number that is none")
	}
	if !strings.Contains(text, "nothing was taken down") {
		t.Error("the page does not say that a run has no series")
	}
	if err := xml.NewDecoder(strings.NewReader(text)).Decode(new(struct{})); err != nil {
		t.Errorf("not well formed: %v", fmt.Sprint(err))
	}
}
