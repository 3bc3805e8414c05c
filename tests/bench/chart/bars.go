package chart

import (
	"math"
	"slices"
)

// Bars is a chart of horizontal bars in groups.
type Bars struct {
	Title, Note string
	Series      []string // names, in the order of their colours
	Groups      []Group
	Line        float64 // a value marked through all groups of the common scale; 0 for none
	LineText    string
}

// Group is some bars under one label.
type Group struct {
	Label string
	Bars  []Bar
	Own   bool // the group has a scale of its own
}

// Bar is one value. NaN is left out.
type Bar struct {
	Series int
	Value  float64
	Text   string  // behind the bar
	Limit  float64 // marked on the bar's line; 0 for none
}

const (
	labelWidth = 190
	valueWidth = 120
	barHeight  = 14
	groupGap   = 10
)

// SVG draws the chart.
func (b Bars) SVG() string {
	d := &drawing{}
	y := float64(margin + 8)
	d.text(margin, y, "start", "h", b.Title)
	y += line
	if b.Note != "" {
		d.text(margin, y, "start", "m", b.Note)
		y += line
	}
	y += d.legend(y, b.Series)
	top := y
	if b.LineText != "" {
		y += line
	}
	b.Groups = slices.DeleteFunc(slices.Clone(b.Groups), func(g Group) bool { return g.most() == 0 })
	common := b.Line
	for _, g := range b.Groups {
		if !g.Own {
			common = math.Max(common, g.most())
		}
	}
	space := float64(width - 2*margin - labelWidth - valueWidth)
	left := float64(margin + labelWidth)
	for _, g := range b.Groups {
		scale := common
		if g.Own {
			scale = g.most()
		}
		begin := y
		for _, bar := range g.Bars {
			if math.IsNaN(bar.Value) {
				continue
			}
			w := bar.Value / scale * space
			d.rect(left, y, w, barHeight-2, colour(bar.Series))
			end := left + w
			if bar.Limit > 0 {
				at := left + bar.Limit/scale*space
				d.stroke(at, y-2, at, y+barHeight, "mark")
				if at > end && at < end+12+7*float64(len(bar.Text)) { // it would go through the text
					end = at
				}
			}
			d.text(end+6, y+barHeight-4, "start", "m", bar.Text)
			y += barHeight
		}
		d.text(left-8, begin+(y-begin)/2+4, "end", "t", g.Label)
		y += groupGap
	}
	d.stroke(left, top, left, y-groupGap, "axis")
	if b.Line > 0 {
		at := left + b.Line/common*space
		d.stroke(at, top+line-4, at, y-groupGap, "axis")
		d.text(at, top+line-8, "middle", "m", b.LineText)
	}
	d.height = int(y) + margin - groupGap
	return d.finish(b.Title)
}

// most returns the greatest value or limit of the group.
func (g Group) most() float64 {
	most := 0.0
	for _, b := range g.Bars {
		if !math.IsNaN(b.Value) {
			most = math.Max(most, math.Max(b.Value, b.Limit))
		}
	}
	return most
}
