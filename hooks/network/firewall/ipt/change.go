package ipt

import (
	"bytes"
	"errors"
	"fmt"
	"maps"
	"os/exec"
	"slices"
	"strings"

	"github.com/coreos/go-iptables/iptables"
)

// What iptables-save has listed may be gone when iptables-restore removes it, and
// a restore removes and adds all of a table or nothing. Processes of ours exclude
// each other by the lock that New was given; it is not given back before the
// program that was started under it has ended, even if this process was killed.
// Others (`iptables -F`, a restart of firewalld) know no such lock: for them it
// is listed and tried again.

// tries bounds that: nobody flushes tables so often.
const tries = 5

// rulesOf is what iptables-save prints, by table.
type rulesOf map[string][]string

// change makes the batch of each family from what is there and applies it.
func (f *Filter) change(families []iptables.Protocol, make func(iptables.Protocol, *batch, rulesOf)) error {
	unlock, err := f.lock()
	if err != nil {
		return err
	}
	defer unlock()
	var errs []error
	for _, p := range families {
		errs = append(errs, f.changeOne(p, make))
	}
	return errors.Join(errs...)
}

func (f *Filter) changeOne(p iptables.Protocol, make func(iptables.Protocol, *batch, rulesOf)) error {
	var before rulesOf
	var failed error
	for range tries {
		have, err := f.saved(p)
		if err != nil {
			return err
		}
		if failed != nil && maps.EqualFunc(have, before, slices.Equal[[]string]) {
			return failed // the same again would fail again
		}
		b := &batch{}
		make(p, b, have)
		if failed = f.restore(p, b); failed == nil {
			return nil
		}
		before = have
	}
	return fmt.Errorf("%w; the rules were changed %d times meanwhile", failed, tries)
}

// saved is what iptables-save prints, one line each without the counters.
func (f *Filter) saved(p iptables.Protocol) (rulesOf, error) {
	cmd := exec.Command(program(f.flavour, p) + "-save")
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("%s: %w%s", cmd.Path, err, stderrOf(err))
	}
	tables, table := rulesOf{}, ""
	for line := range strings.Lines(string(out)) {
		line = strings.TrimSpace(line)
		if name, ok := strings.CutPrefix(line, "*"); ok {
			table = name
		} else if strings.HasPrefix(line, ":") {
			// Built-in chains have counters that change all the time.
			line, _, _ = strings.Cut(line, " [")
			tables[table] = append(tables[table], line)
		} else if strings.HasPrefix(line, "-A") {
			tables[table] = append(tables[table], line)
		}
	}
	return tables, nil
}

func stderrOf(err error) string {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		return ": " + oneLine(exit.Stderr)
	}
	return ""
}

func oneLine(b []byte) string { return strings.Join(strings.Fields(string(b)), " ") }

// batch is lines by table.
type batch struct {
	tables []string
	lines  map[string][]string
}

func (b *batch) add(table string, line ...string) {
	if b.lines == nil {
		b.lines = map[string][]string{}
	}
	if !slices.Contains(b.tables, table) {
		b.tables = append(b.tables, table)
	}
	b.lines[table] = append(b.lines[table], strings.Join(line, " "))
}

// restore applies a batch: each table all or nothing.
func (f *Filter) restore(p iptables.Protocol, b *batch) error {
	if len(b.tables) == 0 {
		return nil
	}
	var in bytes.Buffer
	for _, t := range b.tables {
		fmt.Fprintf(&in, "*%s\n", t)
		// Chains are declared before their use, and rules that jump come last.
		for _, l := range b.lines[t] {
			fmt.Fprintln(&in, l)
		}
		in.WriteString("COMMIT\n")
	}
	cmd := exec.Command(program(f.flavour, p)+"-restore", "--noflush", "-w", "10")
	cmd.Stdin = &in
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", cmd.Args[0], err, oneLine(stderr.Bytes()))
	}
	return nil
}
