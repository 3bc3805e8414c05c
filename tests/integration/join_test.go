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

// holder is a process that keeps new namespaces open.
type holder struct{ pid int }

func (h holder) path(typ specs.LinuxNamespaceType) string {
	return procPath(h.pid, "ns/"+nsFiles[typ])
}

// linkOf is link by the name of the file in /proc.
func (h holder) linkOf(t *testing.T, file string) string {
	t.Helper()
	l, err := os.Readlink(procPath(h.pid, "ns/"+file))
	if err != nil {
		t.Fatal(err)
	}
	return l
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
			b.edit(prober())
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

// TestJoinOwners joins a user namespace together with others that belong to it, or
// to the host, as root and, where they are his own, as an ordinary user.
func TestJoinOwners(t *testing.T) {
	if !isTare {
		t.Skip("tests tare's order of joining")
	}
	const others = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWUTS | unix.CLONE_NEWPID | unix.CLONE_NEWCGROUP
	types := []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.UTSNamespace, specs.PIDNamespace, specs.CgroupNamespace}
	for _, owner := range []string{"the user namespace", "the host", "an ordinary user's"} {
		t.Run(owner, func(t *testing.T) {
			types := types
			var b *box
			var user, other holder
			switch owner {
			case "the user namespace":
				b = newBox(t)
				b.own(100000)
				user = hold(b, unix.CLONE_NEWUSER|others)
				other = user
			case "the host":
				b = newBox(t)
				b.own(100000)
				user, other = hold(b, unix.CLONE_NEWUSER), hold(b, others)
			default:
				b = userBox(t)
				b.edit(prober("pause"))
				b.edit(withNamespace(specs.NetworkNamespace, ""))
				out := b.create()
				b.start()
				b.output(out)
				user = holder{b.pid}
				other = user
				b = userBox(t) // the first one's container goes on until the test's end
			}
			b.edit(withNamespace(specs.UserNamespace, user.path(specs.UserNamespace)))
			b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = nil, nil
			for _, typ := range types {
				b.edit(withNamespace(typ, other.path(typ)))
			}
			b.spec.Hostname = "joined"
			r := b.probe()
			for _, typ := range append(types, specs.UserNamespace) {
				want := other.link(t, typ)
				if typ == specs.UserNamespace {
					want = user.link(t, typ)
				}
				expect(t, string(typ), r.Namespaces[nsFiles[typ]], want)
			}
			expectList(t, "uids", r.UID, []uint32{0, 0, 0})
			expect(t, "host name", r.Hostname, "joined")
		})
	}
}

// TestTimeOffsetsInJoinedUserNamespace: they are set without the process having been
// dumpable in a namespace that others are in.
func TestTimeOffsetsInJoinedUserNamespace(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no time namespaces")
	}
	need(t, "time namespaces", lackNamespace(specs.TimeNamespace))
	b := newBox(t)
	b.own(100000)
	h := hold(b, unix.CLONE_NEWUSER)
	b.edit(withNamespace(specs.UserNamespace, h.path(specs.UserNamespace)), withNamespace(specs.TimeNamespace, ""), prober("pause"))
	b.spec.Linux.TimeOffsets = map[string]specs.LinuxTimeOffset{"boottime": {Secs: 1000000}}
	out := b.create()
	expect(t, "owner of the init's files", ownerOf(t, b.pid), 0)
	b.start()
	b.output(out)
	expect(t, "offsets", strings.Join(strings.Fields(readText(t, procPath(b.pid, "timens_offsets"))), " "), "monotonic 0 0 boottime 1000000 0")
}
