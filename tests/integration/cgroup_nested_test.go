package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// allCaps are those that a runtime in a container needs, the ones that this process
// has.
func allCaps(s *specs.Spec) {
	caps := []string{"CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID", "CAP_KILL", "CAP_MKNOD", "CAP_NET_ADMIN", "CAP_SETFCAP", "CAP_SETGID", "CAP_SETPCAP",
		"CAP_SETUID", "CAP_SYS_ADMIN", "CAP_SYS_CHROOT", "CAP_SYS_PTRACE", "CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE"}
	s.Process.Capabilities = &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}
	s.Linux.Resources.Devices = []specs.LinuxDeviceCgroup{{Allow: true, Access: "rwm"}}
}

// TestNested: a runtime in a container, with a cgroup namespace and without, makes
// its containers' cgroups below that container's, limits hold there, and whatever
// it leaves behind goes with the outer container.
func TestNested(t *testing.T) {
	if !isTare {
		t.Skip("the inner runtime is tare")
	}
	// In v2 a cgroup with processes, such as the outer container's, can have none
	// below it with limits (cgroup-v2.rst, No Internal Process Constraint).
	v1Only(t, "memory", "pids")
	for _, own := range []bool{true, false} {
		t.Run(map[bool]string{true: "namespace", false: "bind"}[own], func(t *testing.T) {
			b := newShellBox(t, `set -e
				/tare --root /run/t run --bundle /inner first
				/tare --root /run/t create --bundle /inner second </dev/null >/dev/null
				/tare --root /run/t update --pids-limit 9 second
				/tare --root /run/t pause second; /tare --root /run/t state second | busybox grep status; /tare --root /run/t resume second
				/tare --root /run/t events --stats second | busybox grep -o '"pids":{[^}]*}'
				echo ready; busybox sleep 1000`, allCaps, mount("/sys/fs/cgroup", "cgroup", "cgroup", "rw"))
			if own {
				b.edit(withNamespace(specs.CgroupNamespace, ""))
			}
			b.copyFile(binary, "tare", 0o755)
			for _, d := range []string{"run", "inner", "inner/rootfs"} {
				b.must(os.Mkdir(filepath.Join(b.rootfs, d), 0o755))
			}
			b.copyFile(proberAt, "inner/rootfs/prober", 0o755)
			for _, d := range []string{"dev", "proc", "sys"} {
				b.must(os.Mkdir(filepath.Join(b.rootfs, "inner/rootfs", d), 0o755))
			}
			inner := defaultSpec()
			inner.Process.Capabilities = nil
			prober("exit:0")(inner)
			memoryLimit(32 << 20)(inner)
			data, err := json.Marshal(inner)
			b.must(err)
			b.put("inner/config.json", string(data), 0o644)
			b.allow = append(b.allow, "run", "inner", "sys", "dev", "proc")
			r := b.launch()
			var text string
			b.until("the inner runtime", func() bool {
				text = readText(t, r.outFile)
				errs := readText(t, strings.TrimSuffix(r.outFile, ".out")+".err")
				if errs != "" || procState(b.pid) == "Z" {
					t.Fatalf("%s\n%s", text, errs)
				}
				return strings.HasSuffix(text, "ready\n")
			})
			if !strings.Contains(text, `"status": "paused"`) || !strings.Contains(text, `"pids":{"current":1,"limit":9}`) {
				t.Errorf("the inner runtime says %s", text)
			}
			dir := b.cgroupAt("memory") + "/second"
			expect(t, "memory limit of the inner container", strings.TrimSpace(readText(t, dir+"/memory.limit_in_bytes")), "33554432")
			expect(t, "its pids limit", strings.TrimSpace(readText(t, b.cgroupAt("pids")+"/second/pids.max")), "9")
			if _, err := os.Stat(b.cgroupAt("pids") + "/first"); err == nil {
				t.Error("the cgroup of an inner container that has ended is still there")
			}
			// The inner container still runs.
			b.remove("--force")
			b.nothingLeft()
		})
	}
}
