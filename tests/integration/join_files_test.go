package integration

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// TestJoinedPseudoFiles: proc, mqueue and sysfs of namespaces that are joined show
// those namespaces and nothing of the host, whoever they belong to: the user namespace
// of the container, in which they can be mounted, or the host, where only the host can.
func TestJoinedPseudoFiles(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 cannot mount what belongs to the host")
	}
	const others = unix.CLONE_NEWNET | unix.CLONE_NEWIPC | unix.CLONE_NEWPID
	types := []specs.LinuxNamespaceType{specs.NetworkNamespace, specs.IPCNamespace, specs.PIDNamespace}
	for _, c := range []struct {
		name, user string // whose the user namespace is: a joined one, a new one
		flags      uintptr
	}{
		{"of the user namespace", "joined", unix.CLONE_NEWUSER | others},
		{"of the host, user namespace joined", "joined", others},
		{"of the host, new user namespace", "new", others},
	} {
		t.Run(c.name, func(t *testing.T) {
			b := newBox(t, userNamespace(100000))
			b.own(100000)
			h := hold(b, c.flags)
			if c.user == "joined" {
				user := h
				if c.flags&unix.CLONE_NEWUSER == 0 {
					user = hold(b, unix.CLONE_NEWUSER)
				}
				b.edit(withNamespace(specs.UserNamespace, user.path(specs.UserNamespace)))
				b.spec.Linux.UIDMappings, b.spec.Linux.GIDMappings = nil, nil
			}
			for _, typ := range types {
				b.edit(withNamespace(typ, h.path(typ)))
			}
			b.spec.Mounts[0].Options = []string{"nosuid", "nodev", "noexec", "hidepid=1"}
			// What shows that they are those of the namespaces: a link and a queue of ours.
			marked := inNamespaces(t, h, `ip link add tare-mark type bridge && mount -t mqueue mqueue /mnt && : >/mnt/tare-mark`)
			if marked != nil {
				t.Skip("needs ip and mount in a namespace:", marked)
			}
			b.edit(args("/prober"))
			r := b.probe("stat:/sys/class/net/tare-mark", "stat:/dev/mqueue/tare-mark", "stat:/proc/1", "stat:/proc/"+strconv.Itoa(h.pid)+"/stat",
				"write:/proc/sys/kernel/core_pattern=x", "write:/proc/sysrq-trigger=h", "write:/sys/kernel/mm/ksm/run=0")
			expect(t, "a link of the network namespace", r.result("stat:/sys/class/net/tare-mark").Type, typeLink)
			expect(t, "errno of a queue of the ipc namespace", r.result("stat:/dev/mqueue/tare-mark").Err, 0)
			expect(t, "errno of process 1", r.result("stat:/proc/1").Err, 0)
			expect(t, "errno of a process by its number on the host", r.result("stat:/proc/"+strconv.Itoa(h.pid)+"/stat").Err, int(unix.ENOENT))
			for _, op := range []string{"write:/proc/sys/kernel/core_pattern=x", "write:/proc/sysrq-trigger=h", "write:/sys/kernel/mm/ksm/run=0"} {
				switch e := unix.Errno(r.result(op).Err); e {
				case unix.EACCES, unix.EROFS, unix.EPERM, unix.ENOENT: // the last where the kernel lacks it
				default:
					t.Errorf("%s: errno %d", op, e)
				}
			}
			expectOpts(t, r.mount("/proc"), "rw", "nosuid", "nodev", "noexec")
			if m := r.mount("/proc"); !m.sbHas("hidepid=invisible") && !m.sbHas("hidepid=noaccess") && !m.sbHas("hidepid=1") {
				t.Errorf("the options of the config are not in force: %s", m.sb)
			}
			expectOpts(t, r.mount("/sys"), "ro")
			expect(t, "type of /dev/mqueue", r.mount("/dev/mqueue").fstype, "mqueue")
			for _, m := range parseMounts(r.Mountinfo) {
				if strings.HasPrefix(m.at, "/sys/") || strings.HasPrefix(m.at, "/proc/") {
					t.Errorf("%s came along", m.at)
				}
			}
			expect(t, "number of descriptors", len(r.Fds), 3)
		})
	}
}

// inNamespaces runs a shell command in the namespaces of a holder, with mounts that
// nobody else sees.
func inNamespaces(t *testing.T, h holder, command string) error {
	t.Helper()
	words := []string{}
	if h.link(t, specs.UserNamespace) != (holder{outerPid}).link(t, specs.UserNamespace) {
		words = []string{"--user=" + h.path(specs.UserNamespace), "--setuid=0", "--setgid=0"}
	}
	words = append(words, "--net="+h.path(specs.NetworkNamespace), "--ipc="+h.path(specs.IPCNamespace),
		"unshare", "-m", "sh", "-c", command)
	out, err := exec.Command("nsenter", words...).CombinedOutput()
	if err != nil {
		return fmt.Errorf("%w: %s", err, out)
	}
	return nil
}
