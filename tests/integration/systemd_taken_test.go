//go:build vm

package integration

import (
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// systemdTakenAlong: with cgroup v1 alone, systemd takes processes of a unit from one
// cgroup to another whenever a unit beside it begins or ceases to need a controller,
// also one that has left the unit since systemd has read who is in it. What a container
// is started with is put back.
func systemdTakenAlong(t *testing.T) {
	if unifiedOnly() || cgroupOf(readText(t, "/proc/self/cgroup"))["name=systemd"] == "/" || hasUnified() {
		t.Skip("needs cgroup v1 alone, and a unit of systemd's to be in")
	}
	t.Run("certain", func(t *testing.T) {
		// What systemd seldom does a hook does always. It may be in a unit that has the
		// controller or not, and so takes the process to the top.
		b := newBox(t, prober("pause"))
		b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c",
			`pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/'); for h in cpu memory freezer; do echo $pid >/sys/fs/cgroup/$h/cgroup.procs || exit 1; done
			cat /proc/$pid/cgroup >` + b.dir + `/taken`}}}}
		b.create()
		for _, h := range []string{"cpu", "memory", "freezer"} {
			expect(t, h+" after the hook", cgroupOf(readText(t, filepath.Join(b.dir, "taken")))[h], "/")
		}
		inCgroup(t, b.pid, "/"+b.id)
		b.remove()
	})
	t.Run("by_systemd", func(t *testing.T) {
		defer besideChanges(t)()
		for range 3 {
			b := systemdBox(t, prober("pause"))
			top := "taretest" + strings.ReplaceAll(b.id, "-", "")
			unit := top + "-in.slice"
			leftSlices(t, top+".slice")
			b.spec.Linux.CgroupsPath = "::" + unit
			b.create()
			inCgroup(t, b.pid, "/"+top+".slice/"+unit)
			b.forget()
			pid := filepath.Join(b.dir, "exec.pid")
			b.ok("exec", "--detach", "--pid-file", pid, b.id, "/prober", "pause")
			n, err := strconv.Atoi(readText(t, pid))
			b.must(err)
			inCgroup(t, n, "/"+top+".slice/"+unit)
			b.must(unix.Kill(n, unix.SIGKILL))
			_, err = unix.Wait4(n, nil, 0, nil)
			b.must(err)
			b.remove("--force")
		}
	})
}

// hasUnified says that cgroup v2 is mounted beside v1.
func hasUnified() bool {
	_, err := os.Stat("/sys/fs/cgroup/unified/cgroup.procs")
	return err == nil
}

// besideChanges has units come and go that need a controller, which those beside them,
// the test's own too, then get and lose. The function that it returns ends that.
func besideChanges(t *testing.T) func() {
	stop, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-stop:
				return
			case <-time.After(50 * time.Millisecond):
			}
			if out, err := exec.Command("systemd-run", "--scope", "--quiet", "-p", "CPUShares=512", "true").CombinedOutput(); err != nil {
				t.Errorf("systemd-run: %v\n%s", err, out)
				return
			}
		}
	}()
	return func() { close(stop); <-done }
}
