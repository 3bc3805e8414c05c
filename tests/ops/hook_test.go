package ops

import (
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/plan"
)

// sh is a hook that runs a shell script.
func sh(script string, timeout int, env ...string) plan.Op {
	return plan.HookRun("f", 0, "/bin/sh", []string{"hook", "-c", script}, env, timeout, `{"pid":`, `}`)
}

func hookRunEffect(t *testing.T) {
	out := t.TempDir() + "/"
	b := newBox(t)
	b.flags = unix.CLONE_NEWPID
	b.add(plan.FdSeal(3), sh("cat >"+out+"state; echo $A-$B >"+out+"env; echo $0 >"+out+"arg; ls /proc/self/fd >"+out+"fds; exit 0",
		0, "A=1", "B=two words", "PATH=/bin:/usr/bin")).look()
	for name, want := range map[string]string{"state": `{"pid":1}`, "env": "1-two words", "arg": "hook", "fds": "0\n1\n2\n3"} {
		got, err := os.ReadFile(out + name)
		if err != nil || strings.TrimSpace(string(got)) != want {
			t.Errorf("%s is %q, %v, want %q", name, got, err, want)
		}
	}
}

// The state is there for every hook, though nothing may be written any more.
func hookStateEffect(t *testing.T) {
	read := func() plan.Op {
		op := sh(`read state && [ "$state" = '{"pid":1}' ] || { echo "read $state"; exit 9; }`, 0)
		op.Flags |= plan.FlagPrepared
		return op
	}
	b := newBox(t)
	b.flags = unix.CLONE_NEWPID
	b.add(plan.HookState("f", `{"pid":`, "}\n"), plan.Rlimit("f", "RLIMIT_FSIZE", unix.RLIMIT_FSIZE, 0, 0))
	b.add(plan.Outlive(), read(), read()).look()
}

func hookStateFailure(t *testing.T) {
	newBox(t).inject(unix.SYS_MEMFD_CREATE, unix.ENFILE).add(plan.HookState("f", "{", "}")).fails("memfd_create", unix.ENFILE, "")
}

func hookRunFailure(t *testing.T) {
	for _, c := range []struct {
		script, detail string
	}{
		{"exit 3", "exit status 3"},
		{"echo one; echo two >&2; exit 4", "exit status 4: one\ntwo"},
		{"kill -9 $$", "killed by signal 9"},
		{"i=0; while [ $i -lt 500 ]; do echo line $i; i=$((i+1)); done; echo the end; exit 1", "line 499\nthe end"},
	} {
		newBox(t).add(sh(c.script, 0)).fails("hook", unix.ECANCELED, c.detail)
	}
	root := tree(t, "text = x")
	if err := os.Chmod(root+"/text", 0o755); err != nil {
		t.Fatal(err)
	}
	for path, errno := range map[string]unix.Errno{"/none/at/all": unix.ENOENT, "/etc": unix.EACCES, "/etc/passwd": unix.EACCES, root + "/text": unix.ENOEXEC} {
		newBox(t).add(plan.HookRun("f", 0, path, []string{"x"}, nil, 0, "{", "}")).fails("execve", errno, "")
	}
	newBox(t).inject(unix.SYS_MEMFD_CREATE, unix.ENOMEM).add(sh("true", 0)).fails("memfd_create", unix.ENOMEM, "")
	newBox(t).inject(unix.SYS_CLONE3, unix.EAGAIN).add(sh("true", 0)).fails("clone", unix.EAGAIN, "")
}

// The init works with umask 0; what a hook makes must not be everybody's.
func TestHookUmask(t *testing.T) {
	dir := t.TempDir()
	newBox(t).add(sh("echo >"+dir+"/before", 0), plan.Identity("f", 0, 0, 0o057, nil, 0), sh("echo >"+dir+"/after", 0)).look()
	equal(t, "mode before identity", stat(t, dir+"/before").Mode, unix.S_IFREG|0o644)
	equal(t, "mode after identity", stat(t, dir+"/after").Mode, unix.S_IFREG|0o620)
}

// Preserved descriptors are the program's.
func TestHookDescriptors(t *testing.T) {
	out := t.TempDir() + "/fds"
	newBox(t).leaky().add(plan.FdSeal(6), sh("ls /proc/self/fd >"+out, 0, "PATH=/bin:/usr/bin")).look()
	got, err := os.ReadFile(out)
	if err != nil || strings.TrimSpace(string(got)) != "0\n1\n2\n3" { // 3 is the directory that ls reads
		t.Errorf("descriptors %q, %v", got, err)
	}
}

// The usual profiles answer clone3 with ENOSYS.
func TestHookWithoutClone3(t *testing.T) {
	newBox(t).inject(unix.SYS_CLONE3, unix.ENOSYS).add(sh("exit 0", 0)).look()
	newBox(t).inject(unix.SYS_CLONE3, unix.ENOSYS).add(sh("exit 6", 0)).fails("hook", unix.ECANCELED, "exit status 6")
}

// The timeout kills the hook and what it has started.
func TestHookTimeout(t *testing.T) {
	out := t.TempDir() + "/pid"
	begin := time.Now()
	newBox(t).add(sh("sleep 600 & echo $! >"+out+"; echo started; wait", 3, "PATH=/bin:/usr/bin")).fails("timeout", unix.ETIMEDOUT, "killed after 3 s: started")
	if d := time.Since(begin); d < 3*time.Second || d > 20*time.Second {
		t.Errorf("took %v", d)
	}
	text, err := os.ReadFile(out)
	if err != nil {
		t.Fatal(err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(patience); ; {
		state, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
		if err != nil || strings.Contains(string(state), ") Z ") {
			break
		}
		if time.Now().After(deadline) {
			t.Fatalf("the hook's child %d lives: %s", pid, state)
		}
		time.Sleep(time.Millisecond)
	}
}

// A hook that leaves a writer behind must not hold the container for ever.
func TestHookWithANoisyChild(t *testing.T) {
	b := newBox(t)
	b.flags = unix.CLONE_NEWPID // takes the child with it
	b.add(sh("(while :; do echo noise; done) & exit 0", 0, "PATH=/bin:/usr/bin")).look()
	b = newBox(t)
	b.flags = unix.CLONE_NEWPID
	b.add(sh("(while :; do echo noise; done) & exit 5", 0, "PATH=/bin:/usr/bin")).fails("hook", unix.ECANCELED, "exit status 5")
}

// A state of 1 MB: read whole by one hook, and by another not at all.
func TestHookBigState(t *testing.T) {
	if _, err := exec.LookPath("wc"); err != nil {
		t.Fatal(err)
	}
	out := t.TempDir() + "/count"
	big := strings.Repeat("x", 1<<20)
	newBox(t).add(plan.HookRun("f", 0, "/bin/sh", []string{"sh", "-c", "wc -c >" + out}, []string{"PATH=/bin:/usr/bin"}, 0, big, big),
		plan.HookRun("f", 1, "/bin/true", []string{"true"}, nil, 0, big, big)).look()
	got, err := os.ReadFile(out)
	if n, _ := strconv.Atoi(strings.TrimSpace(string(got))); err != nil || n <= 2<<20 || n > 2<<20+10 {
		t.Errorf("the hook read %q bytes, %v", got, err)
	}
}

// The lists of hooks and of the program lie in the same room; the program's
// must be its own.
func TestHookAndProgramListsDoNotMix(t *testing.T) {
	b := newBox(t).add(plan.Env("f", []string{probeEnv + "=1", "MINE=yes"}), plan.ExecFind("f", self(t), ""),
		plan.HookRun("f", 0, "/bin/true", []string{"a", "b", "c", "d", "e", "f"}, []string{"H1=1", "H2=2", "H3=3", "H4=4"}, 0, "{", "}"),
		plan.FdClose(3), plan.Exec("f", []string{"probe", "arg"}))
	p := b.ran()
	equal(t, "environment", strings.Join(p.Env, " "), probeEnv+"=1 MINE=yes")
	equal(t, "arguments", strings.Join(p.Args, " "), "probe arg")
	b = newBox(t).in(tree(t, "etc/", "etc/passwd = a:x:0:0::/the/home:/x\n")).add(plan.HomeFind("f", 0), plan.Env("f", []string{probeEnv + "=1", "MINE=yes"}), plan.ExecFind("f", self(t), ""),
		plan.HookRun("f", 0, "/bin/true", []string{"a"}, nil, 0, "{", "}"), plan.FdClose(3), plan.Exec("f", []string{"probe", "arg"}))
	equal(t, "environment", strings.Join(b.ran().Env, " "), probeEnv+"=1 MINE=yes HOME=/the/home")
}
