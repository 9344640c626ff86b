package report

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// The size of a plot and of what is around its lines, in pixels.
const (
	width, height           = 460, 180
	left, right, top, below = 52, 10, 10, 24
)

// point is one value at a time.
type point struct{ x, y float64 }

// line is one line of a plot.
type line struct {
	Name   string
	Class  string // decides the colour
	Points string // of an SVG polyline
	values []point
}

// band is a time that is shaded.
type band struct {
	Class       string
	Title       string
	X, Width    float64
	Top, Height float64
}

// mark is a moment at which something was done.
type mark struct {
	Title     string
	X, Y1, Y2 float64
}

// tick is a number at an axis.
type tick struct {
	Text         string
	X, Y, X2, Y2 float64
	TextX, TextY float64
	Anchor       string
}

// plot is one diagram: lines over time.
type plot struct {
	Title         string
	Width, Height int
	Lines         []line
	Bands         []band
	Marks         []mark
	Ticks         []tick
	Empty         bool
}

// scale maps values to pixels.
type scale struct {
	endX      float64
	low, high float64
	log       bool
}

func (s scale) x(v float64) float64 {
	return left + v/s.endX*(width-left-right)
}

func (s scale) y(v float64) float64 {
	part := 0.0
	if s.log {
		part = math.Log(max(v, s.low)/s.low) / math.Log(s.high/s.low)
	} else {
		part = v / s.high
	}
	return height - below - part*(height-top-below)
}

// scaleOf returns the scale that holds all lines.
func scaleOf(lines [][]line, endX float64, log bool) scale {
	s := scale{endX: max(endX, 1), log: log}
	least := math.Inf(1)
	for _, ls := range lines {
		for _, l := range ls {
			for _, p := range l.values {
				s.high = max(s.high, p.y)
				if p.y > 0 {
					least = min(least, p.y)
				}
			}
		}
	}
	if log {
		if math.IsInf(least, 1) {
			least = 1
		}
		s.low = math.Pow(10, math.Floor(math.Log10(least)))
		s.high = math.Pow(10, math.Ceil(math.Log10(max(s.high, 10*s.low))))
		return s
	}
	step := niceStep(s.high)
	s.high = max(step*math.Ceil(s.high/step), step)
	return s
}

// niceStep is the distance of some four numbers at an axis: 1, 2 or 5 times a
// power of ten.
func niceStep(high float64) float64 {
	if high <= 0 {
		return 1
	}
	raw := high / 4
	power := math.Pow(10, math.Floor(math.Log10(raw)))
	for _, m := range []float64{1, 2, 5} {
		if raw <= m*power {
			return m * power
		}
	}
	return 10 * power
}

// draw makes the plot of some lines.
func draw(title string, lines []line, s scale) plot {
	p := plot{Title: title, Width: width, Height: height, Empty: true}
	for _, l := range lines {
		var b strings.Builder
		for i, v := range l.values {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(number(s.x(v.x)) + "," + number(s.y(v.y)))
		}
		l.Points = b.String()
		p.Lines = append(p.Lines, l)
		p.Empty = p.Empty && len(l.values) == 0
	}
	p.ticks(s)
	return p
}

func (p *plot) ticks(s scale) {
	var values []float64
	if s.log {
		for v := s.low; v <= s.high*1.0001; v *= 10 {
			values = append(values, v)
		}
	} else {
		step := niceStep(s.high)
		for v := 0.0; v <= s.high*1.0001; v += step {
			values = append(values, v)
		}
	}
	for _, v := range values {
		y := s.y(v)
		p.Ticks = append(p.Ticks, tick{
			Text: short(v), X: left, Y: y, X2: width - right, Y2: y, TextX: left - 5, TextY: y + 3.5, Anchor: "end",
		})
	}
	step := niceStep(s.endX)
	for v := 0.0; v <= s.endX; v += step {
		x := s.x(v)
		p.Ticks = append(p.Ticks, tick{
			Text: short(v) + " s", X: x, Y: height - below, X2: x, Y2: height - below + 4, TextX: x, TextY: height - 6, Anchor: "middle",
		})
	}
}

// shade adds a time to be shaded.
func (p *plot) shade(s scale, class, title string, from, to float64) {
	x := s.x(max(from, 0))
	p.Bands = append(p.Bands, band{
		Class: class, Title: title, X: x, Width: max(s.x(min(to, s.endX))-x, 0), Top: top, Height: height - top - below,
	})
}

// mark adds a moment.
func (p *plot) mark(s scale, title string, at float64) {
	p.Marks = append(p.Marks, mark{Title: title, X: s.x(at), Y1: top, Y2: height - below})
}

// number is a coordinate: a tenth of a pixel is enough.
func number(v float64) string { return strconv.FormatFloat(v, 'f', 1, 64) }

// short writes a number for people: 12.5k, 3M, 0.01.
func short(v float64) string {
	switch a := math.Abs(v); {
	case a >= 1e6:
		return strconv.FormatFloat(v/1e6, 'g', 4, 64) + "M"
	case a >= 1e4:
		return strconv.FormatFloat(v/1e3, 'g', 4, 64) + "k"
	case a >= 100 || a == math.Trunc(a):
		return fmt.Sprintf("%.0f", v)
	default:
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
}
