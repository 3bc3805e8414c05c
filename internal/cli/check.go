//go:build !tare_front

package cli

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/libcontainer"
)

// Exit codes of check.
const (
	exitConfigErrors exitCode = 1
	exitHostErrors   exitCode = 2 // the config is right, and not for this host
	exitUnreadable   exitCode = 3
)

func runCheck(c *call) error {
	format := c.flags.str("format")
	if format != "text" && format != "json" {
		return fmt.Errorf("--format %q: use text or json", format)
	}
	o, err := c.bundleOptions("container")
	if err != nil {
		return err
	}
	r, err := c.runtime()
	if err != nil {
		return err
	}
	found, err := r.Check(o)
	if errors.Is(err, libcontainer.ErrNoSystemd) {
		return err
	}
	if err != nil {
		c.fail(err)
		return exitUnreadable
	}
	if format == "json" {
		c.print(findingsJSON(found))
	} else {
		c.print(findingsText(found))
	}
	return verdict(found)
}

// verdict is the exit code: an error of the config outweighs those of the host.
func verdict(found []libcontainer.Finding) error {
	var code exitCode
	for _, f := range found {
		switch {
		case f.Severity != libcontainer.SeverityError:
		case f.Class != "host":
			return exitConfigErrors
		default:
			code = exitHostErrors
		}
	}
	if code == 0 {
		return nil
	}
	return code
}

// findingsText has one line for each finding, which nothing in a config can
// break: values are quoted, and so are the keys in paths.
func findingsText(found []libcontainer.Finding) string {
	var b strings.Builder
	for _, f := range found {
		b.WriteString(f.Severity + " (" + f.Class + ") ")
		if f.Field != "" {
			b.WriteString(f.Field)
			if f.Value != "" {
				b.WriteString(" " + strconv.Quote(short(f.Value)))
			}
			b.WriteString(": ")
		}
		b.WriteString(f.Reason + " [" + f.Section + "]\n")
	}
	return b.String()
}

// short cuts what is too long for a line.
func short(s string) string {
	const most = 256 // bytes
	if len(s) > most {
		return s[:most] + "..."
	}
	return s
}

func findingsJSON(found []libcontainer.Finding) string {
	var w ojson.Writer
	w.Array()
	for _, f := range found {
		w.Object()
		w.Key("severity").String(f.Severity)
		w.Key("class").String(f.Class)
		w.Key("field").String(f.Field)
		w.Key("value").String(f.Value)
		w.Key("reason").String(f.Reason)
		w.Key("section").String(f.Section)
		w.End()
	}
	w.End()
	return string(append(w.Bytes(), '\n'))
}
