package integration

import (
	"slices"
	"strconv"
	"strings"
	"testing"
)

// report is what the prober prints.
type report struct {
	t *testing.T

	Results              []opResult
	Pid, Ppid, Pgid, Sid int
	Args, Env            []string
	UID, GID             []uint32 // real, effective, saved
	Groups               []uint32
	Umask                int
	Caps                 struct{ Bounding, Effective, Permitted, Inheritable, Ambient string }
	NoNewPrivs           int
	Seccomp              int
	Securebits           int
	Dumpable             int
	Pdeathsig            int
	Subreaper            int
	Rlimits              []string // soft and hard in turns, by RLIMIT_* number
	Comm                 string
	Prctl                map[string]int
	MemPolicy            int
	SchedFlags           int
	SchedPriority        int
	Timers               string // a bit for each armed interval timer
	Stat, Cmdline        string
	CoredumpFilter       string
	Loginuid             string
	TimensOffsets        string
	Signals              struct{ Blocked, Ignored, Caught string }
	Affinity             string
	Policy, Nice, IOPrio int
	Personality          int
	Monotonic, Boottime  int64
	Hostname, Domainname string
	Keyring, Cwd         string
	KeyringLabel         string // of a security module that labels keys
	Fds                  []openFile
	Namespaces           map[string]string
	Root, Exe            string
	Devices              []fileInfo
	Mountinfo            string
	Cgroup               string
	Status               string
	OomScoreAdj          string
	Attr                 string
	UIDMap, GIDMap       string
}

// opResult is what became of one op.
type opResult struct {
	Op    string
	Data  string
	Ret   int // of call:
	Seen  int // of spy:, processes
	Looks int
	// Of seize:, what was got hold of.
	Memories, Environments, Traces int
	Files                          []fileInfo
	fileInfo
}

// fileInfo is what statx(2) says, without following links.
type fileInfo struct {
	Name         string
	Err          int
	Type         int // S_IF* shifted right by 12
	Mode         int
	UID, GID     int64
	Size         int64
	Major, Minor int
	Dev, Ino     int64
	Link         string
}

type openFile struct {
	Fd                           int
	Target                       string
	DescriptorFlags, StatusFlags int
}

// The file types of fileInfo.
const (
	typeFIFO, typeChar, typeDir, typeBlock, typeFile, typeLink = 1, 2, 4, 6, 8, 10
)

// result is the outcome of an op.
func (r *report) result(op string) opResult {
	r.t.Helper()
	for _, x := range r.Results {
		if x.Op == op {
			return x
		}
	}
	r.t.Fatalf("the prober has no result for %s", op)
	return opResult{}
}

// expect compares one observation.
func expect[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s is %v, expected %v", what, got, want)
	}
}

// expectList compares lists.
func expectList[T comparable](t *testing.T, what string, got, want []T) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("%s is %v, expected %v", what, got, want)
	}
}

// mountLine is one line of mountinfo (proc_pid_mountinfo(5)).
type mountLine struct {
	id, parent         int
	root, at           string
	options            []string // of the mount
	optional           []string // shared:N, master:N, unbindable
	fstype, source, sb string
}

func parseMounts(text string) []mountLine {
	var out []mountLine
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		f := strings.Fields(line)
		dash := slices.Index(f, "-")
		if dash < 6 || len(f) < dash+4 {
			continue
		}
		m := mountLine{root: unescape(f[3]), at: unescape(f[4]), options: strings.Split(f[5], ","), optional: f[6:dash],
			fstype: f[dash+1], source: f[dash+2], sb: f[dash+3]}
		m.id, _ = strconv.Atoi(f[0])
		m.parent, _ = strconv.Atoi(f[1])
		out = append(out, m)
	}
	return out
}

func unescape(s string) string {
	return strings.NewReplacer(`\040`, " ", `\011`, "\t", `\012`, "\n", `\134`, `\`).Replace(s)
}

// mount is the topmost mount at a path.
func (r *report) mount(at string) mountLine {
	r.t.Helper()
	ms := parseMounts(r.Mountinfo)
	for i := len(ms) - 1; i >= 0; i-- {
		if ms[i].at == at {
			return ms[i]
		}
	}
	r.t.Fatalf("nothing is mounted at %s:\n%s", at, r.Mountinfo)
	return mountLine{}
}

func (m mountLine) has(option string) bool { return slices.Contains(m.options, option) }

// expectOpts demands options of a mount.
func expectOpts(t *testing.T, m mountLine, options ...string) {
	t.Helper()
	for _, o := range options {
		if !m.has(o) {
			t.Errorf("%s is mounted with %v, expected %s", m.at, m.options, o)
		}
	}
}

// sbHas says that the file system has an option.
func (m mountLine) sbHas(option string) bool {
	return slices.Contains(strings.Split(m.sb, ","), option)
}

// propagation names what the optional fields say.
func (m mountLine) propagation() string {
	var out []string
	for _, o := range m.optional {
		name, _, _ := strings.Cut(o, ":")
		switch name {
		case "shared":
			out = append(out, "shared")
		case "master":
			out = append(out, "slave")
		case "unbindable":
			out = append(out, "unbindable")
		}
	}
	if len(out) == 0 {
		return "private"
	}
	return strings.Join(out, "+")
}
