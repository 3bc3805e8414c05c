package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The command lines of the engines, word by word as they send them, and what they
// read of the answer. Every call that succeeds says nothing on stderr: some engines
// read both streams as one.

// containerdGlobals are what its shim puts before every command.
func (b *box) containerdGlobals() []string {
	return []string{"--log", b.dir + "/io/log.json", "--log-format", "json", "--rootless=false"}
}

// keysOf lists the members of a JSON object in their order.
func keysOf(t *testing.T, text string) (keys []string) {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	depth, key := 0, true
	for {
		tok, err := d.Token()
		if err != nil {
			return keys
		}
		switch v := tok.(type) {
		case json.Delim:
			if v == '{' || v == '[' {
				depth++
			} else {
				depth--
			}
			key = true
			continue
		case string:
			if depth == 1 && key {
				keys = append(keys, v)
			}
		}
		if depth == 1 {
			key = !key
		}
	}
}

// TestContractContainerd: the shim's calls, from create to delete (go-runc).
func TestContractContainerd(t *testing.T) {
	b := newBox(t, prober("quiet", "signals:1"))
	b.global = b.containerdGlobals()
	b.writeConfig()
	pidFile := b.dir + "/io/init.pid"
	r := b.ok("create", "--bundle", b.bundle, "--pid-file", pidFile, "--no-new-keyring", b.id)
	text := readText(t, pidFile)
	if !regexp.MustCompile(`^[1-9][0-9]*$`).MatchString(text) {
		t.Errorf("pid file %q", text)
	}
	b.pid, _ = strconv.Atoi(text)
	b.reaped = false
	// The shim reads the cgroup at once, and reaps: its own child.
	if own := readText(t, procPath(b.pid, "cgroup")); !strings.Contains(own, b.id) {
		t.Errorf("cgroup after create:\n%s", own)
	}
	if stat := strings.Fields(readText(t, procPath(b.pid, "stat"))); stat[3] != strconv.Itoa(os.Getpid()) {
		t.Errorf("the init's parent is %s, the sub-reaper is %d", stat[3], os.Getpid())
	}
	expectList(t, "members of state", keysOf(t, b.combined("state", b.id)), []string{"ociVersion", "id", "pid", "status", "bundle", "rootfs", "created", "owner"})
	b.ok("start", b.id)
	b.until("the program to take signals", func() bool { return strings.Contains(readText(t, r.outFile), "ready") })
	var pids []int
	b.must(json.Unmarshal([]byte(b.combined("ps", "--format", "json", b.id)), &pids))
	if len(pids) != 1 || pids[0] != b.pid {
		t.Errorf("ps: %v, want %d", pids, b.pid)
	}
	process := b.dir + "/io/process.json"
	b.must(os.WriteFile(process, []byte(`{"args":["/prober","quiet","exit:6"],"cwd":"/","env":["PATH=/"],"user":{"uid":0,"gid":0}}`), 0o600))
	execPid := b.dir + "/io/exec.pid"
	b.ok("exec", "--process", process, "--detach", "--pid-file", execPid, b.id)
	pid, err := strconv.Atoi(readText(t, execPid))
	b.must(err)
	var ws unix.WaitStatus
	for { // it is a child of the sub-reaper, not of a helper
		_, err = unix.Wait4(pid, &ws, 0, nil)
		if err != unix.EINTR {
			break
		}
	}
	b.must(err)
	expect(t, "exit code of exec", ws.ExitStatus(), 6)
	var event struct{ Type, ID string }
	b.must(json.Unmarshal([]byte(b.ok("events", "--stats", b.id).Stdout), &event))
	expect(t, "event", event.Type+" "+event.ID, "stats "+b.id)
	b.ok("pause", b.id)
	expect(t, "status", b.status(), "paused")
	b.ok("resume", b.id)
	cmd, done := b.command("update", "--resources=-", b.id)
	cmd.Stdin = strings.NewReader(`{"pids":{"limit":77}}`)
	_ = cmd.Run()
	expect(t, "stderr of update", done().Stderr, "")
	expect(t, "pids limit", b.limit("pids", "pids.max"), "77")
	b.ok("kill", b.id, "10")
	expect(t, "exit code", b.wait(), 0)
	if got := readText(t, r.outFile); !strings.HasSuffix(got, ",10\n") {
		t.Errorf("the program got %q", got)
	}
	expect(t, "status", b.status(), "stopped")
	b.ok("kill", "--all", b.id, "9")
	b.ok("delete", "--force", b.id)
	b.ok("delete", "--force", b.id) // once more, of nothing
	r = b.call("delete", b.id)
	if !strings.Contains(r.Stderr, "does not exist") {
		t.Errorf("delete of nothing: %s", r.Stderr)
	}
	var list any
	b.must(json.Unmarshal([]byte(b.ok("list", "--format=json").Stdout), &list))
	expect(t, "list of nothing", list, nil)
}

// combined is a call's two streams as one, as go-runc reads it.
func (b *box) combined(args ...string) string {
	b.t.Helper()
	r := b.ok(args...)
	return r.Stdout + r.Stderr
}

// TestContractQuestions: what is asked without a container, without a root, and
// without anything in the environment.
func TestContractQuestions(t *testing.T) {
	b := newBox(t)
	b.noRoot, b.env = true, []string{}
	features := b.combined("features")
	var f map[string]any
	b.must(json.Unmarshal([]byte(features), &f))
	expectList(t, "members of features", keysOf(t, features), []string{"ociVersionMin", "ociVersionMax", "hooks", "mountOptions", "linux", "annotations", "potentiallyUnsafeConfigAnnotations"})
	if !strings.HasPrefix(features, "{\n    \"ociVersionMin\": \"1.0.0\",\n    \"ociVersionMax\": ") {
		t.Errorf("features begins with %.80q", features)
	}
	linux, _ := f["linux"].(map[string]any)
	for path, want := range map[string]string{"mountExtensions": `{"idmap":{"enabled":true}}`, "netDevices": `{"enabled":true}`} {
		if got, _ := json.Marshal(linux[path]); string(got) != want {
			t.Errorf("linux.%s is %s", path, got)
		}
	}
	for _, name := range []string{"namespaces", "capabilities", "cgroup", "seccomp", "apparmor", "selinux", "intelRdt", "memoryPolicy"} {
		if linux[name] == nil {
			t.Errorf("features has no linux.%s", name)
		}
	}
	annotations, _ := f["annotations"].(map[string]any)
	expect(t, "checkpoints", annotations["org.opencontainers.runc.checkpoint.enabled"], any("true"))
	unsafe, _ := json.Marshal(f["potentiallyUnsafeConfigAnnotations"])
	for _, name := range []string{"bundle", "org.systemd.property.", "org.criu.config"} {
		if !strings.Contains(string(unsafe), `"`+name+`"`) {
			t.Errorf("%s is not among the annotations that may be unsafe: %s", name, unsafe)
		}
	}
	version := strings.Split(b.combined("--version"), "\n")
	for i, form := range []string{`^tare version \d+\.\d+\.\d+`, `^commit: \S+$`, `^spec: \d+\.\d+\.\d+`} {
		if i >= len(version) || !regexp.MustCompile(form).MatchString(version[i]) {
			t.Errorf("line %d of --version is not %s: %q", i, form, version)
		}
	}
	// How podman asks for checkpoints.
	b.ok("checkpoint", "--help")
	if r := b.call("restore", "--lsm-mount-context"); !strings.Contains(r.Stderr, "flag needs an argument") {
		t.Errorf("restore --lsm-mount-context: %s", r.Stderr)
	}
}

// TestContractConmon: create and exec as conmon calls them, and podman's and CRI-O's
// own calls.
func TestContractConmon(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.env = []string{"XDG_RUNTIME_DIR=" + b.dir, "PATH=/usr/bin:/bin"}
	b.global = []string{"--log-format=json", "--log", b.dir + "/io/oci-log"}
	b.writeConfig()
	pidFile := b.dir + "/io/pidfile"
	b.ok("create", "--bundle", b.bundle, "--pid-file", pidFile, "--no-pivot", "--no-new-keyring", b.id)
	b.pid, _ = strconv.Atoi(readText(t, pidFile))
	b.reaped = false
	b.ok("start", b.id)
	process := b.dir + "/io/exec.json"
	b.must(os.WriteFile(process, []byte(`{"args":["/prober","quiet","exit:0"],"cwd":"/"}`), 0o600))
	execPid := b.dir + "/io/exec-pid"
	b.ok("exec", "--pid-file", execPid, "--process", process, "--detach", b.id)
	pid, _ := strconv.Atoi(readText(t, execPid))
	_, err := unix.Wait4(pid, nil, 0, nil)
	b.must(err)
	// CRI-O's ExecSync and its probe of the state.
	if r := b.call("exec", "--process", process, b.id); r.Code != 0 || r.Stderr != "" {
		t.Errorf("exec in the foreground: %+v", r)
	}
	// podman's update, and CRI-O's.
	resources := b.dir + "/io/resources.json"
	b.must(os.WriteFile(resources, []byte(`{"pids":{"limit":55}}`), 0o600))
	b.ok("update", "--resources="+resources, b.id)
	expect(t, "pids limit", b.limit("pids", "pids.max"), "55")
	cmd, done := b.command("update", "--resources", "-", b.id)
	cmd.Stdin = strings.NewReader(`{"pids":{"limit":66}}`)
	_ = cmd.Run()
	expect(t, "stderr of update", done().Stderr, "")
	expect(t, "pids limit", b.limit("pids", "pids.max"), "66")
	b.ok("update", b.id, "--pids-limit", "88") // flags behind the id, as scripts have them
	expect(t, "pids limit", b.limit("pids", "pids.max"), "88")
	b.ok("pause", b.id)
	b.ok("resume", b.id)
	b.ok("kill", b.id, "KILL") // CRI-O, by name
	b.wait()
	// CRI-O takes one of these for "it is gone".
	if r := b.call("kill", b.id, "15"); r.Code == 0 || !strings.Contains(r.Stderr, "container not running") {
		t.Errorf("kill of one that has stopped: %+v", r)
	}
	b.ok("kill", "--all", b.id, "9") // podman
	b.ok("delete", "--force", b.id)
	// All failures together are two records: podman decodes the file after the first.
	text := readText(t, b.dir+"/io/oci-log")
	expect(t, "records", strings.Count(text, "\n"), 1)
}

// TestContractBuildah: buildah polls state, and waits for the process itself; buildkit
// waits for the pid file of a run in the foreground.
func TestContractBuildah(t *testing.T) {
	b := newBox(t, prober("quiet", "wait:/work/end", "exit:9"))
	b.allow = []string{"work/end"}
	b.writeConfig()
	pidFile := filepath.Join(b.dir, "io", "pid")
	cmd, done := b.command("run", "--bundle", b.bundle, "--pid-file", pidFile, "--keep", b.id)
	b.must(cmd.Start())
	b.until("the pid file", func() bool { _, err := os.Stat(pidFile); return err == nil })
	b.until("the state running", func() bool {
		r := b.call("state", b.id)
		switch {
		case r.Code != 0:
			t.Fatalf("state: %s", r.Stderr)
		case strings.Contains(r.Stdout, `"status": "running"`):
			return true
		case !strings.Contains(r.Stdout, `"status": "created"`):
			t.Fatalf("state: %s", r.Stdout)
		}
		time.Sleep(time.Millisecond)
		return false
	})
	b.must(os.WriteFile(b.rootfs+"/work/end", nil, 0o644))
	_ = cmd.Wait()
	r := done()
	expect(t, "exit code", r.Code, 9)
	expect(t, "stderr", r.Stderr, "")
	expect(t, "status of what is kept", b.status(), "stopped")
	b.ok("delete", b.id)
	if _, err := os.Stat(b.root + "/" + b.id); !os.IsNotExist(err) {
		t.Errorf("the state is left: %v", err)
	}
}
