package cli

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/ojson"
	"github.com/tare-oci/tare/libcontainer"
)

// sample is one look at a container.
type sample struct {
	id    string
	at    time.Time
	stats *libcontainer.Stats
}

func runStats(c *call) error {
	interval, err := parseInterval(c.flags.str("interval"))
	if err != nil {
		return err
	}
	table := false
	switch f := c.flags.str("format"); f {
	case "auto":
		_, err := unix.IoctlGetTermios(int(c.stdout.Fd()), unix.TCGETS)
		table = err == nil
	case "table", "json":
		table = f == "table"
	default:
		return fmt.Errorf("--format %q: use auto, table or json", f)
	}
	containers, err := c.statsOf()
	if err != nil {
		return err
	}
	once := c.flags.bool("no-stream")
	before := make(map[string]sample)
	for round := 0; len(containers) > 0; round++ {
		var samples []sample
		if samples, containers, err = look(containers); err != nil {
			return err
		}
		switch {
		case !table:
			err = c.statsLines(samples)
		case round > 0: // the use of CPUs is a difference of two looks
			err = c.statsTable(samples, before, !once)
		}
		if err != nil || once && (round > 0 || !table) {
			return err
		}
		for _, s := range samples {
			before[s.id] = s
		}
		if len(containers) > 0 {
			time.Sleep(interval)
		}
	}
	return nil
}

// statsOf are the containers that are asked for.
func (c *call) statsOf() ([]*libcontainer.Container, error) {
	r, err := c.runtime()
	if err != nil {
		return nil, err
	}
	var out []*libcontainer.Container
	for _, id := range c.args {
		ctr, err := r.Load(id)
		if err != nil {
			return nil, err
		}
		if _, err := ctr.Stats(); err != nil { // names the container that does not run
			return nil, err
		}
		out = append(out, ctr)
	}
	if len(c.args) > 0 {
		return out, nil
	}
	ids, err := r.IDs()
	if err != nil {
		return nil, err
	}
	for _, id := range ids {
		ctr, err := r.Load(id)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			c.skip(err)
		}
		if err == nil && ctr.Status() != libcontainer.Stopped && ctr.Status() != libcontainer.Creating {
			out = append(out, ctr)
		}
	}
	return out, nil
}

// look reads the counters, and leaves out those containers that have stopped.
func look(containers []*libcontainer.Container) (samples []sample, alive []*libcontainer.Container, err error) {
	for _, ctr := range containers {
		s, err := ctr.Stats()
		var stopped *libcontainer.StatusError
		switch {
		case errors.As(err, &stopped):
			continue
		case err != nil:
			return nil, nil, err
		}
		samples = append(samples, sample{ctr.ID(), time.Now(), s})
		alive = append(alive, ctr)
	}
	return samples, alive, nil
}

// statsLines prints the objects of events, with the time.
func (c *call) statsLines(samples []sample) error {
	for _, s := range samples {
		var w ojson.Writer
		w.Object()
		w.Key("type").String("stats")
		w.Key("id").String(s.id)
		w.Key("time").String(s.at.UTC().Format(time.RFC3339Nano))
		s.stats.Write(w.Key("data"))
		w.End()
		if _, err := c.stdout.Write(append(w.Bytes(), '\n')); err != nil {
			return err
		}
	}
	return nil
}

// clearScreen moves to the upper left corner and erases what is below
// (console_codes(4)).
const clearScreen = "\x1b[H\x1b[J"

func (c *call) statsTable(samples []sample, before map[string]sample, redraw bool) error {
	var b strings.Builder
	if redraw {
		b.WriteString(clearScreen)
	}
	w := tabwriter.NewWriter(&b, 8, 1, 2, ' ', 0)
	fmt.Fprint(w, "ID\tCPU\tMEMORY\tLIMIT\tUSED\tNET IN\tNET OUT\tREAD\tWRITTEN\tTASKS\tWAITS CPU\tMEMORY\tI/O\n")
	for i := range samples {
		last, ok := before[samples[i].id]
		if !ok {
			continue
		}
		fmt.Fprint(w, samples[i].row(&last)+"\n")
	}
	if err := w.Flush(); err != nil {
		return err
	}
	_, err := c.stdout.WriteString(b.String())
	return err
}

// row is one container's line: CPU time in hundredths of one CPU since the last
// look, memory without what the kernel can drop at once, and all traffic so far.
func (s *sample) row(last *sample) string {
	st := s.stats
	cpu := float64(st.CPU.Total-last.stats.CPU.Total) / float64(max(s.at.Sub(last.at), 1)) * 100
	used := st.Memory.Usage.Usage
	for _, v := range st.Memory.Raw {
		if v.Name == "total_inactive_file" || v.Name == "inactive_file" && used == st.Memory.Usage.Usage {
			used = st.Memory.Usage.Usage - min(v.Value, st.Memory.Usage.Usage)
		}
	}
	limit, part := "-", "-"
	if l := st.Memory.Usage.Limit; l > 0 && l < 1<<62 {
		limit, part = size(l), fmt.Sprintf("%.1f%%", float64(used)/float64(l)*100)
	}
	in, out := "-", "-"
	if st.Interfaces != nil {
		var rx, tx uint64
		for i := range st.Interfaces {
			if st.Interfaces[i].Name != "lo" {
				rx, tx = rx+st.Interfaces[i].RxBytes, tx+st.Interfaces[i].TxBytes
			}
		}
		in, out = size(rx), size(tx)
	}
	var read, written uint64
	for _, e := range st.IO.Bytes {
		switch e.Op {
		case "Read":
			read += e.Value
		case "Write":
			written += e.Value
		}
	}
	tasks := fmt.Sprint(st.Pids.Current)
	if st.Pids.Limit > 0 {
		tasks += fmt.Sprintf("/%d", st.Pids.Limit)
	}
	waits := [3]string{"-", "-", "-"}
	for i, p := range [...]*libcontainer.Pressure{st.CPU.Pressure, st.Memory.Pressure, st.IO.Pressure} {
		if p != nil {
			waits[i] = fmt.Sprintf("%.1f%%", p.Some.Avg10)
		}
	}
	return strings.Join([]string{s.id, fmt.Sprintf("%.1f%%", cpu), size(used), limit, part, in, out, size(read), size(written), tasks,
		waits[0], waits[1], waits[2]}, "\t")
}

// size writes bytes with three digits and a unit of 1024: "1.50M".
func size(n uint64) string {
	if n < 1024 {
		return fmt.Sprintf("%dB", n)
	}
	f := float64(n)
	unit := -1
	for ; f >= 1024 && unit < 4; unit++ {
		f /= 1024
	}
	digits := 2
	if f >= 100 {
		digits = 0
	} else if f >= 10 {
		digits = 1
	}
	return fmt.Sprintf("%.*f%c", digits, f, "KMGTP"[unit])
}
