package cli

import (
	"bytes"
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"strings"

	"github.com/tare-oci/tare/internal/ojson"
)

func runPs(c *call) error {
	format := c.flags.str("format")
	if format != "table" && format != "json" {
		return fmt.Errorf("--format %q: use table or json", format)
	}
	ctr, err := c.container()
	if err != nil {
		return err
	}
	pids, err := ctr.Processes()
	if err != nil {
		return err
	}
	if format == "json" {
		var w ojson.Writer
		w.Array()
		for _, p := range pids {
			w.Int(int64(p))
		}
		w.End()
		_, err := c.stdout.Write(append(w.Bytes(), '\n'))
		return err
	}
	args := c.args[1:]
	if len(args) == 0 {
		args = []string{"-ef"}
	}
	cmd := exec.Command("ps", args...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		return fmt.Errorf("ps %s: %w: %s", strings.Join(args, " "), err, strings.TrimSpace(stderr.String()))
	}
	table, err := selectPids(string(out), pids)
	if err != nil {
		return fmt.Errorf("ps %s: %w", strings.Join(args, " "), err)
	}
	c.print(table)
	return nil
}

// selectPids keeps the header of ps' output and the lines of the given pids.
func selectPids(table string, pids []int) (string, error) {
	header, rest, _ := strings.Cut(table, "\n")
	column := slices.Index(strings.Fields(header), "PID")
	if column < 0 {
		return "", errors.New("its output has no column PID")
	}
	var b strings.Builder
	b.WriteString(header + "\n")
	for _, line := range strings.Split(rest, "\n") {
		fields := strings.Fields(line)
		if len(fields) <= column {
			continue
		}
		pid, err := strconv.Atoi(fields[column])
		if err != nil {
			return "", fmt.Errorf("its output has %q in the column PID", fields[column])
		}
		if slices.Contains(pids, pid) {
			b.WriteString(line + "\n")
		}
	}
	return b.String(), nil
}
