// Package chart draws the benchmark's figures as SVG files that are readable on
// light and on dark pages, without scripts and without fonts of their own.
package chart

import (
	"fmt"
	"math"
	"strings"
)

// Sizes in pixels of the SVG's own coordinates.
const (
	width    = 760
	margin   = 16
	fontSize = 13
	line     = 20 // height of a line of text
)

// colours of the series: distinct in hue and in lightness, and with enough
// contrast to white and to black.
var colours = []string{"#2f81f7", "#d98c21", "#8b949e", "#3fa66b", "#a371f7"}

func colour(i int) string { return colours[i%len(colours)] }

// drawing collects elements.
type drawing struct {
	strings.Builder
	height int
}

// text writes a label. anchor is start, middle or end; class is one of the style
// sheet's.
func (d *drawing) text(x, y float64, anchor, class, s string) {
	fmt.Fprintf(d, "<text x=\"%s\" y=\"%s\" text-anchor=\"%s\" class=\"%s\">%s</text>\n", number(x), number(y), anchor, class, escape(s))
}

// rect fills a bar.
func (d *drawing) rect(x, y, w, h float64, fill string) {
	fmt.Fprintf(d, "<rect x=\"%s\" y=\"%s\" width=\"%s\" height=\"%s\" rx=\"2\" fill=\"%s\"/>\n", number(x), number(y), number(math.Max(w, 0.5)), number(h), fill)
}

// stroke draws a straight line of a class.
func (d *drawing) stroke(x1, y1, x2, y2 float64, class string) {
	fmt.Fprintf(d, "<line x1=\"%s\" y1=\"%s\" x2=\"%s\" y2=\"%s\" class=\"%s\"/>\n", number(x1), number(y1), number(x2), number(y2), class)
}

// legend writes the names of the series in their colours and returns the height
// that it took.
func (d *drawing) legend(y float64, names []string) float64 {
	x := float64(margin)
	for i, name := range names {
		if name == "" {
			continue
		}
		d.rect(x, y-9, 10, 10, colour(i))
		d.text(x+15, y, "start", "t", name)
		x += 15 + 7.2*float64(len(name)) + 18
	}
	return line
}

// finish returns the whole file.
func (d *drawing) finish(title string) string {
	return fmt.Sprintf(`<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 %d %d" width="%d" height="%d" role="img" aria-label="%s">
<style>
text { font: %dpx system-ui, -apple-system, "Segoe UI", sans-serif; }
.t { fill: #24292f; } .h { fill: #24292f; font-weight: 600; font-size: 15px; } .m { fill: #57606a; font-size: 12px; }
.axis { stroke: #8c959f; stroke-width: 1; } .grid { stroke: #d0d7de; stroke-width: 1; } .mark { stroke: #cf222e; stroke-width: 2; }
@media (prefers-color-scheme: dark) {
.t { fill: #e6edf3; } .h { fill: #e6edf3; } .m { fill: #9198a1; }
.axis { stroke: #6e7681; } .grid { stroke: #30363d; } .mark { stroke: #ff7b72; }
}
</style>
%s</svg>
`, width, d.height, width, d.height, escape(title), fontSize, d.String())
}

// number prints a coordinate.
func number(x float64) string {
	return strings.TrimSuffix(strings.TrimRight(fmt.Sprintf("%.1f", x), "0"), ".")
}

var escaper = strings.NewReplacer("&", "&amp;", "<", "&lt;", ">", "&gt;", `"`, "&quot;")

func escape(s string) string { return escaper.Replace(s) }
