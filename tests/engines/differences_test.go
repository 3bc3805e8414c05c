package engines

import (
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// difference is a place where tare may say something else than runc, because it
// is better or because the words are its own.
type difference struct {
	script string // ENGINE/NAME
	runc   string // lines of the wanted transcript
	tare   string // what stands there with tare
	why    string // also a row of docs/engines.md
}

var differences = []difference{
	{
		script: "docker/security",
		runc:   "touch: /sys/fs/cgroup/cpu/x: Read-only file system\n",
		tare:   "touch: /sys/fs/cgroup/x: Read-only file system\ntouch: /sys/fs/cgroup/cpu/x: Read-only file system\n",
		why:    "the cgroup mount is asked to be read-only: with tare that includes the tmpfs that holds the v1 hierarchies, which runc leaves writable",
	},
	{
		script: "containerd/run",
		runc:   "root is not shared\n",
		tare:   "root is shared\n",
		why:    "linux.rootfsPropagation is the propagation of the container's root, as the specification says; runc 1.1 applies it to the mounts of the host side before it binds the root",
	},
	{
		script: "podman/pods",
		runc:   "# what is left of them\ncgroups\ncgroups\n",
		tare:   "# what is left of them\nnothing\nnothing\n",
		why:    "the cgroups that a runtime had to make above a container's own are removed with it when they are empty; runc leaves those of a pod in the hierarchies that podman does not know",
	},
}

// explain puts the wanted lines in the place of those that differ with a reason.
// A reason that nothing needs any more is a fault.
func explain(t *testing.T, script, transcript string) string {
	t.Helper()
	for _, d := range differences {
		if d.script != script {
			continue
		}
		if !strings.Contains(transcript, d.tare) {
			t.Errorf("the difference %q of %s does not show any more", d.tare, script)
			continue
		}
		transcript = strings.ReplaceAll(transcript, d.tare, d.runc)
	}
	return transcript
}

// runcCannot says that runc fails a whole script on this host, which tare does not.
func runcCannot(t *testing.T, script string) bool {
	if script == "docker/privileged" && !resources() {
		t.Log("runc fails where the bounding set lacks a capability that is asked for; tare leaves it out and warns")
		return true
	}
	return false
}

// resources says whether this process may give CAP_SYS_RESOURCE to a container.
func resources() bool {
	set, err := unix.PrctlRetInt(unix.PR_CAPBSET_READ, unix.CAP_SYS_RESOURCE, 0, 0, 0)
	return err == nil && set == 1
}
