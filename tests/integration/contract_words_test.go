package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// The words that engines look for in what a runtime says, each said by the real
// program in the state in which an engine meets it: once on stderr, in one line,
// and once in the log, as one record whose text is the same.

// failure is one command that has to fail.
type failure struct {
	code  int
	words []string // all of them in the message
	args  []string // $ID stands for the container's
}

// logged runs a command with a log, and demands of a failure what engines read of it.
func (b *box) logged(args ...string) result {
	b.t.Helper()
	log := filepath.Join(b.dir, "io", "log.json")
	_ = os.Remove(log)
	before := b.global
	b.global = append([]string{"--log", log, "--log-format=json"}, before...)
	r := b.call(args...)
	b.global = before
	text, err := os.ReadFile(log)
	if err != nil && !os.IsNotExist(err) {
		b.t.Fatal(err)
	}
	if r.Code == 0 {
		if len(text) != 0 || r.Stderr != "" {
			b.t.Errorf("%v succeeded, and says %q and logs %q", args, r.Stderr, text)
		}
		return r
	}
	var rec map[string]string // the whole file is one object: podman decodes it so
	if err := json.Unmarshal(text, &rec); err != nil {
		b.t.Errorf("%v: the log %q: %v", args, text, err)
		return r
	}
	if _, err := time.Parse(time.RFC3339, rec["time"]); err != nil || len(rec) != 3 || rec["level"] != "error" {
		b.t.Errorf("%v: the record %v: %v", args, rec, err)
	}
	if isTare && r.Stderr != "tare: "+rec["msg"]+"\n" {
		b.t.Errorf("%v: on stderr %q, in the log %q", args, r.Stderr, rec["msg"])
	}
	if strings.Count(r.Stderr, "\n") != 1 {
		b.t.Errorf("%v: not one line: %q", args, r.Stderr)
	}
	return r
}

// fails checks them all.
func (b *box) fails(list ...failure) {
	b.t.Helper()
	for _, f := range list {
		args := strings.Fields(strings.ReplaceAll(strings.Join(f.args, " "), "$ID", b.id))
		r := b.logged(args...)
		if isTare && r.Code != f.code {
			b.t.Errorf("%v: exit code %d, want %d: %s", f.args, r.Code, f.code, r.Stderr)
		}
		for _, w := range f.words {
			if w = strings.ReplaceAll(w, "$ID", b.id); isTare && !strings.Contains(r.Stderr, w) {
				b.t.Errorf("%v: message lacks %q:\n%s", f.args, w, r.Stderr)
			}
		}
	}
}

func words(w ...string) []string     { return w }
func cmd(line string) []string       { return strings.Fields(line) }
func says(line, word string) failure { return failure{1, words(word), cmd(line)} }

// TestContractWordsOfStates: what each command says of a container that is not
// there, created, running, paused, stopped.
func TestContractWordsOfStates(t *testing.T) {
	b := newBox(t, prober("pause"))
	const none = "container does not exist"
	for _, c := range []string{"state", "start", "kill", "delete", "pause", "resume", "ps --format json", "events --stats", "update --memory 1m", "checkpoint"} {
		b.fails(says(c+" $ID", none))
	}
	b.fails(failure{255, words("exec failed: ", none), cmd("exec $ID /prober")})
	b.logged("kill", "--all", b.id) // containerd, after the end: whatever it answers, in the form of an answer
	b.fails(says("state a/b", "invalid container ID format"), says("create --bundle "+b.bundle+" a/b", "invalid container ID format"))
	if r := b.logged("state", ""); isTare && !strings.Contains(r.Stderr, "container id cannot be empty") {
		t.Errorf("an empty id: %s", r.Stderr)
	}
	if r := b.logged("delete", "--force", b.id); r.Code != 0 {
		t.Errorf("delete --force of nothing: %s", r.Stderr)
	}

	b.create()
	again := []string{"create", "--bundle", b.bundle, "$ID"}
	b.fails(failure{1, words("container with given ID already exists"), again},
		says("resume $ID", "container not paused"), says("events --stats $ID/", "invalid container ID format"))
	b.start()
	b.fails(says("start $ID", "cannot start an already running container"),
		says("delete $ID", "cannot delete container $ID that is not stopped: running"),
		says("resume $ID", "container not paused"), says("kill $ID NOPE", `unknown signal "NOPE"`), says("kill $ID 99", `unknown signal "99"`))
	b.ok("pause", b.id)
	b.fails(failure{255, words("exec failed: ", "cannot exec in a paused container (use --ignore-paused to override)"), cmd("exec $ID /prober")},
		says("delete $ID", "cannot delete container $ID that is not stopped: paused"))
	b.ok("resume", b.id)
	b.kill("KILL")
	b.fails(says("start $ID", "cannot start a container that has stopped"), says("kill $ID KILL", "container not running"),
		says("kill $ID 0", "container not running"), says("pause $ID", "container not running"), says("resume $ID", "container not paused"),
		failure{255, words("exec failed: ", "cannot exec in a stopped container"), cmd("exec $ID /prober")},
		says("events --stats $ID", "container with id $ID is not running"))
	if r := b.logged("kill", "--all", b.id, "9"); r.Code != 0 {
		t.Errorf("kill --all of one that has stopped: %s", r.Stderr)
	}
	b.remove()
}

// TestContractWordsOfPrograms: from these podman and Docker tell 126 from 127.
func TestContractWordsOfPrograms(t *testing.T) {
	b := newBox(t)
	b.put("noexec", "#!/nowhere\n", 0o644)
	b.put("script", "#!/nowhere/interpreter\n", 0o755)
	b.put("file", "", 0o644)
	programs := []struct {
		path  string
		words []string
	}{
		{"nothing-there", words(`exec: "nothing-there": executable file not found in $PATH`)},
		{"/nothing/there", words("exec /nothing/there: no such file or directory")},
		{"/noexec", words("exec /noexec: permission denied")},
		{"/work", words("exec /work: is a directory")},
		{"/file/x", words("exec /file/x: not a directory")},
	}
	for _, verb := range []string{"create", "run"} {
		for _, p := range programs {
			b.edit(args(p.path))
			b.writeConfig()
			b.fails(failure{1, append(words(verb+" failed: ", "unable to start container process: "), p.words...), cmd(verb + " --bundle " + b.bundle + " $ID")})
			b.nothingLeft()
		}
	}
	// What only execve(2) finds out is told by start, and as the exit code. runc's
	// init prints the same line.
	b.edit(args("/script"))
	b.create()
	b.fails(says("start $ID", "exec /script: no such file or directory"))
	expect(t, "exit code", b.wait(), 1)
	b.remove()

	b.edit(prober("pause"))
	b.create()
	b.start()
	process := filepath.Join(b.dir, "process.json")
	for _, p := range programs {
		want := append(words("exec failed: ", "unable to start container process: "), p.words...)
		b.fails(failure{255, want, cmd("exec $ID " + p.path)})
		data, err := json.Marshal(specs.Process{Args: []string{p.path}, Cwd: "/", Env: []string{"PATH=/bin"}})
		b.must(err)
		b.must(os.WriteFile(process, data, 0o600))
		pidFile := filepath.Join(b.dir, "io", "exec-pid")
		b.fails(failure{255, want, cmd("exec --process " + process + " --detach --pid-file " + pidFile + " $ID")})
		if _, err := os.Lstat(pidFile); err == nil {
			t.Errorf("%s: conmon would take the pid file for a success", p.path)
		}
	}
	b.kill("KILL")
	b.remove()
}

// TestContractWordsOfConfigs: what is wrong with a process or a terminal.
func TestContractWordsOfConfigs(t *testing.T) {
	for _, c := range []struct {
		edit func(*specs.Spec)
		word string
	}{
		{func(s *specs.Spec) { s.Process = nil }, "process property must not be empty"},
		{func(s *specs.Spec) { s.Process.Cwd = "" }, "Cwd property must not be empty"},
		{func(s *specs.Spec) { s.Process.Cwd = "x" }, "Cwd must be an absolute path"},
		{func(s *specs.Spec) { s.Process.Args = nil }, "args must not be empty"},
		{func(s *specs.Spec) { s.Process.Terminal = true }, "without setting console socket"},
		{func(s *specs.Spec) {
			s.Mounts = append(s.Mounts, specs.Mount{Destination: "/etc", Source: "/etc/hostname", Options: []string{"bind"}})
		}, "not a directory"},
	} {
		t.Run(c.word, func(t *testing.T) {
			b := newBox(t, prober("exit:0"), c.edit)
			b.writeConfig()
			b.fails(failure{1, words("create failed: ", c.word), cmd("create --bundle " + b.bundle + " $ID")})
			b.nothingLeft()
		})
	}
	b := newBox(t, prober("exit:0"))
	b.writeConfig()
	b.fails(says("create --bundle "+b.bundle+" --console-socket /nowhere $ID", "cannot use console socket if tare will not detach or allocate tty"),
		says("create --bundle "+b.dir+" $ID", "JSON specification file config.json not found"),
		says("run --bundle "+b.dir+" $ID", "JSON specification file config.json not found"))
	b.nothingLeft()
	b.create()
	b.start()
	b.wait()
	b.remove()
}

// TestContractWordsOfExec: what is wrong with an exec's process.
func TestContractWordsOfExec(t *testing.T) {
	b := newBox(t, prober("pause"))
	b.create()
	b.start()
	process := filepath.Join(b.dir, "process.json")
	for config, word := range map[string]string{
		`{"cwd":"/","user":{"uid":0,"gid":0}}`:           "exec args cannot be empty",
		`{"args":["/prober"],"cwd":"x"}`:                 "Cwd must be an absolute path",
		`{"args":["/prober"]}`:                           "Cwd property must not be empty",
		`{"args":["/prober"],"cwd":"/","terminal":true}`: "cannot allocate tty if tare will detach without setting console socket",
	} {
		b.must(os.WriteFile(process, []byte(config), 0o600))
		b.fails(failure{255, words("exec failed: ", word), cmd("exec --detach --process " + process + " $ID")})
	}
	b.fails(failure{255, words("exec failed: ", "cannot use console socket if tare will not detach or allocate tty"), cmd("exec --console-socket /nowhere $ID /prober")})
	b.kill("KILL")
	b.remove()
}

// TestContractWordsOfCgroups: a cgroup that is not the container's alone.
func TestContractWordsOfCgroups(t *testing.T) {
	first := newBox(t, prober("pause"))
	first.spec.Linux.CgroupsPath = "/" + first.id + "-shared"
	first.create()
	b := newBox(t, prober("pause"))
	b.spec.Linux.CgroupsPath = first.spec.Linux.CgroupsPath
	b.writeConfig()
	b.fails(failure{1, words("create failed: ", "container's cgroup is not empty: 1 process(es) found"), cmd("create --bundle " + b.bundle + " $ID")})
	first.remove("--force")
}

// TestContractWordsOfStuck: a process that cannot be killed.
func TestContractWordsOfStuck(t *testing.T) {
	b := newBox(t, prober("quiet", "stat:/stuck/file"))
	fs := newStuckFS(b)
	b.edit(bind(fs.at, "/stuck"))
	b.allow = append(b.allow, "stuck")
	b.launch()
	fs.await()
	b.ok("kill", b.id, "TERM")
	b.ok("kill", b.id, "KILL")
	b.until("the process to be stuck in the kernel", func() bool { return procState(b.pid) == "D" })
	b.fails(says("delete --force $ID", "container init still running"))
	fs.end()
	b.wait()
	b.remove("--force")
	b.nothingLeft()
}
