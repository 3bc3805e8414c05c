// Package syscalltrace counts what a command asks of the kernel, from the output
// of strace. Only tests use it.
package syscalltrace

import (
	"bufio"
	"errors"
	"io"
	"os"
	"strconv"
	"strings"
)

// Counts are what strace sees of one command and its descendants.
type Counts struct {
	Calls       int   `json:"calls"`       // system calls but those of Varying
	Processes   int   `json:"processes"`   // processes ever alive, the first included
	Threads     int   `json:"threads"`     // threads ever started besides the processes' first
	Execs       int   `json:"execs"`       // programs executed
	Opened      int   `json:"opened"`      // files and directories opened
	Mountinfo   int   `json:"mountinfo"`   // of these, lists of all mounts
	BytesRead   int64 `json:"bytesRead"`   // from files but those of /proc, whose length is the host's
	ProcsWrites int   `json:"procsWrites"` // writes to a cgroup.procs: each waits for an RCU grace period on an idle host
	TasksWrites int   `json:"tasksWrites"` // writes to a v1 tasks file
}

// varying are the calls of which a program makes as many as the scheduler lets
// it: waiting for locks, preemption, and what each further thread does first.
var varying = map[string]bool{
	"futex": true, "nanosleep": true, "clock_nanosleep": true, "sched_yield": true, "tgkill": true, "getpid": true,
	"rt_sigreturn": true, "rt_sigprocmask": true, "sigaltstack": true, "gettid": true, "epoll_pwait": true, "epoll_wait": true,
	"restart_syscall": true, "madvise": true, "mmap": true, "munmap": true, "set_robust_list": true, "rseq": true, "exit": true,
	"wait4": true, "waitid": true, "ppoll": true, "poll": true,
}

// Varying lists, for a reader, what Calls leaves out.
const Varying = "locks, waiting, signals, memory maps and what each further thread does first"

// Command returns the command line that traces argv into the file out. A signal
// ends the tracing and lets go of what is traced.
func Command(strace, out string, argv ...string) []string {
	return append([]string{strace, "-f", "-qq", "-I", "2", "-y", "-s", "64", "-o", out}, argv...)
}

// ParseFile is Parse of a file.
func ParseFile(path string) (*Counts, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return Parse(file)
}

// Parse counts the lines of `strace -f -y -o FILE`: each begins with the
// thread's id. A call that is interrupted by another thread's takes two lines,
// of which the first counts; its result is on the second.
func Parse(in io.Reader) (*Counts, error) {
	c, calls := &Counts{}, 0
	reading := map[string]bool{}
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		tid, call, found := strings.Cut(lines.Text(), " ")
		call = strings.TrimLeft(call, " ")
		if rest, ok := strings.CutPrefix(call, "<... "); ok {
			if reading[tid] && strings.HasPrefix(rest, "read resumed") {
				c.BytesRead += result(rest)
			}
			delete(reading, tid)
			continue
		}
		name, args, isCall := strings.Cut(call, "(")
		if !found || !isCall || strings.ContainsAny(name, " <+-") {
			continue // a signal or an exit
		}
		calls++
		c.count(name, args)
		if name == "read" && ofFile(args) {
			if strings.HasSuffix(args, "<unfinished ...>") {
				reading[tid] = true
			} else {
				c.BytesRead += result(args)
			}
		}
	}
	if err := lines.Err(); err != nil {
		return nil, err
	}
	if calls == 0 {
		return nil, errors.New("strace recorded no system calls")
	}
	c.Processes++ // the first
	return c, nil
}

// count adds one call.
func (c *Counts) count(name, args string) {
	// A hierarchy that is listed and mounted nowhere is the host's affair, and so
	// is the length of the list of mounts.
	foreign := name == "statfs" && strings.Contains(args, "ENOENT") || name == "read" && strings.Contains(args, "mountinfo>")
	if !varying[name] && !foreign && !strings.Contains(args, "CLONE_THREAD") {
		c.Calls++
	}
	switch name {
	case "clone", "clone3", "fork", "vfork":
		switch {
		case strings.Contains(args, "CLONE_THREAD"):
			c.Threads++
		case !strings.Contains(args, " = -1 "):
			c.Processes++
		}
	case "execve", "execveat":
		if strings.HasSuffix(args, " = 0") || strings.HasSuffix(args, "<unfinished ...>") {
			c.Execs++
		}
	case "open", "openat", "openat2", "open_tree":
		c.Opened++
		if strings.Contains(args, `/mountinfo"`) {
			c.Mountinfo++
		}
	case "write", "pwrite64", "writev":
		fd, _, _ := strings.Cut(args, ",")
		switch {
		case strings.HasSuffix(fd, "/cgroup.procs>"):
			c.ProcsWrites++
		case strings.HasSuffix(fd, "/tasks>"):
			c.TasksWrites++
		}
	}
}

// ofFile reports whether the first argument is a file that is not of /proc, nor
// a pipe or the like.
func ofFile(args string) bool {
	fd, _, _ := strings.Cut(args, ",")
	_, path, _ := strings.Cut(fd, "<")
	return strings.HasPrefix(path, "/") && !strings.HasPrefix(path, "/proc/")
}

// result returns what a call returned; 0 for an error.
func result(line string) int64 {
	at := strings.LastIndex(line, " = ")
	if at < 0 {
		return 0
	}
	word, _, _ := strings.Cut(line[at+3:], " ")
	n, err := strconv.ParseInt(word, 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}
