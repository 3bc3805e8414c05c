package engines

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// census is everything in the machine that a container could have left behind,
// one line each. Nothing else lives in there.
func census() map[string]bool {
	out := map[string]bool{}
	entries, _ := os.ReadDir("/proc")
	for _, e := range entries {
		pid, err := strconv.Atoi(e.Name())
		if err != nil {
			continue
		}
		stat, err := os.ReadFile("/proc/" + e.Name() + "/stat")
		if err != nil || strings.Contains(string(stat), ") Z ") {
			continue
		}
		cmdline, _ := os.ReadFile("/proc/" + e.Name() + "/cmdline")
		out[fmt.Sprintf("process %d: %s", pid, strings.TrimSpace(strings.ReplaceAll(string(cmdline), "\x00", " ")))] = true
	}
	data, _ := os.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		if f := strings.Fields(line); len(f) > 4 {
			out["mount "+f[4]] = true
		}
	}
	all, _ := hierarchies()
	for _, h := range all {
		for _, dir := range cgroupsBelow(h.at) {
			out["cgroup "+dir] = true
		}
	}
	links, _ := os.ReadDir("/sys/class/net")
	for _, l := range links {
		out["link "+l.Name()] = true
	}
	for _, pattern := range states {
		found, _ := filepath.Glob(pattern)
		for _, f := range found {
			out["state "+f] = true
		}
	}
	return out
}

// states are where the engines let the runtimes keep their state, and where the
// runtimes keep it by themselves; of a root without containers nothing remains.
var states = []string{"/run/tare/*", "/run/runc/*", "/run/docker/runtime-*/moby/*", "/run/containerd/runc/*/*", "/run/user/*/tare/*", "/run/user/*/runc/*"}

// first is the machine before the first daemon.
var first map[string]bool

// allowed is what a daemon keeps for good: the cgroups above those of its
// containers, the mounts of its own directories, its bridge.
func allowed(line string) bool {
	for _, word := range []string{
		"mount /run/docker/netns/default", "mount /var/lib/docker", "mount /var/lib/containers/storage/overlay",
		"mount /run/netns", "link docker0", "link cni0", "link cni-podman0", "link cni-podman1",
	} {
		if line == word {
			return true
		}
	}
	if strings.HasSuffix(line, ": catatonit -P") {
		return true // holds the user namespace of podman's ordinary users
	}
	if dir, ok := strings.CutPrefix(line, "cgroup "); ok {
		for _, parent := range []string{"/docker", "/docker/buildkit", "/default", "/k8s.io", "/libpod_parent", "/conmon", "/buildah"} {
			if strings.HasSuffix(dir, parent) {
				return true
			}
		}
	}
	return false
}

// news lists what is there and was not before. What is about to end gets a
// moment for it.
func news(before map[string]bool) []string {
	var out []string
	for end := time.Now().Add(time.Minute); ; time.Sleep(100 * time.Millisecond) {
		out = out[:0]
		for line := range census() {
			if !before[line] && !allowed(line) {
				out = append(out, line+" is left behind")
			}
		}
		if len(out) == 0 || time.Now().After(end) {
			slices.Sort(out)
			return out
		}
	}
}

// leftovers compares the machine after the last daemon with the one before the first.
func leftovers() []string { return news(first) }
