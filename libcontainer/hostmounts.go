package libcontainer

import (
	"fmt"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/state"
	"github.com/tare-oci/tare/internal/sys"
)

// A container without a mount namespace of its own (config-linux.md: a type that
// is not listed is inherited) is mounted where the runtime is. All of it lies
// below one mount, that of its root, and goes with it.

// mountsAt counts the mounts of the runtime's namespace at exactly this path.
func mountsAt(path string) int {
	n := 0
	escaped := strings.NewReplacer(" ", `\040`, "\t", `\011`, "\n", `\012`, `\`, `\134`).Replace(path)
	for _, line := range strings.Split(sys.Text("/proc/self/mountinfo"), "\n") {
		if f := strings.Fields(line); len(f) > 4 && f[4] == escaped {
			n++
		}
	}
	return n
}

// removeHostMounts takes away what the container has mounted, and nothing that
// was at its root before.
func removeHostMounts(rec *state.Record) error {
	if !rec.HostMounts {
		return nil
	}
	for n := mountsAt(rec.Rootfs); n > rec.MountsBefore; n-- {
		if err := unix.Unmount(rec.Rootfs, unix.MNT_DETACH|unix.UMOUNT_NOFOLLOW); err != nil {
			return fmt.Errorf("unmount %s: %w", rec.Rootfs, err)
		}
	}
	return nil
}
