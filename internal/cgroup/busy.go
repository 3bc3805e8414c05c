package cgroup

import (
	"bytes"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// BusyError is a cgroup that does not become empty, or does not freeze.
type BusyError struct {
	Path      string
	Why       string    // "does not freeze"; "" for "is still in use"
	Processes []Process // those that are left; empty when the kernel gives no names
}

// Process is what is known about a process that does not go away.
type Process struct {
	Pid   int
	Name  string // the comm
	State string // "D", as in proc_pid_stat(5); "" when it has just gone
	Wchan string // the kernel function in which it sleeps, if the kernel tells
}

// maxNamed bounds how many processes an error names.
const maxNamed = 8

// Error names the processes, their states and where they wait.
func (e *BusyError) Error() string {
	var b strings.Builder
	why, by := e.Why, ": "
	if why == "" {
		why, by = "is still in use", " by "
	}
	b.WriteString("cgroup " + e.Path + " " + why)
	for i, p := range e.Processes {
		if i == maxNamed {
			b.WriteString(", and " + strconv.Itoa(len(e.Processes)-maxNamed) + " more")
			break
		}
		sep := ", "
		if i == 0 {
			sep = by
		}
		b.WriteString(sep + "process " + strconv.Itoa(p.Pid))
		if p.State != "" {
			b.WriteString(" (" + p.Name + ", state " + p.State)
			if p.Wchan != "" {
				b.WriteString(", in " + p.Wchan)
			}
			b.WriteString(")")
		}
	}
	return b.String()
}

// Unwrap makes errors.Is(err, unix.EBUSY) true.
func (e *BusyError) Unwrap() error { return unix.EBUSY }

func busy(d Dir, pids []int) *BusyError {
	e := &BusyError{Path: d.Path()}
	for i, pid := range pids {
		p := Process{Pid: pid}
		if i < maxNamed {
			p.look()
		}
		e.Processes = append(e.Processes, p)
	}
	return e
}

// look fills in what /proc says. The comm may contain anything, so the state is
// what follows the last parenthesis.
func (p *Process) look() {
	dir := "/proc/" + strconv.Itoa(p.Pid)
	stat, err := os.ReadFile(dir + "/stat")
	if err != nil {
		return
	}
	open, end := bytes.IndexByte(stat, '('), bytes.LastIndexByte(stat, ')')
	if open < 0 || end < open || len(stat) < end+3 {
		return
	}
	p.Name = strings.ToValidUTF8(string(stat[open+1:end]), "?")
	p.State = string(stat[end+2 : end+3])
	if wchan, err := os.ReadFile(dir + "/wchan"); err == nil && string(wchan) != "0" {
		p.Wchan = string(wchan)
	}
}
