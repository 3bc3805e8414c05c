package integration

import (
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// oneTask limits the container to its process.
func oneTask(s *specs.Spec) { s.Linux.Resources.Pids = &specs.LinuxPids{Limit: ptr(int64(1))} }

// TestOneTask: setting a container up takes a second task where the init hands a
// listener over, or goes on in a sibling. A container whose limit is one task is made
// all the same, and has its limit.
func TestOneTask(t *testing.T) {
	if !isTare {
		t.Skip("other runtimes need more tasks")
	}
	ways := []string{"run", "create"}
	_, err := os.Stat("/run/systemd/system") // sd_booted(3)
	booted := err == nil
	if booted {
		ways = []string{"systemd"}
	}
	listener := func(s *specs.Spec) { notify("AGENT", "", "mkdirat")(s) }
	for name, edits := range map[string][]func(*specs.Spec){
		"plain":            nil,
		"listener":         {listener},
		"listener_nnp":     {listener, noNewPrivs},
		"sibling":          {userNamespace(100000)},
		"sibling_listener": {userNamespace(100000), noNewPrivs, listener},
		"time_namespace":   {withNamespace(specs.TimeNamespace, "")},
		"hook":             {func(s *specs.Spec) { s.Hooks = &specs.Hooks{CreateContainer: []specs.Hook{{Path: "/bin/true"}}} }},
		"all":              {listener, noNewPrivs, userNamespace(100000), withNamespace(specs.TimeNamespace, "")},
	} {
		if booted && name != "listener" && name != "all" {
			continue // the limit is written in the same way, and a unit is slow to make
		}
		for _, how := range ways {
			t.Run(name+"/"+how, func(t *testing.T) {
				b := newBox(t, edits...)
				if how == "systemd" {
					b.global = []string{"--systemd-cgroup"}
				}
				b.edit(oneTask, prober("mkdir:/tmp/made", "fork:1"))
				if len(b.spec.Linux.UIDMappings) > 0 {
					b.own(100000)
				}
				b.allow = []string{"tmp/made"}
				var a *agent
				if b.spec.Linux.Seccomp != nil {
					b.spec.Linux.Seccomp.ListenerPath = b.dir + "/agent"
					a = newAgent(t, b.dir+"/agent", fake)
				}
				var rep *report
				if how == "run" {
					rep = b.probe(b.spec.Process.Args[1:]...)
				} else {
					r := b.create()
					b.start()
					expect(t, "exit code", b.wait(), 0)
					rep = b.parse(readText(t, r.outFile))
					b.remove()
				}
				expect(t, "errno of a second task", rep.result("fork:1").Err, int(unix.EAGAIN))
				expect(t, "errno of mkdirat", rep.result("mkdir:/tmp/made").Err, 0)
				if a != nil {
					a.told(b, 1)
				}
			})
		}
	}
}

// TestListenerProcessLimit: where a limit of the user leaves no task for handing the
// listener over, the message says so; it is not a container without its filter.
func TestListenerProcessLimit(t *testing.T) {
	b := newBox(t, noNewPrivs, prober())
	newAgent(t, b.dir+"/agent", fake)
	b.edit(notify(b.dir+"/agent", "", "mkdirat"))
	b.spec.Process.User.UID, b.spec.Process.User.GID = 1000, 1000
	b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NPROC", Soft: 1, Hard: 1}}
	r := b.createFails("linux.seccomp.listenerPath", "RLIMIT_NPROC")
	if !strings.Contains(r.Stderr, "second task") {
		t.Errorf("the reason is not named: %s", r.Stderr)
	}
}
