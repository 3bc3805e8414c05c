package chart

import (
	"encoding/xml"
	"errors"
	"io"
	"math"
	"strconv"
	"strings"
	"testing"
)

// elements reads an SVG file and returns the attributes of each element.
func elements(t *testing.T, text string) map[string][]map[string]string {
	t.Helper()
	found := map[string][]map[string]string{}
	in := xml.NewDecoder(strings.NewReader(text))
	for {
		token, err := in.Token()
		if errors.Is(err, io.EOF) {
			return found
		}
		if err != nil {
			t.Fatalf("%v in:\n%s", err, text)
		}
		if e, ok := token.(xml.StartElement); ok {
			attributes := map[string]string{}
			for _, a := range e.Attr {
				attributes[a.Name.Local] = a.Value
			}
			found[e.Name.Local] = append(found[e.Name.Local], attributes)
		}
	}
}

func float(t *testing.T, s string) float64 {
	t.Helper()
	x, err := strconv.ParseFloat(s, 64)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

func TestBarsAreAsLongAsTheirValues(t *testing.T) {
	b := Bars{Title: "a < b & c", Series: []string{"one", "two"}, Line: 1, LineText: "peer", Groups: []Group{
		{Label: "g", Bars: []Bar{{Value: 0.5, Text: "0.50", Limit: 0.8}, {Series: 1, Value: 0.25}, {Value: math.NaN()}}},
		{Label: "own", Own: true, Bars: []Bar{{Value: 4000}, {Value: 1000}}},
	}}
	found := elements(t, b.SVG())
	var bars []float64
	for _, r := range found["rect"] {
		if r["height"] == "12" {
			bars = append(bars, float(t, r["width"]))
		}
	}
	full := float64(width - 2*margin - labelWidth - valueWidth)
	want := []float64{full / 2, full / 4, full, full / 4}
	if len(bars) != len(want) {
		t.Fatalf("%d bars, want %d", len(bars), len(want))
	}
	for i := range want {
		if math.Abs(bars[i]-want[i]) > 0.1 {
			t.Errorf("bar %d is %v long, want %v", i, bars[i], want[i])
		}
	}
	if marks := found["line"]; len(marks) != 3 { // the limit, the axis, the line
		t.Errorf("%d lines, want 3", len(marks))
	}
	for _, e := range found["text"] {
		if x := float(t, e["x"]); x < 0 || x > width {
			t.Errorf("a text at %v is outside", x)
		}
	}
}

func TestLinesStayInside(t *testing.T) {
	l := Lines{Title: "t", Steps: []string{"1", "2", "8"}, Series: []Line{{"a", []float64{0, 187, 256}}, {"b", []float64{97, math.NaN(), 0.1}}}}
	found := elements(t, l.SVG())
	if n := len(found["circle"]); n != 5 {
		t.Errorf("%d points, want 5", n)
	}
	height := float(t, found["svg"][0]["height"])
	for _, c := range found["circle"] {
		if x, y := float(t, c["cx"]), float(t, c["cy"]); x < 0 || x > width || y < 0 || y > height {
			t.Errorf("point %v, %v is outside", x, y)
		}
	}
}

func TestGridStepIsRound(t *testing.T) {
	for most, want := range map[float64]float64{256: 50, 100: 25, 7: 1, 0: 1, 1900: 250} {
		if got := gridStep(most); got != want {
			t.Errorf("gridStep(%v) = %v, want %v", most, got, want)
		}
	}
}
