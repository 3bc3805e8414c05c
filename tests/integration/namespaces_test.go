package integration

import (
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// nsFiles are the names of the types in /proc/PID/ns.
var nsFiles = map[specs.LinuxNamespaceType]string{
	specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc", specs.UTSNamespace: "uts",
	specs.MountNamespace: "mnt", specs.UserNamespace: "user", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time",
}

// lackNamespace is an error when the kernel does not have a type.
func lackNamespace(typ specs.LinuxNamespaceType) error {
	_, err := os.Stat("/proc/self/ns/" + nsFiles[typ])
	return err
}

// holder is a process that keeps new namespaces open.
type holder struct{ pid int }

func (h holder) path(typ specs.LinuxNamespaceType) string {
	return procPath(h.pid, "ns/"+nsFiles[typ])
}

func (h holder) link(t *testing.T, typ specs.LinuxNamespaceType) string {
	t.Helper()
	l, err := os.Readlink(h.path(typ))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// hold starts a process in new namespaces, which ends with the test. Its user
// namespace, if it has one, maps 65536 ids from 100000 on.
func hold(b *box, flags uintptr, edits ...func(*exec.Cmd)) holder {
	b.t.Helper()
	cmd := exec.Command(proberAt, "quiet", "pause")
	out, err := os.Create(fmt.Sprintf("%s/io/holder%d", b.dir, flags))
	b.must(err)
	defer out.Close()
	cmd.Stdout = out
	// A mount namespace by unshare is private, as unshare(1) makes it.
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags &^ unix.CLONE_NEWNS, Unshareflags: flags & unix.CLONE_NEWNS}
	if flags&unix.CLONE_NEWUSER != 0 {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
		cmd.SysProcAttr.GidMappingsEnableSetgroups = true
	}
	for _, e := range edits {
		e(cmd)
	}
	b.must(cmd.Start())
	stop := func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}
	b.t.Cleanup(stop)
	b.until("the holder", func() bool { return strings.HasSuffix(readText(b.t, out.Name()), "\n") })
	return holder{cmd.Process.Pid}
}

// TestNewNamespaces asks for all eight.
func TestNewNamespaces(t *testing.T) {
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	b := newBox(t, userNamespace(100000), withNamespace(specs.CgroupNamespace, ""))
	if isTare {
		b.edit(withNamespace(specs.TimeNamespace, ""))
	}
	b.own(100000)
	r := b.probe()
	for _, n := range b.spec.Linux.Namespaces {
		host, err := os.Readlink("/proc/self/ns/" + nsFiles[n.Type])
		b.must(err)
		if r.Namespaces[nsFiles[n.Type]] == host {
			t.Errorf("the %s namespace is the runtime's", n.Type)
		}
	}
	expect(t, "pid", r.Pid, 1)
	expect(t, "uid map", strings.Join(strings.Fields(r.UIDMap), " "), "0 100000 65536")
	expect(t, "gid map", strings.Join(strings.Fields(r.GIDMap), " "), "0 100000 65536")
	for name, path := range cgroupOf(r.Cgroup) {
		expect(t, "cgroup in its namespace, hierarchy "+name, path, "/")
	}
}

// TestSingleNamespaces has one new namespace besides the mount namespace at a time.
func TestSingleNamespaces(t *testing.T) {
	for typ, file := range nsFiles {
		t.Run(string(typ), func(t *testing.T) {
			need(t, "the namespace", lackNamespace(typ))
			if !isTare && (typ == specs.TimeNamespace || typ == specs.UserNamespace) {
				t.Skip("runc 1.1 has no time namespaces")
			}
			b := newBox(t)
			b.allow = []string{"dev"} // no file system is mounted there
			b.spec.Hostname = ""
			b.edit(namespaces(specs.LinuxNamespace{Type: specs.MountNamespace}))
			b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}}
			if typ == specs.UserNamespace {
				b.edit(userNamespace(100000))
				b.own(100000)
				// proc belongs to the pid namespace's owner.
				b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "bind", Source: "/proc", Options: []string{"rbind"}}}
			} else if typ != specs.MountNamespace {
				b.edit(withNamespace(typ, ""))
			}
			r := b.probe()
			for other, f := range nsFiles {
				host, err := os.Readlink("/proc/self/ns/" + f)
				if err != nil {
					continue
				}
				fresh := f == file || other == specs.MountNamespace
				if fresh == (r.Namespaces[f] == host) {
					t.Errorf("namespace %s is %s, the runtime's is %s", f, r.Namespaces[f], host)
				}
			}
		})
	}
}

// TestNoNamespaces: what is not listed is inherited, the mount namespace too.
func TestNoNamespaces(t *testing.T) {
	b := newBox(t, namespaces())
	b.allow = []string{"dev"} // no file system is mounted there
	b.spec.Hostname = ""
	b.spec.Mounts = []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"}}
	if !isTare {
		t.Skip("runc demands a mount namespace")
	}
	r := b.probe()
	for ns, link := range r.Namespaces {
		host, err := os.Readlink("/proc/self/ns/" + ns)
		b.must(err)
		expect(t, "namespace "+ns, link, host)
	}
	expect(t, "pid is not 1", r.Pid == 1, false)
	b.nothingLeft()
	// The same over create, kill and delete.
	b.edit(prober("fork:2", "pause"))
	out := b.create()
	b.start()
	b.output(out)
	b.kill("KILL")
	b.remove()
	b.nothingLeft()
}

// TestNoLinuxSection has no linux object at all.
func TestNoLinuxSection(t *testing.T) {
	if !isTare {
		t.Skip("runc demands a linux section")
	}
	b := newBox(t)
	b.allow = []string{"dev"}
	b.spec.Linux, b.spec.Hostname, b.spec.Mounts = nil, "", nil
	r := b.run()
	expect(t, "exit code", r.Code, 0)
	b.nothingLeft()
}

// TestJoinSingle joins each type by path; the others are new or inherited.
func TestJoinSingle(t *testing.T) {
	flags := map[specs.LinuxNamespaceType]uintptr{
		specs.PIDNamespace: unix.CLONE_NEWPID, specs.NetworkNamespace: unix.CLONE_NEWNET, specs.IPCNamespace: unix.CLONE_NEWIPC,
		specs.UTSNamespace: unix.CLONE_NEWUTS, specs.MountNamespace: unix.CLONE_NEWNS, specs.CgroupNamespace: unix.CLONE_NEWCGROUP,
		specs.TimeNamespace: unix.CLONE_NEWTIME,
	}
	for typ, flag := range flags {
		t.Run(string(typ), func(t *testing.T) {
			need(t, "the namespace", lackNamespace(typ))
			if !isTare && (typ == specs.TimeNamespace || typ == specs.MountNamespace) {
				t.Skip("runc 1.1 cannot")
			}
			b := newBox(t)
			if typ == specs.TimeNamespace {
				flag = 0 // clone(2) cannot make one; the host's is joined
			}
			h := hold(b, flag)
			b.edit(withNamespace(typ, h.path(typ)))
			want := h.link(t, typ)
			if typ == specs.TimeNamespace {
				// A kernel refuses to join a time namespace that is entered already only
				// when other threads share the memory; tare's init has none.
				b.spec.Process.Args = []string{"/prober"}
			}
			for how, r := range map[string]*report{"run": b.probe(), "create": b.createdReport()} {
				expect(t, "joined namespace after "+how, r.Namespaces[nsFiles[typ]], want)
				for other, f := range nsFiles {
					if other == typ || other == specs.UserNamespace || other == specs.CgroupNamespace || other == specs.TimeNamespace {
						continue
					}
					if host, _ := os.Readlink("/proc/self/ns/" + f); host == r.Namespaces[f] {
						t.Errorf("after %s namespace %s is not new", how, f)
					}
				}
			}
		})
	}
}

// TestJoinSharedMounts joins a mount namespace whose mounts the host sees too: what
// the container has mounted is gone after it.
func TestJoinSharedMounts(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 cannot")
	}
	b := newBox(t)
	h := hold(b, 0, func(c *exec.Cmd) { c.SysProcAttr.Cloneflags = unix.CLONE_NEWNS })
	b.edit(withNamespace(specs.MountNamespace, h.path(specs.MountNamespace)))
	expect(t, "mount namespace", b.probe().Namespaces["mnt"], h.link(t, specs.MountNamespace))
	b.nothingLeft()
}

// TestJoinUser joins a user namespace alone, and with the namespaces it owns.
func TestJoinUser(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 joins only with mappings in the config")
	}
	all := []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace}
	for n := 0; n < 1<<len(all); n++ {
		var name []string
		for i, typ := range all {
			if n>>i&1 != 0 {
				name = append(name, string(typ))
			}
		}
		t.Run("user+"+strings.Join(name, "+"), func(t *testing.T) {
			b := newBox(t)
			b.own(100000)
			h := hold(b, unix.CLONE_NEWUSER|unix.CLONE_NEWNET|unix.CLONE_NEWIPC|unix.CLONE_NEWUTS|unix.CLONE_NEWPID)
			b.edit(withNamespace(specs.UserNamespace, h.path(specs.UserNamespace)))
			for i, typ := range all {
				if n>>i&1 != 0 {
					b.edit(withNamespace(typ, h.path(typ)))
				}
			}
			r := b.probe("stat:/prober")
			expect(t, "user namespace", r.Namespaces["user"], h.link(t, specs.UserNamespace))
			expectList(t, "uid", r.UID, []uint32{0, 0, 0})
			expect(t, "owner of a file", r.result("stat:/prober").UID, 0)
			for i, typ := range all {
				joined := r.Namespaces[nsFiles[typ]] == h.link(t, typ)
				if want := n>>i&1 != 0; joined != want {
					t.Errorf("%s namespace joined: %v, expected %v", typ, joined, want)
				}
			}
		})
	}
}

// TestJoinUserWithoutGroups joins a user namespace in which setgroups(2) is denied, as
// an ordinary user's are.
func TestJoinUserWithoutGroups(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 joins only with mappings in the config")
	}
	b := newBox(t)
	b.own(100000)
	h := hold(b, unix.CLONE_NEWUSER, func(c *exec.Cmd) { c.SysProcAttr.GidMappingsEnableSetgroups = false })
	b.edit(withNamespace(specs.UserNamespace, h.path(specs.UserNamespace)))
	expectList(t, "uid", b.probe().UID, []uint32{0, 0, 0})
	b.spec.Process.User.AdditionalGids = []uint32{5}
	b.createFails("process.user", "setgroups")
}

// TestJoinContainer runs a second container in namespaces of a first, as the
// containers of a pod are.
func TestJoinContainer(t *testing.T) {
	a := newBox(t, prober("pause"))
	out := a.create()
	a.start()
	a.output(out)
	b := newBox(t)
	for _, typ := range []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace} {
		b.edit(withNamespace(typ, procPath(a.pid, "ns/"+nsFiles[typ])))
	}
	b.spec.Hostname = ""
	r := b.probe()
	expect(t, "hostname", r.Hostname, "box")
	if r.Pid == 1 {
		t.Error("the second container is process 1 of the first's namespace")
	}
	// With a pid namespace of others, SIGKILL and delete reach every process.
	b.edit(prober("fork:3", "pause"))
	out = b.create()
	b.start()
	b.output(out)
	b.kill("KILL")
	if isTare {
		b.until("the end of all processes", func() bool { return len(cgroupProcs(t, b.id)) == 0 })
	}
	if isTare { // runc 1.1 needs several tries, and says so
		b.remove("--force")
		b.nothingLeft()
	}
	expect(t, "status of the first", a.status(), "running")
}

// cgroupProcs are the pids of a container, as the kernel has them.
func cgroupProcs(t *testing.T, id string) []string {
	t.Helper()
	var out []string
	for _, d := range cgroupDirs(id) {
		data, err := os.ReadFile(d + "/cgroup.procs")
		if err == nil {
			out = append(out, strings.Fields(string(data))...)
		}
	}
	return out
}

func TestTimeOffsets(t *testing.T) {
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	if !isTare {
		t.Skip("runc 1.1 has no time namespaces")
	}
	now := func(clock int32) int64 {
		var ts unix.Timespec
		if err := unix.ClockGettime(clock, &ts); err != nil {
			t.Fatal(err)
		}
		return ts.Sec
	}
	for _, off := range []map[string]specs.LinuxTimeOffset{
		nil,
		{"monotonic": {Secs: 1000}},
		{"boottime": {Secs: 50000, Nanosecs: 999999999}},
		{"monotonic": {Secs: 86400}, "boottime": {Secs: 604800}},
	} {
		b := newBox(t, withNamespace(specs.TimeNamespace, ""))
		b.spec.Linux.TimeOffsets = off
		m, bt := now(unix.CLOCK_MONOTONIC), now(unix.CLOCK_BOOTTIME)
		r := b.probe()
		if d := r.Monotonic - m - off["monotonic"].Secs; d < 0 || d > 20 {
			t.Errorf("with %v the monotonic clock is %d s off", off, d)
		}
		if d := r.Boottime - bt - off["boottime"].Secs; d < 0 || d > 20 {
			t.Errorf("with %v the boottime clock is %d s off", off, d)
		}
	}
}

func TestNamespaceRefusals(t *testing.T) {
	b := newBox(t)
	h := hold(b, unix.CLONE_NEWNET|unix.CLONE_NEWUTS)
	for name, row := range map[string]struct {
		ns    specs.LinuxNamespace
		words []string
	}{
		"another type": {specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: h.path(specs.UTSNamespace)}, []string{"linux.namespaces[", "].path", "another type"}},
		"missing":      {specs.LinuxNamespace{Type: specs.NetworkNamespace, Path: "/run/no/such/ns"}, []string{"].path", "/run/no/such/ns", "no such file or directory"}},
		"no namespace": {specs.LinuxNamespace{Type: specs.IPCNamespace, Path: "/etc/passwd"}, []string{"].path", "not a namespace"}},
		"relative":     {specs.LinuxNamespace{Type: specs.UTSNamespace, Path: "ns/uts"}, []string{"].path", "must be absolute"}},
		"type":         {specs.LinuxNamespace{Type: "nope"}, []string{"].type", "nope"}},
		"twice":        {specs.LinuxNamespace{Type: specs.IPCNamespace}, []string{"].type", "listed twice"}},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			b := newBox(t)
			if row.ns.Path != "" {
				b.edit(withoutNamespace(row.ns.Type))
			}
			b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, row.ns)
			b.createFails(append(row.words, fmt.Sprintf("linux.namespaces[%d]", len(b.spec.Linux.Namespaces)-1))...)
		})
	}
	if !isTare {
		return // runc 1.1 takes mappings without a user namespace
	}
	b.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 0, HostID: 1, Size: 1}}
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: 1}}
	b.createFails("linux.uidMappings", "linux.timeOffsets")
	b.edit(userNamespace(100000), withNamespace(specs.TimeNamespace, ""))
	b.spec.Linux.GIDMappings = nil
	b.spec.Linux.UIDMappings = []specs.LinuxIDMapping{{ContainerID: 1, HostID: 4294967295, Size: 2}, {ContainerID: 5}}
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"realtime": {}, "boottime": {Nanosecs: 1000000000}}
	b.createFails("linux.gidMappings", "linux.uidMappings[0]", "linux.uidMappings[1].size", "linux.uidMappings: must map the container's id 0",
		`linux.timeOffsets`, "realtime", "nanosecs")
}

// TestTimeOffsetOutOfRange: the kernel refuses, and its word comes with the field.
func TestTimeOffsetOutOfRange(t *testing.T) {
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	b := newBox(t, withNamespace(specs.TimeNamespace, ""))
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"monotonic": {Secs: -1 << 40}}
	b.createFails("linux.timeOffsets", "numerical result out of range", "monotonic")
}

func TestHostnames(t *testing.T) {
	b := newBox(t)
	b.spec.Hostname, b.spec.Domainname = "a-host.example", "dom.example"
	host, err := os.Hostname()
	b.must(err)
	r := b.probe()
	expect(t, "hostname", r.Hostname, "a-host.example")
	if isTare {
		expect(t, "domainname", r.Domainname, "dom.example")
	}
	now, err := os.Hostname()
	b.must(err)
	expect(t, "the host's name", now, host)
	b.spec.Hostname = strings.Repeat("h", 64)
	expect(t, "longest hostname", b.probe().Hostname, b.spec.Hostname)
	b.spec.Hostname = strings.Repeat("h", 65)
	b.spec.Domainname = strings.Repeat("d", 65)
	b.createFails("hostname", "domainname", "64")
	b.spec.Hostname, b.spec.Domainname = "h", ""
	b.edit(withoutNamespace(specs.UTSNamespace))
	b.createFails("hostname", "uts namespace")
}
