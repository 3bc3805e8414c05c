package integration

import (
	"fmt"
	"maps"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"
)

// observations are everything observable of a container's process that is the same
// each time, by the name of the thing: what two of them do not share fails a test, so
// that nothing comes along because nobody asked about it.
type observations map[string]string

// volatileStatus are the lines of proc_pid_status(5) that differ from run to run, or
// that say again what stands elsewhere.
var volatileStatus = []string{"Name", "State", "Tgid", "Ngid", "Pid", "PPid", "FDSize", "NStgid", "NSpid", "NSpgid", "NSsid", "VmPeak", "VmSize", "VmLck",
	"VmPin", "VmHWM", "VmRSS", "RssAnon", "RssFile", "RssShmem", "VmData", "VmStk", "VmExe", "VmLib", "VmPTE", "VmSwap", "HugetlbPages", "SigQ",
	"voluntary_ctxt_switches", "nonvoluntary_ctxt_switches", "x86_Thread_features", "x86_Thread_features_locked"}

func statusLines(text string) observations {
	p := observations{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(line, ":")
		if !slices.Contains(volatileStatus, name) {
			p["status "+name] = strings.Join(strings.Fields(value), " ")
		}
	}
	return p
}

// postureOf is what the prober has seen of its process.
func postureOf(b *box, r *report) observations {
	p := statusLines(r.Status)
	set := func(name string, value any) { p[name] = fmt.Sprint(value) }
	for _, f := range r.Fds {
		p[fmt.Sprintf("descriptor %d", f.Fd)] = fmt.Sprintf("%s flags=%d", callNumber.ReplaceAllString(strings.Replace(f.Target, b.dir, "BOX", 1), "io/N."), f.DescriptorFlags)
	}
	for name, link := range r.Namespaces {
		if host, err := os.Readlink("/proc/self/ns/" + name); err == nil && host == link {
			link = "the runtime's"
		} else {
			link = "its own"
		}
		p["namespace "+name] = link
	}
	for _, m := range parseMounts(r.Mountinfo) {
		p["mount "+m.at] = m.fstype + " " + strings.Join(m.options, ",") + " " + m.propagation()
	}
	for _, d := range r.Devices {
		p["/dev/"+d.Name] = fmt.Sprintf("type=%d %o %d:%d %d %d %s", d.Type, d.Mode&0o7777, d.Major, d.Minor, d.UID, d.GID, d.Link)
	}
	for name, path := range cgroupOf(r.Cgroup) {
		if hasID(path, b.id) {
			path = "its own"
		}
		p["cgroup "+name] = path
	}
	for i := 0; i+1 < len(r.Rlimits); i += 2 {
		p[fmt.Sprintf("rlimit %d", i/2)] = r.Rlimits[i] + " " + r.Rlimits[i+1]
	}
	for name, value := range r.Prctl {
		set("prctl "+name, value)
	}
	set("uids", r.UID)
	set("gids", r.GID)
	set("groups", r.Groups)
	set("umask", fmt.Sprintf("%#o", r.Umask))
	set("capabilities", r.Caps)
	set("no_new_privs", r.NoNewPrivs)
	set("seccomp", r.Seccomp)
	set("securebits", r.Securebits)
	set("dumpable", r.Dumpable)
	set("pdeathsig", r.Pdeathsig)
	set("subreaper", r.Subreaper)
	set("signals", r.Signals)
	set("affinity", r.Affinity)
	set("scheduler", fmt.Sprintf("%d flags=%d priority=%d nice=%d io=%d", r.Policy, r.SchedFlags, r.SchedPriority, r.Nice, r.IOPrio))
	set("personality", r.Personality)
	set("memory policy", r.MemPolicy)
	set("interval timers", r.Timers)
	set("names", r.Hostname+" "+r.Domainname)
	set("keyring", keyringName(r.Keyring, b.id))
	set("keyring label", r.KeyringLabel)
	set("cwd", r.Cwd)
	set("root", r.Root)
	set("exe", r.Exe)
	set("comm", r.Comm)
	set("cmdline", strings.ReplaceAll(r.Cmdline, "\b", "\x00")) // the prober's word for a NUL
	set("args", r.Args)
	set("env", r.Env)
	set("session", r.Sid == r.Pid)
	set("process group", r.Pgid == r.Pid)
	set("terminal", controlling(r.Stat))
	set("oom_score_adj", strings.TrimSpace(r.OomScoreAdj))
	set("label", strings.TrimRight(r.Attr, "\n\x00\b"))
	set("coredump_filter", strings.TrimSpace(r.CoredumpFilter))
	set("loginuid", r.Loginuid)
	set("timens_offsets", strings.Join(strings.Fields(r.TimensOffsets), " "))
	set("id maps", strings.Join(strings.Fields(r.UIDMap+" / "+r.GIDMap), " "))
	return p
}

// callNumber is the part of a stream's name that differs from call to call.
var callNumber = regexp.MustCompile(`io/[0-9]+\.`)

// controlling is the terminal's number of proc_pid_stat(5), field 7.
func controlling(stat string) string {
	if f := strings.Fields(stat[strings.LastIndexByte(stat, ')')+1:]); len(f) > 4 {
		return f[4]
	}
	return "?"
}

// keyringName takes the id out of a key's description: type;uid;gid;permissions;name.
func keyringName(description, id string) string {
	return strings.Replace(description, id, "ID", 1)
}

// ordinaryPosture is what an ordinary container (defaultSpec, the prober, streams of
// a box) has to be: the config's, where it says something, the kernel's default, or
// what the specification has the runtime inherit to it.
func ordinaryPosture(t *testing.T) observations {
	t.Helper()
	p := statusLines(readText(t, "/proc/self/status")) // of the machine, if not said otherwise here
	caps := capMask(ordinaryCaps...)
	none := capMask()
	said := observations{
		"status Umask": "0022", "status TracerPid": "0", "status Uid": "0 0 0 0", "status Gid": "0 0 0 0", "status Groups": "", "status Threads": "1",
		"status SigPnd": none, "status ShdPnd": none, "status SigBlk": none, "status SigIgn": none, "status SigCgt": none,
		"status CapInh": none, "status CapPrm": caps, "status CapEff": caps, "status CapBnd": caps, "status CapAmb": none,
		"status NoNewPrivs": "0", "status Seccomp": "0", "status Seccomp_filters": "0",

		"descriptor 0": "/dev/null flags=0", "descriptor 1": "BOX/io/N.out flags=0", "descriptor 2": "BOX/io/N.err flags=0",
		"uids": "[0 0 0]", "gids": "[0 0 0]", "groups": "[]", "umask": "022", "capabilities": fmt.Sprintf("{%s %s %s %s %s}", caps, caps, caps, none, none),
		"no_new_privs": "0", "seccomp": "0", "securebits": "0", "dumpable": "1", "pdeathsig": "0", "subreaper": "0",
		"signals": fmt.Sprintf("{%s %s %s}", none, none, none), "interval timers": none,
		"personality": "0",
		"names":       "box (none)", "keyring": "keyring;0;0;3f1b0000;_ses.ID", "keyring label": "", "cwd": "/", "root": "/", "exe": "/prober", "comm": "prober", "cmdline": "/prober\x00",
		"args": "[/prober]", "env": "[PATH=/bin:/ TERM=xterm HOME=/]", "session": "true", "process group": "true", "terminal": "0",
		"timens_offsets": "monotonic 0 0 boottime 0 0", "id maps": "0 0 4294967295 / 0 0 4294967295",
		"prctl keepCaps": "0", "prctl thpDisable": "0",

		"mount /": "", "mount /proc": "proc rw,relatime private", "mount /dev": "tmpfs rw,nosuid private",
		"mount /dev/pts": "devpts rw,nosuid,noexec,relatime private", "mount /dev/shm": "tmpfs rw,nosuid,nodev,noexec,relatime private",
		"mount /dev/mqueue": "mqueue rw,nosuid,nodev,noexec,relatime private", "mount /sys": "sysfs ro,nosuid,nodev,noexec,relatime private",
	}
	maps.Copy(p, said)
	entries, err := os.ReadDir("/proc/self/ns") // those that this kernel has
	if err != nil {
		t.Fatal(err)
	}
	for _, ns := range entries {
		p["namespace "+ns.Name()] = "the runtime's"
	}
	for _, ns := range []string{"pid", "net", "ipc", "uts", "mnt", "pid_for_children"} {
		p["namespace "+ns] = "its own"
	}
	delete(p, "mount /") // the host's file system, whatever it is
	for name, minor := range map[string]int{"null": 3, "zero": 5, "full": 7, "random": 8, "urandom": 9} {
		p["/dev/"+name] = fmt.Sprintf("type=2 666 1:%d 0 0 ", minor)
	}
	p["/dev/tty"] = "type=2 666 5:0 0 0 "
	for name, to := range map[string]string{"fd": "/proc/self/fd", "stdin": "/proc/self/fd/0", "stdout": "/proc/self/fd/1", "stderr": "/proc/self/fd/2",
		"ptmx": "pts/ptmx", "core": "/proc/kcore"} {
		p["/dev/"+name] = "type=10 777 0:0 0 0 " + to
	}
	p["/dev/pts"], p["/dev/shm"], p["/dev/mqueue"] = "type=4 755 0:0 0 0 ", "type=4 1777 0:0 0 0 ", "type=4 1777 0:0 0 0 "
	inherit(t, p)
	return p
}

// inherit fills in what a container takes over from the runtime, which has it from
// the test.
func inherit(t *testing.T, p observations) {
	t.Helper()
	for i := range 16 {
		var l unix.Rlimit
		if err := unix.Prlimit(0, i, nil, &l); err != nil {
			t.Fatal(err)
		}
		p[fmt.Sprintf("rlimit %d", i)] = limitText(l.Cur) + " " + limitText(l.Max)
	}
	var nofile unix.Rlimit
	// The Go runtime has raised this program's own soft limit, and gives it back to
	// the programs that it starts.
	if err := unix.Prlimit(os.Getppid(), unix.RLIMIT_NOFILE, nil, &nofile); err == nil {
		delete(p, fmt.Sprintf("rlimit %d", unix.RLIMIT_NOFILE))
	}
	for name, value := range answersTo(t, ordinaryCaps) {
		p["prctl "+name] = strconv.Itoa(value)
	}
	mode := -1 // on a kernel without memory policies
	_, _, _ = unix.RawSyscall6(unix.SYS_GET_MEMPOLICY, uintptr(unsafe.Pointer(&mode)), 0, 0, 0, 0, 0)
	p["memory policy"] = strconv.Itoa(int(int32(mode)))
	if _, err := os.Stat("/proc/self/timens_offsets"); err != nil {
		p["timens_offsets"] = ""
	}
	if _, err := unix.KeyctlInt(unix.KEYCTL_GET_KEYRING_ID, unix.KEY_SPEC_SESSION_KEYRING, 0, 0, 0); err == unix.ENOSYS {
		p["keyring"] = ""
	}
	read := func(name string) string { return strings.TrimRight(readText(t, "/proc/self/"+name), "\n\x00") }
	p["oom_score_adj"], p["coredump_filter"] = read("oom_score_adj"), read("coredump_filter")
	p["loginuid"], p["label"] = "", ""
	if _, err := os.Stat("/proc/self/loginuid"); err == nil {
		p["loginuid"] = read("loginuid")
	}
	if data, err := os.ReadFile("/proc/self/attr/current"); err == nil {
		p["label"] = strings.TrimRight(string(data), "\n\x00")
	}
	p["scheduler"] = fmt.Sprintf("0 flags=0 priority=0 nice=%d io=0", callersNice(t))
	var set unix.CPUSet
	if err := unix.SchedGetaffinity(0, &set); err != nil {
		t.Fatal(err)
	}
	p["affinity"] = fmt.Sprintf("%016x", uint64(set[0]))
	for name := range cgroupOf(readText(t, "/proc/self/cgroup")) {
		p["cgroup "+name] = "its own"
	}
}

// ordinaryCaps are those of defaultSpec.
var ordinaryCaps = []uint{unix.CAP_AUDIT_WRITE, unix.CAP_KILL, unix.CAP_NET_BIND_SERVICE}

// answersTo asks the kernel what prctl(2) tells a process with these capabilities,
// for options that a container inherits; -errno if it does not tell. It is asked from
// a thread that has no others, because kernels differ in whom they tell: Linux 6.1 has
// PR_GET_IO_FLUSHER for CAP_SYS_RESOURCE alone.
func answersTo(t *testing.T, caps []uint) map[string]int {
	t.Helper()
	done := make(chan map[string]int)
	var failed error
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		answers := map[string]int{}
		defer func() { done <- answers }()
		var set [2]unix.CapUserData
		for _, c := range caps {
			set[c/32].Effective |= 1 << (c % 32)
		}
		set[0].Permitted, set[1].Permitted = set[0].Effective, set[1].Effective
		if failed = unix.Capset(&unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}, &set[0]); failed != nil {
			return
		}
		for name, option := range map[string]int{"timerSlack": 30, "mceKill": 34, "ioFlusher": 58, "mdwe": 66, "ksm": 68} {
			v, _, e := unix.RawSyscall6(unix.SYS_PRCTL, uintptr(option), 0, 0, 0, 0, 0)
			answers[name] = int(v)
			if e != 0 {
				answers[name] = -int(e)
			}
		}
	}()
	answers := <-done
	if failed != nil {
		t.Fatal("capset:", failed)
	}
	return answers
}

// callersNice is the nice value of the test, which a container inherits.
func callersNice(t *testing.T) int {
	t.Helper()
	prio, err := unix.Getpriority(unix.PRIO_PROCESS, 0) // 20 less the value
	if err != nil {
		t.Fatal(err)
	}
	return 20 - prio
}

func limitText(v uint64) string { return strconv.FormatUint(v, 10) }

// posture compares the process of an ordinary container, or one that was run in it,
// with what it has to be.
func posture(t *testing.T, b *box, r *report, ignore ...string) {
	t.Helper()
	expectPosture(t, postureOf(b, r), ordinaryPosture(t), append(ignore, "mount /", "rlimit 7")...)
}

// expectPosture compares the whole. What is in ignore is not compared.
func expectPosture(t *testing.T, got, want observations, ignore ...string) {
	t.Helper()
	for name, difference := range got.differences(want) {
		if !slices.Contains(ignore, name) {
			t.Error(difference)
		}
	}
}

// differences are the things that are not as expected, by their name.
func (p observations) differences(want observations) map[string]string {
	out := map[string]string{}
	for name, got := range p {
		switch w, ok := want[name]; {
		case !ok:
			out[name] = fmt.Sprintf("%s came along: %s", name, got)
		case got != w:
			out[name] = fmt.Sprintf("%s is %q, expected %q", name, got, w)
		}
	}
	for name, w := range want {
		if _, ok := p[name]; !ok {
			out[name] = fmt.Sprintf("%s is missing, expected %q", name, w)
		}
	}
	return out
}
