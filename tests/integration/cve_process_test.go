package integration

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// The tests of these files each stage the attack of one vulnerability of the past.
// docs/security.md has the whole table.

// TestCVE2016_3697: an image whose passwd file has a user with a number for a name
// gives nobody that user's id.
func TestCVE2016_3697(t *testing.T) {
	b := newBox(t)
	b.put("etc/passwd", "1000:x:0:0:root:/root:/bin/sh\nroot:x:0:0:root:/root:/bin/sh\n", 0o644)
	b.put("etc/group", "1000:x:0:\n", 0o644)
	b.spec.Process.User = specs.User{UID: 1000, GID: 1000, AdditionalGids: []uint32{1000}}
	r := b.probe()
	expectList(t, "uids", r.UID, []uint32{1000, 1000, 1000})
	expectList(t, "gids", r.GID, []uint32{1000, 1000, 1000})
	expectList(t, "groups", r.Groups, []uint32{1000})
	expect(t, "HOME", slices.Contains(r.Env, "HOME=/root"), false)
}

// TestCVE2026_46680 (and CVE-2026-30892): an id is a whole 32-bit number or an error;
// nothing is cut off, wrapped around, or read by half.
func TestCVE2026_46680(t *testing.T) {
	b := newBox(t, prober("quiet"))
	b.spec.Process.User = specs.User{UID: 4711, GID: 4712, AdditionalGids: []uint32{4713}}
	for _, id := range []string{"4294967296", "4294967295", "18446744073709551616", "-1", "1e3", "1.5", `"0"`, `"1000"`, `"1 "`, "0x10", "010", "1x", "true", "{}", "[0]"} {
		for field, number := range map[string]string{"uid": "4711", "gid": "4712", "additionalGids": "4713"} {
			b.patch = func(config string) string {
				out := strings.Replace(config, number, id, 1)
				if out == config {
					t.Fatal("the config does not have the number")
				}
				return out
			}
			if r := b.createFails(); isTare && !strings.Contains(r.Stderr, "process.user."+field) && !strings.Contains(r.Stderr, "syntax") && !strings.Contains(r.Stderr, "JSON") {
				t.Errorf("%s %s: %s", field, id, r.Stderr)
			}
		}
	}
}

// TestCVE2016_9962: a process of a pid namespace that the container joins looks into
// the runtime's process there, with the same ids and capabilities: it sees nothing.
// Once the program runs, it sees what is the container's own.
func TestCVE2016_9962(t *testing.T) {
	a := newBox(t)
	h := hold(a, unix.CLONE_NEWPID)
	join := withNamespace(specs.PIDNamespace, h.path(specs.PIDNamespace))
	victim := newBox(t, prober("pause"), join)
	r := victim.create()
	inside := regexp.MustCompile(`NSpid:\t\d+\t(\d+)`).FindStringSubmatch(readText(t, procPath(victim.pid, "status")))
	if inside == nil {
		t.Fatal("the container is not in the pid namespace")
	}
	look := func() *report {
		attacker := newBox(t, join)
		dir := "/proc/" + inside[1]
		return attacker.probe("ls:"+dir+"/fd", "ls:"+dir+"/map_files", "read:"+dir+"/environ", "read:"+dir+"/maps", "stat:"+dir+"/exe", "ls:"+dir+"/root",
			"write:"+dir+"/mem=x", "ls:"+dir+"/ns")
	}
	waiting := look()
	for _, op := range []string{"ls:/proc/" + inside[1] + "/fd", "ls:/proc/" + inside[1] + "/root", "ls:/proc/" + inside[1] + "/map_files"} {
		for _, f := range waiting.result(op).Files { // the names of descriptors can be listed, no more
			if f.Link == "unreadable" {
				continue
			}
			t.Errorf("%s of the waiting runtime shows %s %s", op, f.Name, f.Link)
		}
	}
	for _, name := range []string{"environ", "mem=x"} {
		op := map[string]string{"environ": "read:", "mem=x": "write:"}[name] + "/proc/" + inside[1] + "/" + name
		if err := waiting.result(op).Err; err == 0 {
			t.Errorf("%s: the waiting runtime can be reached", op)
		}
	}
	victim.start()
	victim.output(r)
	if !slices.ContainsFunc(look().result("ls:/proc/"+inside[1]+"/fd").Files, func(f fileInfo) bool { return f.Link != "unreadable" }) {
		t.Error("the attack does not even work on the program: it proves nothing")
	}
	victim.kill("KILL")
	victim.remove()
}

// TestCVE2019_5736: whatever in the container the host's runtime could execute again
// through /proc/self/exe, the runtime's file stays as it is.
func TestCVE2019_5736(t *testing.T) {
	before := hashOf(t, binary)
	for name, script := range map[string]string{"self": "#!/proc/self/exe\n", "argument": "#!/proc/self/exe 3\n", "init": "#!/proc/1/exe\n"} {
		b := newBox(t, args("/evil"))
		b.put("evil", script, 0o755)
		r := b.run()
		if r.Code == 0 || strings.Contains(r.Stdout+r.Stderr, "USAGE") {
			t.Errorf("%s: exit code %d: the runtime ran again in the container:\n%s%s", name, r.Code, r.Stdout, r.Stderr)
		}
		b.nothingLeft()
	}
	// The attacker keeps what the runtime's process executes open for reading, waits
	// until nobody executes it, and opens it again for writing. With an ordinary file
	// that works, as the same attack on a copy shows.
	b := newBox(t, prober("pause"))
	b.create()
	opened := openExe(t, b.pid)
	copied := b.dir + "/copy"
	data, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", opened))
	b.must(err)
	b.must(os.WriteFile(copied, data, 0o755))
	b.start()
	b.kill("KILL")
	b.remove()
	if err := overwrite(opened); err == nil {
		t.Error("what the runtime executes in the container can be written")
	}
	if after, err := os.ReadFile(fmt.Sprintf("/proc/self/fd/%d", opened)); err != nil || !bytes.Equal(after, data) {
		t.Errorf("what the runtime executes in the container has changed: %v", err)
	}
	cmd := exec.Command(copied, "hold") // waits for its stdin's end
	stdin, err := cmd.StdinPipe()
	b.must(err)
	b.must(cmd.Start())
	weak := openExe(t, cmd.Process.Pid)
	stdin.Close()
	_ = cmd.Wait()
	if err := overwrite(weak); err != nil && isTare {
		t.Errorf("the attack does not work on an ordinary file: it proves nothing: %v", err)
	}
	if hashOf(t, binary) != before {
		t.Error("the runtime's file has changed")
	}
}

func hashOf(t *testing.T, path string) [32]byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return sha256.Sum256(data)
}

func openExe(t *testing.T, pid int) int {
	t.Helper()
	fd, err := unix.Open(procPath(pid, "exe"), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { unix.Close(fd) })
	return fd
}

// overwrite opens what a descriptor is open at for writing, and writes.
func overwrite(fd int) error {
	path := fmt.Sprintf("/proc/self/fd/%d", fd)
	w, err := unix.Open(path, unix.O_WRONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return err
	}
	defer unix.Close(w)
	_, err = unix.Pwrite(w, []byte("#!/bin/sh\n"), 0)
	return errors.Join(err, unix.Ftruncate(w, 4))
}

// TestCVE2024_21626: the image leads the working directory to descriptors that the
// runtime, or a careless caller of it, has open on the host.
func TestCVE2024_21626(t *testing.T) {
	host, err := os.Open("/")
	if err != nil {
		t.Fatal(err)
	}
	defer host.Close()
	for fd := 3; fd < 32; fd++ {
		b := newBox(t)
		b.must(os.Symlink(fmt.Sprintf("/proc/self/fd/%d", fd), b.rootfs+"/link"))
		marker := strings.TrimPrefix(b.dir, "/") + "/io"
		b.edit(prober("stat:"+marker, "stat:../../../../../../"+marker))
		b.spec.Process.Cwd = "/link"
		b.writeConfig()
		cmd, done := b.command("run", "--bundle", b.bundle, b.id)
		for range 8 { // not close-on-exec: the caller's mistake
			cmd.ExtraFiles = append(cmd.ExtraFiles, host)
		}
		_ = cmd.Run()
		r := done()
		if r.Code == 0 {
			rep := b.parse(r.Stdout)
			for _, res := range rep.Results {
				if res.Err == 0 {
					t.Errorf("descriptor %d: the host is seen by %s from %q", fd, res.Op, rep.Cwd)
				}
			}
		} else if isTare {
			b.mustSay(r, "run", "process.cwd")
		}
		b.nothingLeft()
	}
}

// TestCVE2021_43784: lengths around 2^16, and far above, arrive as they are; no field
// spills into the next.
func TestCVE2021_43784(t *testing.T) {
	for _, n := range []int{1<<16 - 2, 1<<16 - 1, 1 << 16, 1<<16 + 1, 120000} {
		b := newBox(t)
		long := strings.Repeat("x", n-len("LONG="))
		b.spec.Process.Env = append(b.spec.Process.Env, "LONG="+long, "AFTER=1")
		b.spec.Annotations = map[string]string{"org.example.long": strings.Repeat("a", n), strings.Repeat("k", n): "v"}
		b.spec.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/true", Args: []string{"true", long}, Env: []string{"LONG=" + long}}}}
		r := b.probe()
		if !slices.Contains(r.Env, "LONG="+long) || !slices.Contains(r.Env, "AFTER=1") {
			t.Errorf("%d bytes: the environment is not as in the config", n)
		}
		for _, ns := range []string{"pid", "net", "ipc", "uts", "mnt"} {
			if host, _ := os.Readlink("/proc/self/ns/" + ns); host == r.Namespaces[ns] {
				t.Errorf("%d bytes: namespace %s is the host's", n, ns)
			}
		}
	}
	// More than 64 KiB of id maps and mounts: each is there.
	b := newBox(t)
	withNamespace(specs.UserNamespace, "")(b.spec)
	for i := range uint32(300) {
		m := specs.LinuxIDMapping{ContainerID: i, HostID: 200000 + 2*i, Size: 1}
		b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = append(b.spec.Linux.UIDMappings, m), append(b.spec.Linux.GIDMappings, m)
	}
	b.own(200000)
	dir := "/work/" + strings.Repeat("d", 200) + "/" + strings.Repeat("e", 200)
	for i := range 200 {
		b.edit(mount(fmt.Sprintf("%s/%d", dir, i), "tmpfs", "tmpfs", "mode=700"))
	}
	b.allow = []string{"work"}
	r := b.probe()
	expect(t, "lines of the id map", strings.Count(r.UIDMap, "\n"), 300)
	for i := range 200 {
		expect(t, "a file system", r.mount(fmt.Sprintf("%s/%d", dir, i)).fstype, "tmpfs")
	}
}

// TestCVE2022_29162 (and CVE-2022-27650, CVE-2025-27612): no capability is inheritable
// or ambient because another set has it.
func TestCVE2022_29162(t *testing.T) {
	all := []string{"CAP_CHOWN", "CAP_KILL", "CAP_SYS_ADMIN"}
	for _, uid := range []uint32{0, 1000} {
		b := newBox(t)
		b.spec.Process.User.UID = uid
		b.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: all, Permitted: all, Effective: all}
		r := b.probe()
		expect(t, "inheritable capabilities of uid "+strconv.Itoa(int(uid)), r.Caps.Inheritable, capMask())
		expect(t, "ambient capabilities of uid "+strconv.Itoa(int(uid)), r.Caps.Ambient, capMask())
	}
}

// TestHookWithBadEnv: a variable without a name, or one that hides another behind a
// NUL, reaches no hook.
func TestHookWithBadEnv(t *testing.T) {
	if !isTare {
		t.Skip("runc hands such variables on")
	}
	for _, env := range [][]string{{"NAMELESS"}, {"=x"}, {"A=1\x00LD_PRELOAD=/evil.so"}, {""}} {
		for _, kind := range []func(*specs.Hooks, []specs.Hook){
			func(h *specs.Hooks, l []specs.Hook) { h.CreateRuntime = l }, func(h *specs.Hooks, l []specs.Hook) { h.CreateContainer = l },
			func(h *specs.Hooks, l []specs.Hook) { h.StartContainer = l }, func(h *specs.Hooks, l []specs.Hook) { h.Poststop = l },
		} {
			b := newBox(t, prober("quiet"))
			ran := filepath.Join(b.dir, "ran")
			b.spec.Hooks = &specs.Hooks{}
			kind(b.spec.Hooks, []specs.Hook{{Path: "/bin/touch", Args: []string{"touch", ran}, Env: env}})
			b.createFails("hooks.", "env[0]")
			if _, err := os.Stat(ran); err == nil {
				t.Errorf("a hook with the environment %q has run", env)
			}
		}
	}
}
