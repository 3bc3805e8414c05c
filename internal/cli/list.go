package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"text/tabwriter"

	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/libcontainer"
)

func runList(c *call) error {
	format := c.flags.str("format")
	if format != "table" && format != "json" {
		return fmt.Errorf("--format %q: use table or json", format)
	}
	r, err := c.runtime()
	if err != nil {
		return err
	}
	views, broken, err := r.List()
	if err != nil {
		// The default directory is made by the first create.
		if !errors.Is(err, fs.ErrNotExist) || c.global.isSet("root") {
			return err
		}
	}
	for _, b := range broken {
		c.skip(b)
	}
	switch {
	case c.flags.bool("quiet"):
		for i := range views {
			c.print(views[i].ID() + "\n")
		}
		return nil
	case format == "json":
		return c.printList(views)
	}
	return c.tableOf(views)
}

// skip says that a container cannot be shown; the others are.
func (c *call) skip(err error) {
	_, _ = c.stderr.WriteString(c.program + ": skipped: " + err.Error() + "\n")
	_ = c.log.write(levelWarning, err.Error())
}

func (c *call) printList(views []libcontainer.View) error {
	var w ojson.Writer
	if len(views) == 0 {
		w.Null() // what other runtimes print, and engines decode
	} else {
		w.Array()
		for i := range views {
			views[i].Write(&w)
		}
		w.End()
	}
	_, err := c.stdout.Write(append(w.Bytes(), '\n'))
	return err
}

func (c *call) tableOf(views []libcontainer.View) error {
	w := tabwriter.NewWriter(c.stdout, 12, 1, 3, ' ', 0)
	fmt.Fprint(w, "ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER\n")
	for i := range views {
		v := &views[i]
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", v.ID(), strconv.Itoa(v.Pid), v.Status, v.Bundle(), v.Created(), v.Owner)
	}
	return w.Flush()
}
