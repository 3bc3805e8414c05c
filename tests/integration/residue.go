package integration

import (
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// seen is what a container could leave on the host: mounts, cgroups, processes,
// network links, and files. Each entry is one line of text.
type seen map[string]struct{}

// snapshot looks at the host. Of the cgroups, which the whole machine shares,
// only those whose path has the tests' tag and id count.
func snapshot(id string) seen {
	s := seen{}
	if data, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for _, m := range parseMounts(string(data)) {
			s[fmt.Sprintf("mount %s on %s (%s)", m.source, m.at, m.fstype)] = struct{}{}
		}
	}
	if id == "" {
		id = tag
	}
	for _, dir := range cgroupDirs(id) {
		s["cgroup "+dir] = struct{}{}
	}
	for _, pid := range children() {
		s[fmt.Sprintf("process %d since %s", pid, since(pid))] = struct{}{}
	}
	if links, err := net.Interfaces(); err == nil {
		for _, l := range links {
			s["link "+l.Name] = struct{}{}
		}
	}
	return s
}

// compare lists what is new or gone, without counting mounts that went away.
func (s seen) compare(now seen) []string {
	var out []string
	for k := range now {
		if _, ok := s[k]; !ok {
			out = append(out, k+" is new"+program(k))
		}
	}
	for k := range s {
		if _, ok := now[k]; !ok && !strings.HasPrefix(k, "process") {
			out = append(out, k+" is gone")
		}
	}
	slices.Sort(out)
	return out
}

// since is when a process was born, in ticks; its number may be another's later, and
// the program that it runs, a moment after it was begun, may be another one.
func since(pid int) string {
	stat, _ := os.ReadFile(procPath(pid, "stat")) // it may be gone
	_, rest, _ := strings.Cut(string(stat), ") ")
	if f := strings.Fields(rest); len(f) > 19 {
		return f[19]
	}
	return "?"
}

// program is what a process of a snapshot runs, for people to read.
func program(entry string) string {
	var pid int
	if _, err := fmt.Sscanf(entry, "process %d ", &pid); err != nil {
		return ""
	}
	cmdline, _ := os.ReadFile(procPath(pid, "cmdline")) // it may be gone
	comm, _ := os.ReadFile(procPath(pid, "comm"))
	return fmt.Sprintf(" (%s) %q", strings.TrimSpace(string(comm)), cmdline)
}

// hierarchies are the mount points of all cgroup file systems.
func hierarchies() []string {
	var out []string
	if data, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for _, m := range parseMounts(string(data)) {
			if (m.fstype == "cgroup" || m.fstype == "cgroup2") && !strings.Contains(m.at, workDir) {
				out = append(out, m.at)
			}
		}
	}
	return out
}

// cgroupOf is where a process is in each hierarchy that is mounted here, by the
// hierarchy's name; another program may have mounted more in a namespace of its own.
func cgroupOf(text string) map[string]string {
	mounted := map[string]bool{}
	if data, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for _, m := range parseMounts(string(data)) {
			switch m.fstype {
			case "cgroup":
				for _, o := range strings.Split(m.sb, ",") {
					mounted[o] = true
				}
			case "cgroup2":
				mounted[""] = true
			}
		}
	}
	out := map[string]string{}
	for _, line := range strings.Split(strings.TrimSpace(text), "\n") {
		if f := strings.SplitN(line, ":", 3); len(f) == 3 {
			if name, _, _ := strings.Cut(f[1], ","); mounted[name] {
				out[name] = f[2]
			}
		}
	}
	return out
}

// cgroupDirs lists the cgroups of all hierarchies whose path has id in it.
func cgroupDirs(id string) []string {
	var out []string
	for _, h := range hierarchies() {
		_ = filepath.WalkDir(h, func(p string, d fs.DirEntry, err error) error {
			if err != nil || !d.IsDir() {
				return nil // removed meanwhile
			}
			if hasID(p, id) {
				out = append(out, p)
			}
			return nil
		})
	}
	return out
}

// hasID finds an id that is not the beginning of a longer one.
func hasID(s, id string) bool {
	for {
		i := strings.Index(s, id)
		if i < 0 {
			return false
		}
		s = s[i+len(id):]
		if strings.HasSuffix(id, "-") || s == "" || s[0] < '0' || s[0] > '9' {
			return true
		}
	}
}

// children are the processes whose parent is this one, those that it inherited
// included, without the dead.
func children() []int {
	var out []int
	tasks, _ := os.ReadDir("/proc/self/task")
	for _, task := range tasks {
		data, _ := os.ReadFile("/proc/self/task/" + task.Name() + "/children")
		for _, f := range strings.Fields(string(data)) {
			pid, _ := strconv.Atoi(f)
			if stat, err := os.ReadFile(procPath(pid, "stat")); err == nil && !strings.Contains(string(stat), ") Z ") {
				out = append(out, pid)
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// tree lists the files below a directory with type, mode and owner.
func tree(dir string) seen {
	s := seen{}
	_ = filepath.WalkDir(dir, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return nil
		}
		var st unix.Stat_t
		if unix.Lstat(p, &st) == nil && p != dir {
			s[fmt.Sprintf("file %s mode %o owner %d:%d", strings.TrimPrefix(p, dir), st.Mode, st.Uid, st.Gid)] = struct{}{}
		}
		return nil
	})
	return s
}

// watch remembers what is there now and compares when the test is over.
func (b *box) watch() {
	before := snapshot(b.id)
	var files seen
	b.t.Cleanup(func() {
		b.call("delete", "--force", b.id)
		b.reap()
		// Orphans of the container die with its pid namespace, which takes a moment.
		var left []string
		for end := time.Now().Add(20 * time.Second); ; time.Sleep(5 * time.Millisecond) {
			if left = before.compare(snapshot(b.id)); len(left) == 0 || time.Now().After(end) {
				break
			}
		}
		for _, l := range left {
			if !parallel(l, b) {
				b.t.Error("left behind: " + l)
			}
		}
		b.stateEmpty()
		if !slices.Contains(b.ownMounts, b.rootfs) {
			detachAll(b.rootfs) // reported above; never to be walked
		}
		if files != nil {
			b.checkFiles(files)
		}
	})
	b.files = func() {
		if files == nil {
			files = tree(b.rootfs)
		}
	}
}

// parallel says that a finding belongs to another test that runs at this time.
func parallel(finding string, b *box) bool {
	if !b.shared {
		return false
	}
	return !hasID(finding, b.id) && !strings.Contains(finding, b.dir+"/")
}

func (b *box) checkFiles(before seen) {
	b.t.Helper()
	for _, l := range before.compare(tree(b.rootfs)) {
		name, _, _ := strings.Cut(strings.TrimPrefix(l, "file /"), " ")
		if !slices.ContainsFunc(b.allow, func(a string) bool { return name == a || strings.HasPrefix(name, a+"/") }) {
			b.t.Error("changed in the rootfs: " + l)
		}
	}
}

// stateEmpty demands that the state root holds nothing.
func (b *box) stateEmpty() {
	b.t.Helper()
	entries, _ := os.ReadDir(b.root)
	for _, e := range entries {
		b.t.Errorf("left behind in the state root: %s", e.Name())
	}
}

// nothingLeft demands, in the middle of a test, that no trace of the container is
// on the host.
func (b *box) nothingLeft() {
	b.t.Helper()
	b.stateEmpty()
	for _, d := range cgroupDirs(b.id) {
		b.t.Error("left behind: cgroup " + d)
	}
	if data, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		for _, m := range parseMounts(string(data)) {
			if strings.HasPrefix(m.at, b.dir+"/") && !slices.Contains(b.ownMounts, m.at) {
				b.t.Error("left behind: mount at " + m.at)
			}
		}
	}
	for _, pid := range children() {
		if cg, _ := os.ReadFile(procPath(pid, "cgroup")); hasID(string(cg), b.id) {
			b.t.Errorf("left behind: process %d", pid)
		}
	}
}

// detachAll unmounts what is mounted below dir.
func detachAll(dir string) {
	data, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return
	}
	for _, m := range parseMounts(string(data)) {
		if m.at == dir || strings.HasPrefix(m.at, dir+"/") {
			_ = unix.Unmount(m.at, unix.MNT_DETACH)
		}
	}
}
