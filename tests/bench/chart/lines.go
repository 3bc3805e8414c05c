package chart

import (
	"fmt"
	"math"
	"strings"
)

// Lines is a chart of values over a few steps of equal distance.
type Lines struct {
	Title, Note string
	X, Y        string   // what the axes are
	Steps       []string // labels of the x axis
	Series      []Line
}

// Line is one series, with a value for each step. NaN is left out.
type Line struct {
	Name   string
	Values []float64
}

const plotHeight = 260

// SVG draws the chart.
func (l Lines) SVG() string {
	d := &drawing{}
	y := float64(margin + 8)
	d.text(margin, y, "start", "h", l.Title)
	y += line
	if l.Note != "" {
		d.text(margin, y, "start", "m", l.Note)
		y += line
	}
	var names []string
	most := 0.0
	for _, s := range l.Series {
		names = append(names, s.Name)
		for _, v := range s.Values {
			if !math.IsNaN(v) {
				most = math.Max(most, v)
			}
		}
	}
	y += d.legend(y, names)
	d.text(margin, y, "start", "m", l.Y)
	top := y + 10
	left, right := float64(margin+44), float64(width-margin-40)
	bottom := top + plotHeight
	step := gridStep(most)
	scale := math.Max(math.Ceil(most/step)*step, step)
	at := func(v float64) float64 { return bottom - v/scale*plotHeight }
	for v := 0.0; v <= scale+step/2; v += step {
		d.stroke(left, at(v), right, at(v), "grid")
		d.text(left-6, at(v)+4, "end", "m", fmt.Sprint(math.Round(v*100)/100))
	}
	distance := (right - left) / math.Max(float64(len(l.Steps)-1), 1)
	for i, s := range l.Steps {
		d.text(left+float64(i)*distance, bottom+18, "middle", "m", s)
	}
	d.text((left+right)/2, bottom+38, "middle", "m", l.X)
	for i, s := range l.Series {
		var points []string
		for j, v := range s.Values {
			if math.IsNaN(v) {
				continue
			}
			x := left + float64(j)*distance
			points = append(points, number(x)+","+number(at(v)))
			fmt.Fprintf(d, "<circle cx=\"%s\" cy=\"%s\" r=\"3.5\" fill=\"%s\"/>\n", number(x), number(at(v)), colour(i))
		}
		fmt.Fprintf(d, "<polyline points=\"%s\" fill=\"none\" stroke=\"%s\" stroke-width=\"2\"/>\n", strings.Join(points, " "), colour(i))
	}
	d.height = int(bottom) + 38 + margin
	return d.finish(l.Title)
}

// gridStep returns a round distance of which four to eight make up most.
func gridStep(most float64) float64 {
	if most <= 0 {
		return 1
	}
	step := math.Pow(10, math.Floor(math.Log10(most)))
	for most/step < 4 {
		step /= 2
	}
	for most/step > 8 {
		step *= 2
	}
	return step
}
