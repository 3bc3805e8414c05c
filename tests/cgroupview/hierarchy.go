package cgroupview

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Mounted is the options with which the cgroup v1 hierarchy of a controller is to be
// mounted: all controllers that it has, as "net_cls,net_prio", for the kernel refuses to
// mount one of them alone. Without a hierarchy it is the controller itself.
func Mounted(controller string) string {
	data, _ := os.ReadFile("/proc/self/cgroup")
	for line := range strings.Lines(string(data)) {
		f := strings.SplitN(line, ":", 3)
		if len(f) == 3 && slices.Contains(strings.Split(f[1], ","), controller) {
			return f[1]
		}
	}
	return controller
}

// Bound tells whether one of the controllers, which commas part, has a cgroup v1
// hierarchy, mounted or not.
func Bound(controllers string) bool {
	data, _ := os.ReadFile("/proc/cgroups")
	for line := range strings.Lines(string(data)) {
		f := strings.Fields(line)
		if len(f) == 4 && f[1] != "0" && slices.Contains(strings.Split(controllers, ","), f[0]) {
			return true
		}
	}
	return false
}

// Dissolve unmounts the hierarchy at a place and waits until the kernel has given its
// controllers back. A hierarchy whose last mount went away while one of its cgroups was
// still being freed stays; mounted and unmounted again, it is looked at anew. What
// somebody else has in it is left there after twenty seconds.
func Dissolve(at, controllers string) error {
	for deadline := time.Now().Add(20 * time.Second); ; {
		if err := unix.Unmount(at, 0); err != nil {
			return fmt.Errorf("unmount %s: %w", at, err)
		}
		time.Sleep(50 * time.Millisecond)
		if !Bound(controllers) || time.Now().After(deadline) {
			return nil
		}
		if err := unix.Mount("cgroup", at, "cgroup", 0, Mounted(strings.Split(controllers, ",")[0])); err != nil {
			return nil // dissolved just now, or somebody else's
		}
		time.Sleep(50 * time.Millisecond)
	}
}
