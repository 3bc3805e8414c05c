package libcontainer

import (
	"strings"
	"syscall"
	"testing"
)

// What hides a part of procfs is named; what the kernel lets lie there is not.
func TestRefusedMount(t *testing.T) {
	const whole = "20 1 0:5 / /proc rw - proc proc rw\n21 20 0:6 / /proc/sys/fs/binfmt_misc rw - binfmt_misc none rw\n"
	masked := whole + "22 20 0:5 /kcore /proc/kcore ro - proc proc rw\n23 20 0:5 /sys /proc/sys ro - proc proc rw\n24 1 0:7 / /procx rw - tmpfs x rw\n"
	many := masked + "25 20 0:5 /a /proc/a ro - proc proc rw\n26 20 0:5 /b /proc/b ro - proc proc rw\n"
	for _, c := range []struct{ fstype, info, want string }{
		{"tmpfs", whole, ""},
		{"proc", whole, "pid namespace that belongs to the container's user namespace; or bind /proc instead"},
		{"proc", masked, "as /proc/kcore, /proc/sys does: run the outer container"},
		{"proc", many, "as /proc/kcore, /proc/sys, /proc/a, others does"},
		{"proc", "", "only where a whole proc is mounted already, which it is not here"},
		{"sysfs", "1 0 0:1 / /sys rw - sysfs s rw\n2 1 0:2 / /sys/fs/cgroup rw - tmpfs x rw\n3 1 0:3 / /sys/firmware ro - tmpfs x rw\n", "as /sys/firmware does"},
		{"mqueue", "", "mqueue can be mounted only with an ipc namespace"},
	} {
		if got := refusedMount(c.fstype, c.info); !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%s: %q lacks %q", c.fstype, got, c.want)
		}
	}
}

func TestRefusedUserNamespace(t *testing.T) {
	for _, c := range []struct {
		errno    syscall.Errno
		settings map[string]string
		want     string
	}{
		{syscall.EPERM, map[string]string{"kernel/unprivileged_userns_clone": "0"}, "sysctl kernel.unprivileged_userns_clone=1"},
		{syscall.EACCES, map[string]string{"kernel/apparmor_restrict_unprivileged_userns": "1"}, "sysctl kernel.apparmor_restrict_unprivileged_userns=0"},
		{syscall.ENOSPC, map[string]string{"user/max_user_namespaces": "0"}, "sysctl user.max_user_namespaces=15000"},
		{syscall.ENOSPC, map[string]string{"user/max_user_namespaces": "5"}, "as user.max_user_namespaces allows"},
		{syscall.EUSERS, nil, "too deeply"},
		{syscall.EPERM, nil, "chroot"},
		{syscall.ENOMEM, nil, ""},
	} {
		got := refusedUserNamespace(c.errno, func(name string) string { return c.settings[name] })
		if !strings.Contains(got, c.want) || (c.want == "") != (got == "") {
			t.Errorf("%v %v: %q lacks %q", c.errno, c.settings, got, c.want)
		}
	}
}
