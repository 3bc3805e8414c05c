package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestLifecycle leads one container through its whole life.
func TestLifecycle(t *testing.T) {
	b := newBox(t, prober("pause"))
	r := b.create()
	if r.Stdout != "" {
		t.Errorf("create printed %q", r.Stdout)
	}
	expect(t, "status after create", b.status(), "created")
	b.start()
	b.output(r)
	expect(t, "status after start", b.status(), "running")
	expect(t, "exit code after SIGKILL", b.kill("KILL"), 128+9)
	expect(t, "status after SIGKILL", b.status(), "stopped")
	b.remove()
	b.nothingLeft()
	b.refused([]string{"container does not exist"}, "state", b.id)
}

// TestStatusTable tries every command in every status.
func TestStatusTable(t *testing.T) {
	reach := map[string]func(b *box){
		"missing": func(b *box) {},
		"created": func(b *box) { b.create() },
		"running": func(b *box) { r := b.create(); b.start(); b.output(r) },
		"stopped": func(b *box) { r := b.create(); b.start(); b.output(r); b.kill("KILL") },
		"paused":  func(b *box) { r := b.create(); b.start(); b.output(r); b.ok("pause", b.id) },
		"held":    func(b *box) { b.create(); b.ok("pause", b.id) }, // paused before it was started
	}
	for _, row := range []struct {
		status, command string
		refusal         string // "" when it has to succeed
		after           string // the status after it
	}{
		{"missing", "start", "container does not exist", ""},
		{"missing", "state", "container does not exist", ""},
		{"missing", "kill", "container does not exist", ""},
		{"missing", "delete", "container does not exist", ""},
		{"missing", "delete --force", "", ""},
		{"missing", "ps", "container does not exist", ""},
		{"created", "create", "container with given ID already exists", "created"},
		{"created", "start", "", "running"},
		{"created", "state", "", "created"},
		{"created", "kill", "", "stopped"},
		{"created", "delete", "", "missing"},
		{"created", "delete --force", "", "missing"},
		{"running", "create", "container with given ID already exists", "running"},
		{"running", "start", "cannot start an already running container", "running"},
		{"running", "state", "", "running"},
		{"running", "kill", "", "stopped"},
		{"running", "delete", "that is not stopped: running", "running"},
		{"running", "delete --force", "", "missing"},
		{"stopped", "create", "container with given ID already exists", "stopped"},
		{"stopped", "start", "cannot start a container that has stopped", "stopped"},
		{"stopped", "state", "", "stopped"},
		{"stopped", "kill", "container not running", "stopped"},
		{"missing", "pause", "container does not exist", ""},
		{"missing", "resume", "container does not exist", ""},
		{"missing", "update", "container does not exist", ""},
		{"missing", "events --stats", "container does not exist", ""},
		{"created", "pause", "", "paused"},
		{"created", "resume", "container not paused", "created"},
		{"created", "update", "", "created"},
		{"created", "events --stats", "", "created"},
		{"running", "pause", "", "paused"},
		{"running", "resume", "container not paused", "running"},
		{"running", "update", "", "running"},
		{"running", "events --stats", "", "running"},
		{"paused", "start", "cannot start a container in the paused state", "paused"},
		{"paused", "pause", "container not running", "paused"},
		{"paused", "resume", "", "running"},
		{"paused", "update", "", "paused"},
		{"paused", "events --stats", "", "paused"},
		{"paused", "kill", "", "stopped"},
		{"paused", "delete", "that is not stopped: paused", "paused"},
		{"paused", "delete --force", "", "missing"},
		{"held", "start", "cannot start a container in the paused state", "paused"},
		{"held", "pause", "container not running", "paused"},
		{"held", "resume", "", "created"},
		{"held", "kill", "", "stopped"},
		{"held", "delete", "that is not stopped: paused", "paused"},
		{"held", "delete --force", "", "missing"},
		{"stopped", "pause", "container not running", "stopped"},
		{"stopped", "resume", "container not paused", "stopped"},
		{"stopped", "update", "container not running", "stopped"},
		{"stopped", "events --stats", "is not running", "stopped"},
		{"stopped", "delete", "", "missing"},
		{"stopped", "delete --force", "", "missing"},
	} {
		t.Run(strings.ReplaceAll(row.status+" "+row.command, " ", "_"), func(t *testing.T) {
			b := newBox(t, prober("pause"))
			reach[row.status](b)
			args := append(strings.Fields(row.command), b.id)
			switch row.command {
			case "create":
				args = []string{"create", "--bundle", b.bundle, b.id}
			case "kill":
				args = append(args, "KILL")
			}
			if row.refusal != "" {
				b.refused([]string{row.refusal}, args...)
			} else {
				b.ok(args...)
			}
			switch row.after {
			case "missing":
				b.refused([]string{"does not exist"}, "state", b.id)
				b.reap()
				b.nothingLeft()
			case "":
			case "stopped":
				b.until("the end of the process", func() bool { return b.status() == "stopped" })
			default:
				expect(t, "status after "+row.command, b.status(), row.after)
			}
		})
	}
}

func TestInvalidID(t *testing.T) {
	b := newBox(t)
	b.writeConfig()
	for id, word := range map[string]string{
		"a/b": "invalid container ID format", "..": "invalid container ID format", ".": "invalid container ID format",
		"": "container id cannot be empty", "a b": "invalid container ID format", "ä": "invalid container ID format",
		"../../etc": "invalid container ID format", "a\nb": "invalid container ID format",
	} {
		t.Run(strconv.Quote(id), func(t *testing.T) {
			for _, cmd := range [][]string{{"create", "--bundle", b.bundle}, {"run", "--bundle", b.bundle}} {
				b.refused([]string{word}, append(cmd, id)...)
			}
			for _, cmd := range []string{"start", "state", "kill", "delete"} {
				if r := b.call(cmd, id); r.Code == 0 {
					t.Errorf("%s took the id %q", cmd, id)
				}
			}
		})
	}
	b.nothingLeft()
}

// TestLegalIDs uses every character that an id may have.
func TestLegalIDs(t *testing.T) {
	b := newBox(t, prober("quiet"))
	b.id += "_A.b+c-9"
	r := b.run()
	expect(t, "exit code", r.Code, 0)
	b.nothingLeft()
}

// TestStateFields compares the form of state byte by byte.
func TestStateFields(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.spec.Annotations = map[string]string{"org.example.b": "2\n\"x\"", "org.example.a": "1"}
	b.create()
	text := b.ok("state", b.id).Stdout
	var s struct {
		OCIVersion, ID, Status, Bundle, Rootfs, Created string
		Pid                                             int
		Annotations                                     map[string]string
	}
	b.must(json.Unmarshal([]byte(text), &s))
	expect(t, "id", s.ID, b.id)
	expect(t, "pid", s.Pid, b.pid)
	expect(t, "status", s.Status, "created")
	expect(t, "bundle", s.Bundle, b.bundle)
	expect(t, "rootfs", s.Rootfs, b.rootfs)
	expect(t, "annotation", s.Annotations["org.example.b"], "2\n\"x\"")
	expect(t, "number of annotations", len(s.Annotations), 2)
	if made, err := time.Parse(time.RFC3339Nano, s.Created); err != nil || !strings.HasSuffix(s.Created, "Z") ||
		time.Since(made) > patience || time.Since(made) < 0 {
		t.Errorf("created is %q, expected a time of just now, UTC (%v)", s.Created, err)
	}
	if !isTare {
		return
	}
	want := regexp.MustCompile(`^\{
  "ociVersion": "1\.\d+\.\d+",
  "id": "[^"]+",
  "pid": \d+,
  "status": "created",
  "bundle": "[^"]+",
  "rootfs": "[^"]+",
  "created": "[^"]+",
  "annotations": \{
    "org\.example\.a": "1",
    "org\.example\.b": "2\\n\\"x\\""
  \},
  "owner": ""
\}$`)
	if !want.MatchString(text) {
		t.Errorf("state has another form than engines know:\n%s", text)
	}
	b.kill("KILL")
	stopped := b.ok("state", b.id).Stdout
	if !strings.Contains(stopped, `"pid": 0,`) {
		t.Errorf("a stopped container's state has no pid 0:\n%s", stopped)
	}
}

// TestCreateLeavesProcess looks at what an engine looks at right after create.
func TestCreateLeavesProcess(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.create()
	status := readText(t, procPath(b.pid, "status"))
	if !strings.Contains(status, fmt.Sprintf("\nPPid:\t%d\n", os.Getpid())) {
		t.Errorf("the process is not the subreaper's child:\n%s", status)
	}
	if isTare && !strings.Contains(status, "\nThreads:\t1\n") {
		t.Error("the waiting init has more than one thread")
	}
	for name, path := range cgroupOf(readText(t, procPath(b.pid, "cgroup"))) {
		if isTare && path != "/"+b.id || !hasID(path, b.id) {
			t.Errorf("the process is in cgroup %q of hierarchy %q, expected /%s", path, name, b.id)
		}
	}
	if len(cgroupDirs(b.id)) != len(hierarchies()) {
		t.Errorf("cgroups %v, expected one in each of %v", cgroupDirs(b.id), hierarchies())
	}
	// Nothing of the runtime stays: the only process is the container's.
	for _, pid := range children() {
		if pid != b.pid {
			t.Errorf("process %d is left besides the container's %d: %s", pid, b.pid, readText(t, procPath(pid, "cmdline")))
		}
	}
	// It ignores what the runtime's terminal would send, and dies of SIGKILL.
	b.remove()
}

func TestPidFile(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.create()
	text := readText(t, b.dir+"/io/pid")
	expect(t, "pid file", text, strconv.Itoa(b.pid))
	var st unix.Stat_t
	b.must(unix.Stat(b.dir+"/io/pid", &st))
	expect(t, "mode of the pid file", st.Mode&0o777, 0o644)
	for _, e := range mustGlob(t, b.dir+"/io/.*") {
		t.Errorf("a temporary file is left: %s", e)
	}
	b.remove()
	// A relative path begins at the caller's directory, not at the bundle.
	b.ok("create", "--bundle", b.bundle, "--pid-file", "relative.pid", b.id)
	b.pid, _ = strconv.Atoi(readText(t, b.dir+"/relative.pid"))
	b.reaped = false
	if b.pid <= 0 {
		t.Error("the relative pid file has no pid")
	}
	b.remove()
	// One that cannot be written fails the create, and nothing stays.
	b.refused([]string{"--pid-file", "no such file or directory"}, "create", "--bundle", b.bundle, "--pid-file", b.dir+"/none/pid", b.id)
	b.nothingLeft()
}

func mustGlob(t *testing.T, pattern string) []string {
	t.Helper()
	m, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestConfigIsReadOnce changes config.json between create and start.
func TestConfigIsReadOnce(t *testing.T) {
	b := newBox(t, prober("exit:3"))
	b.create()
	b.must(os.WriteFile(b.bundle+"/config.json", []byte(`{"ociVersion":"broken"`), 0o644))
	b.start()
	expect(t, "exit code", b.wait(), 3)
	b.must(os.Remove(b.bundle + "/config.json"))
	expect(t, "status", b.status(), "stopped")
	b.remove()
}

func TestKillForms(t *testing.T) {
	for _, form := range []string{"USR1", "SIGUSR1", "usr1", "sigusr1", "10"} {
		t.Run(form, func(t *testing.T) {
			b := newBox(t, prober("quiet", "signals:1"))
			r := b.create()
			b.start()
			b.until("the prober", func() bool { return strings.Contains(readText(t, r.outFile), "ready") })
			b.ok("kill", b.id, form)
			expect(t, "exit code", b.wait(), 0)
			if out := readText(t, r.outFile); !strings.HasSuffix(out, ",10\n") {
				t.Errorf("the container got %q, expected signal 10", out)
			}
		})
	}
}

func TestKillDefault(t *testing.T) {
	b := newBox(t, prober("quiet", "signals:1"))
	r := b.create()
	b.start()
	b.until("the prober", func() bool { return strings.Contains(readText(t, r.outFile), "ready") })
	b.refused([]string{"unknown signal", "NOPE"}, "kill", b.id, "NOPE")
	b.ok("kill", b.id)
	expect(t, "exit code", b.wait(), 0)
	if out := readText(t, r.outFile); !strings.HasSuffix(out, ",15\n") {
		t.Errorf("the container got %q, expected signal 15", out)
	}
}

// TestKillAllStopped: engines kill everything of a stopped container without
// looking first.
func TestKillAllStopped(t *testing.T) {
	b := newBox(t, prober("quiet"))
	b.create()
	b.start()
	b.wait()
	b.ok("kill", "--all", b.id, "9")
}

func TestList(t *testing.T) {
	b := newBox(t, prober("pause"))
	if r := b.call("list", "--format", "json"); isTare {
		// A root that was named and is not there is a mistake of the caller.
		b.mustSay(r, "list", "no such file or directory")
	}
	b.must(os.MkdirAll(b.root, 0o700))
	expect(t, "list of nothing", strings.TrimSpace(b.ok("list", "--format", "json").Stdout), "null")
	b.create()
	var l []struct {
		ID, Status, Owner, Bundle string
		Pid                       int
	}
	b.must(json.Unmarshal([]byte(b.ok("list", "--format", "json").Stdout), &l))
	if len(l) != 1 || l[0].ID != b.id || l[0].Pid != b.pid || l[0].Status != "created" || l[0].Owner != "root" {
		t.Errorf("list is %+v", l)
	}
	expect(t, "list -q", b.ok("list", "-q").Stdout, b.id+"\n")
	table := strings.Split(b.ok("list").Stdout, "\n")
	expectList(t, "head of the table", strings.Fields(table[0]), []string{"ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"})
	if len(table) < 2 {
		t.Fatalf("the table has no rows: %q", table)
	}
	if f := strings.Fields(table[1]); len(f) != 6 || f[0] != b.id || f[1] != strconv.Itoa(b.pid) || f[2] != "created" || f[3] != b.bundle {
		t.Errorf("row of the table is %q", table[1])
	}
}

func TestPs(t *testing.T) {
	b := newBox(t, prober("fork:3", "pause"))
	r := b.create()
	b.start()
	b.output(r)
	var pids []int
	b.must(json.Unmarshal([]byte(b.ok("ps", "--format", "json", b.id).Stdout), &pids))
	expect(t, "number of processes", len(pids), 4)
	for _, pid := range pids {
		if cg := readText(t, procPath(pid, "cgroup")); !strings.Contains(cg, "/"+b.id+"\n") {
			t.Errorf("process %d is not the container's", pid)
		}
	}
	table := b.ok("ps", b.id).Stdout
	if !strings.Contains(strings.Split(table, "\n")[0], "PID") || strings.Count(table, "\n") != 5 {
		t.Errorf("ps printed\n%s", table)
	}
}

// TestTornRecord: a record that lost its end keeps delete --force from nothing that
// can be found: the process, the cgroups, the files.
func TestTornRecord(t *testing.T) {
	if !isTare {
		t.Skip("the record is tare's")
	}
	for name, cut := range map[string]func(string) int{
		"empty":               func(string) int { return 0 },
		"in the pid's number": func(s string) int { return strings.Index(s, `"pidStart"`) - 3 },
		"before the cgroups":  func(s string) int { return strings.Index(s, `"cgroups"`) },
		"among the cgroups":   func(s string) int { return strings.Index(s, `"cgroups"`) + 200 },
		"at its end":          func(s string) int { return strings.Index(s, "\n") - 2 }, // the config follows
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, prober("pause"))
			b.create()
			b.start()
			record := b.root + "/" + b.id + ".json"
			text := readText(t, record)
			n := cut(text)
			knowsPid := strings.Contains(text[:n], `"pidStart"`)
			if !knowsPid { // what nothing leads to has ended, as after a power failure
				b.kill("KILL")
			}
			b.must(os.Truncate(record, int64(n)))
			if n > 0 {
				b.refused([]string{"the record is damaged; delete --force removes what can be found"}, "delete", b.id)
			}
			b.ok("delete", "--force", b.id)
			if knowsPid {
				b.wait()
			}
			b.nothingLeft()
			b.create()
			b.remove("--force")
		})
	}
}
