package ops

import (
	"encoding/binary"
	"fmt"
	"os"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

func noNewPrivsEffect(t *testing.T) {
	equal(t, "NoNewPrivs", newBox(t).add(plan.NoNewPrivs("f")).look().status("NoNewPrivs"), "1")
	equal(t, "NoNewPrivs", newBox(t).add(plan.Session()).look().status("NoNewPrivs"), "0")
}

func noNewPrivsFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_PRCTL, unix.EPERM).add(plan.NoNewPrivs("f")).fails("prctl", unix.EPERM, "")
}

// bpf is a filter program as the plan carries it.
func bpf(ins ...unix.SockFilter) []byte {
	var b []byte
	for _, i := range ins {
		b = binary.LittleEndian.AppendUint16(b, i.Code)
		b = append(b, i.Jt, i.Jf)
		b = binary.LittleEndian.AppendUint32(b, i.K)
	}
	return b
}

func seccompEffect(t *testing.T) {
	// getcwd fails with ENOTUNIQ: the cwd op after the filter reports it.
	filter := bpf(unix.SockFilter{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS},
		unix.SockFilter{Code: unix.BPF_JMP | unix.BPF_JEQ | unix.BPF_K, Jf: 1, K: unix.SYS_GETCWD},
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ERRNO | uint32(unix.ENOTUNIQ)},
		unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW})
	b := newBox(t).add(plan.Seccomp("f", filter, 0)).look()
	equal(t, "Seccomp", b.status("Seccomp"), "2")
	newBox(t).add(plan.Seccomp("f", filter, 0), plan.Cwd("f", "/")).fails("getcwd", unix.ENOTUNIQ, "")
}

func seccompFailure(t *testing.T) {
	ret := unix.SockFilter{Code: unix.BPF_RET, K: unix.SECCOMP_RET_ALLOW}
	newBox(t).add(plan.Seccomp("f", bpf(unix.SockFilter{Code: 0xffff}), 0)).fails("seccomp", unix.EINVAL, "")
	newBox(t).add(plan.Seccomp("f", bpf(ret), 1<<20)).fails("seccomp", unix.EINVAL, "")
	// Without privilege, no_new_privs must come first.
	newBox(t).add(plan.CapsSet("f", 0, 0, 0, 0), plan.Seccomp("f", bpf(ret), 0)).fails("seccomp", unix.EACCES, "")
	newBox(t).add(plan.CapsSet("f", 0, 0, 0, 0), plan.NoNewPrivs("f"), plan.Seccomp("f", bpf(ret), 0)).look()
}

func capsBoundEffect(t *testing.T) {
	const keep = 1<<unix.CAP_CHOWN | 1<<unix.CAP_KILL
	equal(t, "CapBnd", newBox(t).add(plan.CapsBound("f", keep)).look().status("CapBnd"), fmt.Sprintf("%016x", keep))
}

func capsBoundFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_PRCTL, unix.EPERM).add(plan.CapsBound("f", 0)).fails("prctl", unix.EPERM, "")
	newBox(t).add(plan.CapsSet("f", 0, 0, 0, 0), plan.CapsBound("f", 0)).fails("prctl", unix.EPERM, "")
}

func groups(gids ...uint32) []byte {
	var b []byte
	for _, g := range gids {
		b = binary.LittleEndian.AppendUint32(b, g)
	}
	return b
}

func identityEffect(t *testing.T) {
	b := newBox(t).add(plan.Identity("f", 1001, 1002, 0o027, groups(7, 8, 4000000000), 0)).look()
	equal(t, "Uid", b.status("Uid"), "1001\t1001\t1001\t1001")
	equal(t, "Gid", b.status("Gid"), "1002\t1002\t1002\t1002")
	equal(t, "Groups", b.status("Groups"), "7 8 4000000000")
	equal(t, "Umask", b.status("Umask"), "0027")
	// What is permitted waits for caps-set; nothing is effective.
	equal(t, "CapEff", b.status("CapEff"), "0000000000000000")
	if b.status("CapPrm") == "0000000000000000" {
		t.Error("the permitted set is gone before caps-set could cut it")
	}
	b = newBox(t).add(plan.Identity("f", 0, 0, 0o022, nil, 0)).look()
	equal(t, "Groups", b.status("Groups"), "")
}

func identityFailure(t *testing.T) {
	for _, c := range []struct {
		uid, gid uint32
		groups   []byte
		step     string
	}{{5000, 0, nil, "setuid"}, {0, 5000, nil, "setgid"}, {0, 0, groups(5000), "setgroups"}} {
		newBox(t).userns().add(plan.Identity("f", c.uid, c.gid, 0, c.groups, 0)).start().mapped(100000).failed(c.step, unix.EINVAL, "")
	}
	// For setresuid(2), -1 means "as it is": it must not mean root.
	newBox(t).add(plan.Identity("f", 1<<32-1, 0, 0, nil, 0)).fails("setuid", unix.EINVAL, "")
	newBox(t).add(plan.Identity("f", 0, 1<<32-1, 0, nil, 0)).fails("setgid", unix.EINVAL, "")
}

func capsSetEffect(t *testing.T) {
	const kill, chown, raw = 1 << unix.CAP_KILL, 1 << unix.CAP_CHOWN, 1 << unix.CAP_NET_RAW
	b := newBox(t).add(plan.CapsBound("f", kill|chown|raw), plan.Identity("f", 1000, 1000, 0, nil, 0),
		plan.CapsSet("f", kill|chown|raw, kill, chown|raw, raw)).look()
	for name, want := range map[string]uint64{"CapPrm": kill | chown | raw, "CapEff": kill, "CapInh": chown | raw, "CapAmb": raw, "CapBnd": kill | chown | raw} {
		equal(t, name, b.status(name), fmt.Sprintf("%016x", want))
	}
}

func capsSetFailure(t *testing.T) {
	newBox(t).add(plan.CapsSet("f", 1, 1, 1, 0), plan.CapsSet("f", 3, 3, 0, 0)).fails("capset", unix.EPERM, "")
	newBox(t).add(plan.CapsSet("f", 1, 3, 0, 0)).fails("capset", unix.EPERM, "")
	// Ambient needs permitted and inheritable.
	newBox(t).add(plan.CapsSet("f", 1, 1, 0, 1)).fails("prctl", unix.EPERM, "")
}

// It stands after the gate, so that the probe has to say what it did.
func capsTrimEffect(t *testing.T) {
	b := newBox(t).add(plan.Identity("f", 1000, 1000, 0, nil, 0), plan.CapsSet("f", 1<<unix.CAP_KILL|1<<unix.CAP_SYS_ADMIN, 1<<unix.CAP_SYS_ADMIN, 1<<unix.CAP_KILL, 1<<unix.CAP_KILL),
		plan.Env("f", []string{probeEnv + "=1"}), plan.ExecFind("f", "/proc/self/fd/3", ""),
		plan.CapsTrim("f", 1<<unix.CAP_KILL, 0, 1<<unix.CAP_KILL), plan.Exec("f", []string{"probe"}))
	exe, err := os.Open(self(t))
	b.must("open", err)
	defer exe.Close()
	b.extra = append(b.extra, exe)
	p := b.ran()
	for name, want := range map[string]uint64{"CapPrm": 1 << unix.CAP_KILL, "CapEff": 1 << unix.CAP_KILL, "CapInh": 1 << unix.CAP_KILL, "CapAmb": 1 << unix.CAP_KILL} {
		equal(t, name, p.Caps[name], fmt.Sprintf("%016x", want))
	}
}

func capsTrimFailure(t *testing.T) {
	newBox(t).add(plan.CapsSet("f", 1, 1, 0, 0), plan.CapsTrim("f", 3, 3, 0)).fails("capset", unix.EPERM, "")
}

func cwdMakeEffect(t *testing.T) {
	root := tree(t, "home/", "link -> home")
	newBox(t).in(root).add(plan.RootPivot("f"), plan.CwdMake("f", "/home"), plan.CwdMake("f", "/link/new/dir")).look()
	equal(t, "mode", stat(t, root+"/home/new/dir").Mode, unix.S_IFDIR|0o755)
}

// Where root may not look, the cwd op has the last word, as the user.
func TestCwdMakeDenied(t *testing.T) {
	b := newBox(t).inject(unix.SYS_MKDIRAT, unix.EACCES).in(tree(t)).add(plan.RootPivot("f"), plan.CwdMake("f", "/new"), plan.Cwd("f", "/new"))
	b.fails("chdir", unix.ENOENT, "")
}

func cwdMakeFailure(t *testing.T) {
	newBox(t).in(tree(t, "file = x")).add(plan.RootPivot("f"), plan.CwdMake("f", "/file")).fails("mkdir", unix.ENOTDIR, "")
}

func cwdEffect(t *testing.T) {
	b := newBox(t).in(tree(t, "work/", "link -> work")).add(plan.RootPivot("f"), plan.Cwd("f", "/link")).look()
	equal(t, "cwd", b.link("cwd"), "/work")
	// The second of two has nothing to do when the first went well.
	b = newBox(t).in(tree(t, "a/", "b/")).add(plan.RootPivot("f"), plan.Cwd("f", "/a"), plan.Cwd("f", "/b")).look()
	equal(t, "cwd", b.link("cwd"), "/a")
	first := plan.Cwd("f", "/none")
	first.Flags |= plan.FlagIgnore
	b = newBox(t).in(tree(t, "a/")).add(plan.RootPivot("f"), first, plan.Cwd("f", "/a")).look()
	equal(t, "cwd", b.link("cwd"), "/a")
}

func cwdFailure(t *testing.T) {
	newBox(t).in(tree(t)).add(plan.RootPivot("f"), plan.Cwd("f", "/none")).fails("chdir", unix.ENOENT, "")
	// A user without the right to search.
	root := tree(t, "private/")
	if err := os.Chmod(root+"/private", 0o700); err != nil {
		t.Fatal(err)
	}
	newBox(t).in(root).add(plan.RootPivot("f"), plan.Identity("f", 1000, 1000, 0, nil, 0), plan.CapsSet("f", 0, 0, 0, 0),
		plan.Cwd("f", "/private")).fails("chdir", unix.EACCES, "")
}

// A working directory through a descriptor of the host lies outside the root
// (CVE-2024-21626).
func TestCwdThroughALeakedDescriptor(t *testing.T) {
	root := tree(t, "proc/")
	b := newBox(t)
	host, err := os.Open("/")
	b.must("open", err)
	defer host.Close()
	b.extra = append(b.extra, host)
	b.in(root).add(plan.MountFs(plan.Mount{Type: "proc", Source: "proc", At: "/proc"}), plan.RootPivot("f"), plan.Cwd("f", "/proc/self/fd/3"))
	b.start()
	r, err := b.report()
	if err != nil || r.Errno == 0 {
		t.Fatalf("got %s, %v, want a refusal", b.text(&r), err)
	}
	b.expect(&r, "outside-root", unix.EPERM, "")
}
