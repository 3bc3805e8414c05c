package usage

import (
	"io"
	"slices"
	"strings"

	ucli "github.com/urfave/cli/v2"

	"github.com/tare-oci/tare/internal/cli"
)

// complete prints the words with which a command line could go on, one a line:
// flags if the last word, which is being typed, looks like one. The shell picks
// those that begin like it.
func complete(h *cli.Help, out io.Writer) {
	line := h.Complete[:len(h.Complete)-1]
	flags := false
	if last := len(line) - 1; last >= 0 {
		flags = strings.HasPrefix(line[last], "-")
		line = line[:last]
	}
	a := app(h.Program, out)
	a.EnableBashCompletion = true
	a.BashComplete = func(*ucli.Context) {
		if flags {
			printFlags(out, cli.GlobalFlags)
			return
		}
		for i := range cli.Commands {
			_, _ = io.WriteString(out, cli.Commands[i].Name+"\n")
		}
		_, _ = io.WriteString(out, "help\n")
	}
	for i, c := range a.Commands {
		cmd := &cli.Commands[i]
		c.BashComplete = func(ctx *ucli.Context) {
			switch {
			case flags:
				printFlags(out, cmd.Flags)
			case cmd.Existing && ctx.Args().Len() == 0:
				for _, id := range cli.ContainerIDs(ctx.String("root")) {
					_, _ = io.WriteString(out, id+"\n")
				}
			}
		}
	}
	_ = a.Run(slices.Concat([]string{h.Program}, line, []string{cli.CompletionFlag}))
}

func printFlags(out io.Writer, flags []*cli.Flag) {
	for i := range flags {
		if f := flags[i]; !f.Hidden {
			_, _ = io.WriteString(out, dashed(f.Name)+"\n")
		}
	}
	_, _ = io.WriteString(out, "--help\n")
}
