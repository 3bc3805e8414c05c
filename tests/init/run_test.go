package initc

import (
	"bytes"
	"encoding/binary"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
)

// outcome is how a plan ended: what the program printed, or the init's report.
type outcome struct {
	stdout, stderr string
	err            error
	report         *initproto.Report
}

// runPlan runs the sanitizer build of the whole init in new namespaces. A
// sanitizer's finding is on stderr and fails the test.
func runPlan(t *testing.T, wire []byte) outcome {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skipf("needs root, runs as user %d", os.Geteuid())
	}
	program := build(t, "init", "gcc", hosted, initSources(t)...)
	pair, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_SEQPACKET|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	host, theirs := os.NewFile(uintptr(pair[0]), "host"), os.NewFile(uintptr(pair[1]), "init")
	defer host.Close()
	file := filepath.Join(t.TempDir(), "plan")
	if err := os.WriteFile(file, wire, 0o600); err != nil {
		t.Fatal(err)
	}
	planFile, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer planFile.Close()

	var stdout, stderr bytes.Buffer
	cmd := exec.Command(program, "3")
	cmd.Args[0] = "tare-init"
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	cmd.ExtraFiles = []*os.File{theirs, planFile}
	cmd.Env = []string{"ASAN_OPTIONS=detect_leaks=0"}
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNS | syscall.CLONE_NEWPID | syscall.CLONE_NEWUTS | syscall.CLONE_NEWIPC | syscall.CLONE_NEWNET}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirs.Close() // or the end of the init would not end the socket
	o := outcome{err: cmd.Wait()}
	o.stdout, o.stderr = stdout.String(), stderr.String()
	if strings.Contains(o.stderr, "Sanitizer") || strings.Contains(o.stderr, "runtime error") {
		t.Errorf("a sanitizer has found:\n%s", o.stderr)
	}
	buf := make([]byte, initproto.Size+1)
	if n, err := host.Read(buf); err == nil && n > 0 {
		r, err := initproto.Parse(buf[:n])
		if err != nil {
			t.Fatal(err)
		}
		o.report = &r
	}
	return o
}

// busyboxRoot makes a root file system with the few things that the plans use.
func busyboxRoot(t *testing.T) string {
	t.Helper()
	root := t.TempDir()
	busybox, err := exec.LookPath("busybox")
	if err != nil {
		t.Skipf("no busybox: %v", err)
	}
	data, err := os.ReadFile(busybox)
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range []string{"bin", "etc", "proc", "dev", "full"} {
		if err := os.Mkdir(filepath.Join(root, dir), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	for name, content := range map[string]string{
		"etc/passwd":  "root:x:0:0:root:/root:/bin/sh\n" + strings.Repeat("x", 1500) + ":x:7:7::/no:/no\nweb:x:33:33:web:/srv/web\n",
		"full/inside": "covered",
		"secret":      "secret",
	} {
		if err := os.WriteFile(filepath.Join(root, name), []byte(content), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.WriteFile(filepath.Join(root, "bin/busybox"), data, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("busybox", filepath.Join(root, "bin/sh")); err != nil {
		t.Fatal(err)
	}
	return root
}

// containerPlan builds a container out of nothing but the init's own ops.
func containerPlan(root, script string, change func(*plan.Plan)) *plan.Plan {
	p := &plan.Plan{}
	add := func(ops ...plan.Op) {
		for _, op := range ops {
			p.Add(op)
		}
	}
	const caps = 1<<5 | 1<<0 // CAP_KILL, CAP_CHOWN
	add(plan.Spawn("linux.namespaces", 0, plan.NoSlot), plan.FdSeal(3), plan.Session(), plan.Keyring("_ses.test"),
		plan.LoopbackUp("linux.namespaces"), plan.Hostname("hostname", "inside"), plan.Domainname("domainname", "example"),
		plan.ProcOpen("mounts"), plan.NullOpen("linux.maskedPaths"),
		plan.MountPropagation("linux.rootfsPropagation", plan.PropPrivate|plan.PropRec),
		plan.RootBind("root.path", root, plan.NoSlot, plan.FlagRecursive|plan.FlagParentPriv),
		plan.MountFs(plan.Mount{Field: "mounts[0]", Type: "proc", Source: "proc", At: "/proc", Flags: plan.FlagMakeDir | plan.FlagRealDir}),
		plan.MountFs(plan.Mount{Field: "mounts[1]", Type: "tmpfs", Source: "tmpfs", At: "/dev", Options: []string{"mode=755"}, Attr: plan.Attr(plan.AttrNosuid, 0), Flags: plan.FlagMakeDir}),
		plan.MountFs(plan.Mount{Field: "mounts[2]", Type: "tmpfs", Source: "tmpfs", At: "/etc", Flags: plan.FlagCopyUp}),
		plan.MountBind(plan.Mount{Field: "mounts[3]", Source: "/etc/hostname", At: "/etc/deep/name", Attr: plan.Attr(plan.AttrReadonly, 0), Flags: plan.FlagMakeFile}),
		plan.MountRemount(plan.Mount{Field: "mounts[4]", At: "/etc", Attr: plan.Attr(plan.AttrNoexec, 0)}))
	if change != nil {
		change(p)
	}
	add(plan.DirMake("mounts", "/dev/pts", 0o755), plan.SymlinkMake("linux.devices", "/dev/fd", "/proc/self/fd"),
		plan.DeviceMake("linux.devices", "/dev/null", 0o20666, plan.Dev(1, 3), 0, 0),
		plan.DeviceBind("linux.devices", "/dev/zero", "/dev/zero", 0o20666, plan.Dev(1, 5)),
		plan.RootPivot("root.path"), plan.MountReadonly("mounts[1]", "/dev"),
		plan.RootAttr("root.readonly", plan.Attr(plan.AttrReadonly, 0), plan.PropSlave),
		plan.Sysctl("linux.sysctl", "net/ipv4/ip_forward", "1"), plan.MaskPrepare("linux.maskedPaths"),
		plan.PathReadonly("linux.readonlyPaths", "/proc/sys"), plan.PathMask("linux.maskedPaths", "/secret"),
		plan.PathMask("linux.maskedPaths", "/full"), plan.PathMask("linux.maskedPaths", "/none"),
		plan.Rlimit("process.rlimits", "RLIMIT_CORE", 4, 0, 0), plan.StdioOwner("process.user", 33, 0),
		plan.NoNewPrivs("process.noNewPrivileges"),
		plan.Seccomp("linux.seccomp", []byte{6, 0, 0, 0, 0, 0, 255, 127}, 0), // return SECCOMP_RET_ALLOW
		plan.CapsBound("process.capabilities", caps),
		plan.Identity("process.user", 33, 33, 0o27, []byte{7, 0, 0, 0, 9, 0, 0, 0}, 0),
		plan.CapsSet("process.capabilities", caps, caps, caps, 1<<5), plan.Cwd("process.cwd", "/etc/deep"), plan.HomeFind("process.env", 33),
		plan.Env("process.env", []string{"PATH=/none:/bin", "A=b"}), plan.ExecFind("process.args", "sh", "/none:/bin"),
		plan.FdClose(3), plan.Exec("process.args", []string{"sh", "-c", script}))
	return p
}

const script = `b=/bin/busybox
echo host=$($b hostname) dom=$($b cat /proc/sys/kernel/domainname) pid=$$ home=$HOME a=$A cwd=$PWD
echo id=$($b id -u):$($b id -g):$($b id -G | $b tr ' ' ,)
$b grep -E '^(Cap|NoNewPrivs|Seccomp:)' /proc/self/status | $b tr -d '\t'
echo forward=$($b cat /proc/sys/net/ipv4/ip_forward) secret=[$($b cat /secret)] full=[$($b ls /full)] dev=$($b ls /dev | $b tr '\n' ,)
$b touch /new 2>/dev/null && echo root-writable
$b touch /dev/new 2>/dev/null && echo dev-writable
echo 1 2>/dev/null >/proc/sys/net/ipv4/ip_forward && echo sysctl-writable
echo fds=$(echo /proc/self/fd/*)
echo passwd=$($b wc -l </etc/passwd) lo=$($b cat /proc/net/dev | $b grep -c lo:)`

func TestInitRunsAPlanToTheEnd(t *testing.T) {
	p := containerPlan(busyboxRoot(t), script, nil)
	if err := p.Validate(); err != nil {
		t.Fatal(err)
	}
	o := runPlan(t, p.Encode())
	if o.report != nil {
		t.Fatalf("op %d (%s) failed: %+v", o.report.Op, p.Ops[o.report.Op].Code.Name(), *o.report)
	}
	if o.err != nil {
		t.Fatalf("%v\n%s%s", o.err, o.stdout, o.stderr)
	}
	want := lines(`host=inside dom=example pid=1 home=/srv/web a=b cwd=/etc/deep
id=33:33:33,7,9
CapInh:0000000000000021
CapPrm:0000000000000020
CapEff:0000000000000020
CapBnd:0000000000000021
CapAmb:0000000000000020
NoNewPrivs:1
Seccomp:2
forward=1 secret=[] full=[] dev=fd,null,pts,zero,
fds=/proc/self/fd/0 /proc/self/fd/1 /proc/self/fd/2 /proc/self/fd/3
passwd=3 lo=1`)
	got := lines(o.stdout)
	for i := range max(len(got), len(want)) {
		var g, w string
		if i < len(got) {
			g = got[i]
		}
		if i < len(want) {
			w = want[i]
		}
		if g != w {
			t.Errorf("line %d:\ngot  %s\nwant %s", i+1, g, w)
		}
	}
}

// A failing op ends the init with one record that names it.
func TestInitReportsTheFailingOp(t *testing.T) {
	at := 0
	p := containerPlan(busyboxRoot(t), "true", func(p *plan.Plan) {
		at = len(p.Ops)
		p.Add(plan.MountFs(plan.Mount{Field: "mounts[5]", Type: "nosuchfs", Source: "none", At: "/mnt", Flags: plan.FlagMakeDir}))
	})
	o := runPlan(t, p.Encode())
	switch {
	case o.report == nil:
		t.Fatalf("no report: %v\n%s", o.err, o.stderr)
	case int(o.report.Op) != at || o.report.Errno != syscall.ENODEV || plan.Step(o.report.Step).String() != "fsopen" || o.report.Kind != initproto.Failed:
		t.Errorf("report %+v (step %s), want op %d, fsopen, ENODEV", *o.report, plan.Step(o.report.Step), at)
	}
}

// A plan that the reader refuses is refused before the first op has run.
func TestInitRefusesABadPlan(t *testing.T) {
	wire := smallPlan().Encode()
	binary.LittleEndian.PutUint64(wire[8:], plan.ABI()+1)
	o := runPlan(t, wire)
	if o.report == nil || o.report.Kind != initproto.Failed || !strings.Contains(o.report.Detail, "plan refused by check 3") {
		t.Errorf("report %+v, want a refusal by check 3 (%v)\n%s", o.report, o.err, o.stderr)
	}
}
