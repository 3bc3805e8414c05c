package probe

import (
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

// The probe is compared with what other interfaces of the same kernel say.
func TestHost(t *testing.T) {
	f := Host(Want{LSM: true})
	release, err := os.ReadFile("/proc/sys/kernel/osrelease")
	if err != nil {
		t.Fatal(err)
	}
	major, minor := 0, 0
	for i, part := range strings.FieldsFunc(string(release), func(r rune) bool { return r < '0' || r > '9' }) {
		n := 0
		for _, c := range part {
			n = n*10 + int(c-'0')
		}
		if i == 0 {
			major = n
		} else if i == 1 {
			minor = n
			break
		}
	}
	if f.KernelMajor != major || f.KernelMinor != minor {
		t.Errorf("kernel %d.%d, /proc says %s", f.KernelMajor, f.KernelMinor, release)
	}
	status, _ := os.ReadFile("/proc/self/status")
	want := ""
	for _, line := range strings.Split(string(status), "\n") {
		if v, ok := strings.CutPrefix(line, "CapPrm:"); ok {
			want = strings.TrimLeft(strings.TrimSpace(v), "0")
		}
	}
	if got := hex(f.Caps); got != want {
		t.Errorf("capabilities %s, /proc says %s", got, want)
	}
	if int(f.EUID) != os.Geteuid() {
		t.Errorf("euid %d", f.EUID)
	}
	lsms, err := os.ReadFile("/sys/kernel/security/lsm")
	if err == nil && f.AppArmor && !strings.Contains(string(lsms), "apparmor") {
		t.Errorf("AppArmor found, the kernel lists %s", lsms)
	}
	for _, h := range f.Cgroup.Hierarchies {
		want := int64(unix.CGROUP_SUPER_MAGIC)
		if h.V2 {
			want = unix.CGROUP2_SUPER_MAGIC
		}
		if got := statfsType(h.Mount); got != want {
			t.Errorf("%s: file system %#x, want %#x", h.Mount, got, want)
		}
		if !h.V2 && !strings.HasPrefix(h.Name, "name=") && strings.Join(h.Controllers, ",") != h.Name {
			t.Errorf("%s has controllers %v", h.Name, h.Controllers)
		}
	}
}

func hex(n uint64) string {
	const digits = "0123456789abcdef"
	s := ""
	for ; n > 0; n >>= 4 {
		s = string(digits[n&15]) + s
	}
	return s
}

func TestFindMount(t *testing.T) {
	const info = `25 30 0:22 / /sys rw - sysfs sysfs rw
31 25 0:26 / /sys/fs/cgroup/cpu,cpuacct rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct
32 25 0:27 /docker/x /inner rw - cgroup cgroup rw,memory
33 25 0:27 / /odd\040place/mem rw - cgroup cgroup rw,memory
34 25 0:28 / /sys/fs/cgroup/systemd rw - cgroup cgroup rw,xattr,name=systemd
`
	for name, want := range map[string]string{
		"cpu,cpuacct":  "/sys/fs/cgroup/cpu,cpuacct",
		"cpuacct,cpu":  "/sys/fs/cgroup/cpu,cpuacct",
		"memory":       "/odd place/mem",
		"name=systemd": "/sys/fs/cgroup/systemd",
		"blkio":        "",
	} {
		if got := findMount(info, name); got != want {
			t.Errorf("%s: got %q, want %q", name, got, want)
		}
	}
}

func TestResctrlMount(t *testing.T) {
	const other = "36 35 98:0 / /mnt rw,noatime master:1 - tmpfs resctrl rw\n"
	for info, want := range map[string]string{
		"": "", other: "",
		other + "40 35 0:50 / /sys/fs/resctrl rw - resctrl resctrl rw\n":         "/sys/fs/resctrl",
		other + "40 35 0:50 / /a\\040b rw shared:5 - resctrl none rw,mba_MBps\n": "/a b",
		"40 35 0:50 /group /sys/fs/resctrl rw - resctrl resctrl rw\n":            "", // a part of it only
	} {
		if got := resctrlMount(info); got != want {
			t.Errorf("%q: %q, want %q", info, got, want)
		}
	}
	if f := Host(Want{}); f.Resctrl != "" {
		t.Error("looked for without being asked")
	}
}
