package integration

import (
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestExecUserNamespace: ids of the namespace, none of the host.
func TestExecUserNamespace(t *testing.T) {
	b := newBox(t, prober("pause"), userNamespace(100000))
	b.own(100000)
	b.create()
	b.start()
	r := b.exec([]string{"-u", "5:6", "-g", "7"})
	expectList(t, "uid", r.UID, []uint32{5, 5, 5})
	expectList(t, "groups", r.Groups, []uint32{7})
	expect(t, "uid map", strings.Join(strings.Fields(r.UIDMap), " "), "0 100000 65536")
	for ns, link := range r.Namespaces {
		its, err := os.Readlink(procPath(b.pid, "ns/"+ns))
		b.must(err)
		expect(t, "namespace "+ns, link, its)
	}
	r = b.exec(nil)
	expectList(t, "uid", r.UID, []uint32{0, 0, 0})
	expect(t, "oom_score_adj", strings.TrimSpace(r.OomScoreAdj), strings.TrimSpace(readText(t, procPath(b.pid, "oom_score_adj"))))
	b.execFails([]string{"process.user.uid", "is not mapped"}, "-u", "65536", b.id, "/prober")
	b.remove("--force")
}

// TestExecNamespaces: every kind, new, joined by path or shared, is the
// container's in the end.
func TestExecNamespaces(t *testing.T) {
	other := newBox(t, prober("pause"), withNamespace(specs.CgroupNamespace, ""), withNamespace(specs.TimeNamespace, ""))
	other.create()
	other.start()
	for name, edit := range map[string]func(*specs.Spec){
		"all": func(s *specs.Spec) {
			withNamespace(specs.CgroupNamespace, "")(s)
			withNamespace(specs.TimeNamespace, "")(s)
		},
		"joined": joinOf(other.pid),
		"few":    namespaces(specs.LinuxNamespace{Type: specs.MountNamespace}, specs.LinuxNamespace{Type: specs.UTSNamespace}),
		"no mount namespace": func(s *specs.Spec) {
			namespaces(specs.LinuxNamespace{Type: specs.PIDNamespace}, specs.LinuxNamespace{Type: specs.UTSNamespace})(s)
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBox(t, prober("pause"), edit)
			if name == "few" || name == "no mount namespace" || name == "joined" {
				// The host's network and devices: no sysfs of another.
				b.spec.Mounts = b.spec.Mounts[:2]
			}
			b.create()
			b.start()
			r := b.exec(nil)
			for ns, link := range r.Namespaces {
				its, err := os.Readlink(procPath(b.pid, "ns/"+ns))
				b.must(err)
				expect(t, "namespace "+ns, link, its)
			}
			expect(t, "exe", r.Exe, "/prober")
			expect(t, "files of the root", slices.ContainsFunc(b.exec(nil, "ls:/").result("ls:/").Files, func(f fileInfo) bool { return f.Name == "prober" }), true)
			b.remove("--force")
		})
	}
	other.remove("--force")
}

// joinOf joins every namespace of a process but the mount namespace.
func joinOf(pid int) func(*specs.Spec) {
	return func(s *specs.Spec) {
		for typ, file := range map[specs.LinuxNamespaceType]string{specs.PIDNamespace: "pid", specs.NetworkNamespace: "net", specs.IPCNamespace: "ipc",
			specs.UTSNamespace: "uts", specs.CgroupNamespace: "cgroup", specs.TimeNamespace: "time"} {
			withNamespace(typ, procPath(pid, "ns/"+file))(s)
		}
		s.Hostname = ""
	}
}

// TestExecJoinsByPidfd: all namespaces at once, by a descriptor of the process and
// not by paths, which could be another's in between.
func TestExecJoinsByPidfd(t *testing.T) {
	if !isTare {
		t.Skip("how it is done is tare's")
	}
	strace, err := exec.LookPath("strace")
	need(t, "strace", err)
	b := running(t, withNamespace(specs.CgroupNamespace, ""))
	trace := b.dir + "/io/trace"
	// A file for each process: in one of all, a call that another's interrupts is two lines.
	b.wrap = []string{strace, "-ff", "-qq", "-y", "-e", "trace=setns,pidfd_open", "-o", trace}
	r := b.call("exec", b.id, "/prober", "exit:0")
	b.wrap = nil
	expect(t, "exit code", r.Code, 0)
	text := ""
	for _, f := range mustGlob(t, trace+".*") {
		text += readText(t, f)
	}
	joins := regexp.MustCompile(`setns\((\S+), (\S+)\) += 0`).FindAllStringSubmatch(text, -1)
	if len(joins) != 1 || !strings.HasSuffix(joins[0][1], "<anon_inode:[pidfd]>") || !strings.Contains(text, fmt.Sprintf("pidfd_open(%d, ", b.pid)) {
		t.Fatalf("joins by\n%s", text)
	}
	for _, ns := range []string{"NEWNS", "NEWCGROUP", "NEWUTS", "NEWIPC", "NEWPID", "NEWNET"} {
		if !strings.Contains(joins[0][2], ns) {
			t.Errorf("%s is not among %s", ns, joins[0][2])
		}
	}
	b.remove("--force")
}
