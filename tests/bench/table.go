package main

import (
	"fmt"
	"io"
	"math"
	"strings"
	"text/tabwriter"
)

// table is one table of the report, printed as text or as markdown.
type table struct {
	title string
	note  string // a sentence under the title; may be empty
	head  []string
	rows  [][]string
}

// text prints aligned columns.
func (t table) text(w io.Writer) error {
	if _, err := fmt.Fprintf(w, "\n%s\n", t.title); err != nil {
		return err
	}
	if t.note != "" {
		if _, err := fmt.Fprintln(w, t.note); err != nil {
			return err
		}
	}
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	for _, row := range append([][]string{t.head}, t.rows...) {
		if _, err := fmt.Fprintln(tw, "  "+strings.Join(row, "\t")); err != nil {
			return err
		}
	}
	return tw.Flush()
}

// markdown prints a section with the table.
func (t table) markdown(w io.Writer) error {
	var b strings.Builder
	fmt.Fprintf(&b, "\n## %s\n\n", t.title)
	if t.note != "" {
		fmt.Fprintf(&b, "%s\n\n", t.note)
	}
	rule := make([]string, len(t.head))
	for i := range rule {
		rule[i] = "---"
	}
	for _, row := range append([][]string{t.head, rule}, t.rows...) {
		fmt.Fprintf(&b, "| %s |\n", strings.Join(row, " | "))
	}
	_, err := io.WriteString(w, b.String())
	return err
}

// figure prints a number with its unit, "-" when there is none.
func figure(x float64, unit string) string {
	switch {
	case math.IsNaN(x):
		return "-"
	case math.IsInf(x, 1):
		return "none"
	case strings.HasPrefix(unit, "x"):
		return fmt.Sprintf("%.2f", x)
	case unit == "ms":
		return fmt.Sprintf("%.2f", x)
	}
	return strings.TrimSpace(fmt.Sprintf("%.0f %s", x, unit))
}

// count prints a count of which 0 means not measured.
func count(n int) string {
	if n == 0 {
		return "-"
	}
	return fmt.Sprint(n)
}
