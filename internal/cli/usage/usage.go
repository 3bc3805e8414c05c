// Package usage prints help and completions. It shows the command table to
// urfave/cli, whose words and layout they are.
package usage

import (
	stdflag "flag"
	"io"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/tare-oci/tare/internal/cli"
)

const purpose = "Open Container Initiative runtime"

// width is where descriptions are broken, in columns.
const width = 77

// Print prints h.
func Print(h *cli.Help, out io.Writer) {
	if h.Complete != nil {
		complete(h, out)
		return
	}
	if h.Why != "" {
		_, _ = io.WriteString(out, h.Why+"\n\n")
	}
	args := []string{h.Program, "--help"}
	if h.Command != nil {
		args = []string{h.Program, h.Command.Name, "--help"}
	}
	_ = app(h.Program, out).Run(args)
}

// app builds urfave/cli's picture of the table.
func app(program string, out io.Writer) *ucli.App {
	a := &ucli.App{
		Name: program, HelpName: program, Usage: purpose, Writer: out, ErrWriter: io.Discard,
		Flags: rows(cli.GlobalFlags), HideVersion: true, // the table has a row for it
		ExitErrHandler: func(*ucli.Context, error) {},
	}
	for i := range cli.Commands {
		cmd := &cli.Commands[i]
		a.Commands = append(a.Commands, &ucli.Command{
			Name: cmd.Name, Usage: cmd.Usage, ArgsUsage: cmd.Args, Args: cmd.Args != "",
			Description: fold(cmd.Description), Flags: rows(cmd.Flags), HideHelpCommand: true,
			Action: func(*ucli.Context) error { return nil },
		})
	}
	return a
}

// row shows one flag of the table to urfave/cli.
type row struct{ *cli.Flag }

// Names are all spellings, without dashes.
func (r row) Names() []string { return append([]string{r.Name}, r.Aliases...) }

// IsSet has no answer here: values are the other parser's.
func (r row) IsSet() bool { return false }

// IsVisible says whether help shows the flag.
func (r row) IsVisible() bool { return !r.Hidden }

// Apply declares the flag, so that a completion can look past it.
func (r row) Apply(set *stdflag.FlagSet) error {
	for _, n := range r.Names() {
		if r.Kind == cli.Bool {
			set.Bool(n, false, r.Usage)
		} else {
			set.String(n, "", r.Usage)
		}
	}
	return nil
}

// String is the line of the help: the names, a tab, what the flag does.
func (r row) String() string {
	var b strings.Builder
	for i, n := range r.Names() {
		if i > 0 {
			b.WriteString(", ")
		}
		b.WriteString(dashed(n))
		if r.Arg != "" {
			b.WriteString(" " + r.Arg)
		}
	}
	b.WriteString("\t" + r.Usage)
	if r.Default != "" && r.Default != "0" {
		b.WriteString(" (default: " + r.Default + ")")
	}
	return b.String()
}

// fold breaks a text into lines.
func fold(s string) string {
	var b strings.Builder
	column := 0
	for i, word := range strings.Fields(s) {
		switch {
		case i == 0:
		case column+1+len(word) > width:
			b.WriteByte('\n')
			column = 0
		default:
			b.WriteByte(' ')
			column++
		}
		b.WriteString(word)
		column += len(word)
	}
	return b.String()
}

func dashed(name string) string {
	if len(name) == 1 {
		return "-" + name
	}
	return "--" + name
}

func rows(flags []*cli.Flag) []ucli.Flag {
	out := make([]ucli.Flag, len(flags))
	for i := range flags {
		out[i] = row{flags[i]}
	}
	return out
}
