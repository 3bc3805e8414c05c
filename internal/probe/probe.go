// Package probe looks at the host and fills facts.Facts. It is the only room
// that does, so that everything decided about a host can be replayed without it.
package probe

import (
	"os"
	"runtime"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/sys"
)

// Want says which facts a config needs beyond the ones that every plan does.
type Want struct {
	LSM     bool // AppArmor and SELinux
	Profile bool // which AppArmor profiles are loaded
	Resctrl bool // where resctrl is mounted
}

// Host gathers the facts. What cannot be read is left at its zero value: a
// config that needs it is then refused with its field.
func Host(w Want) *facts.Facts {
	f := Inside(w)
	f.UserNS = inUserNS()
	f.Cgroup = cgroups()
	if f.EUID != 0 || f.UserNS || f.Caps>>unix.CAP_SYS_ADMIN&1 == 0 {
		delegated(&f.Cgroup)
	}
	if f.UserNS {
		f.ForeignMounts = foreignMounts()
	}
	return f
}

// Inside gathers the facts that count for a process that joins a container: its
// cgroups are there already.
func Inside(w Want) *facts.Facts {
	f := &facts.Facts{Arch: runtime.GOARCH, EUID: uint32(syscall.Geteuid()), EGID: uint32(syscall.Getegid()), Caps: permitted()}
	f.KernelMajor, f.KernelMinor = kernel()
	if w.LSM {
		f.AppArmor = firstByte("/sys/module/apparmor/parameters/enabled") == 'Y'
		f.SELinux = isDir("/sys/fs/selinux/class")
	}
	if w.Profile && f.AppArmor {
		if text, err := os.ReadFile("/sys/kernel/security/apparmor/profiles"); err == nil {
			f.AppArmorProfiles = profiles(string(text))
		}
	}
	if w.Resctrl {
		f.Resctrl = resctrl()
	}
	return f
}

// profiles reads lines of the form "name (mode)".
func profiles(text string) []string {
	out := []string{} // none is not the same as unknown
	for line := range strings.SplitSeq(text, "\n") {
		if i := strings.LastIndex(line, " ("); i > 0 {
			out = append(out, line[:i])
		}
	}
	return out
}

// resctrl finds the mount point: the usual one, or any other.
func resctrl() string {
	const usual = "/sys/fs/resctrl"
	if statfsType(usual) == unix.RDTGROUP_SUPER_MAGIC {
		return usual
	}
	return resctrlMount(sys.Text("/proc/self/mountinfo"))
}

func resctrlMount(info string) string {
	for _, line := range strings.Split(info, "\n") {
		left, right, ok := strings.Cut(line, " - ")
		if l := strings.Fields(left); ok && strings.HasPrefix(right, "resctrl ") && len(l) > 4 && l[3] == "/" {
			return unescape(l[4])
		}
	}
	return ""
}

func kernel() (major, minor int) {
	var u unix.Utsname
	if unix.Uname(&u) != nil {
		return 0, 0
	}
	n := 0
	nums := [2]int{}
	for _, c := range u.Release {
		if c >= '0' && c <= '9' {
			nums[n] = nums[n]*10 + int(c-'0')
		} else if n++; n == 2 {
			break
		}
	}
	return nums[0], nums[1]
}

func permitted() uint64 {
	head := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3}
	var data [2]unix.CapUserData
	if unix.Capget(&head, &data[0]) != nil {
		return 0
	}
	return uint64(data[0].Permitted) | uint64(data[1].Permitted)<<32
}

// Rootless says that the caller is not the root of the host.
func Rootless() bool { return syscall.Geteuid() != 0 || inUserNS() }

// inUserNS reads the id map: only the initial user namespace maps everything
// onto itself.
func inUserNS() bool {
	return strings.Join(strings.Fields(sys.Text("/proc/self/uid_map")), " ") != "0 0 4294967295"
}

// foreignMounts compares the owner of the mount namespace with the user namespace;
// the kernel does not show an owner that lies further out (ioctl_ns(2)).
func foreignMounts() bool {
	ns, err := unix.Open("/proc/self/ns/mnt", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(ns)
	owner, err := unix.IoctlRetInt(ns, unix.NS_GET_USERNS)
	if err != nil {
		return err == unix.EPERM
	}
	defer unix.Close(owner)
	var a, b unix.Stat_t
	return unix.Fstat(owner, &a) == nil && unix.Stat("/proc/self/ns/user", &b) == nil && a.Ino != b.Ino
}

func firstByte(path string) byte {
	if text := sys.Text(path); text != "" {
		return text[0]
	}
	return 0
}

func isDir(path string) bool {
	var st syscall.Stat_t
	return syscall.Stat(path, &st) == nil && st.Mode&syscall.S_IFMT == syscall.S_IFDIR
}
