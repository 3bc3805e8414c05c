package libcontainer

import (
	"fmt"
	"strings"
	"syscall"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/sys"
)

// detail is what the init has reported besides, or else what the kernel's errno
// does not say: mostly of user namespaces, where EPERM has many reasons.
func detail(op *plan.Op, r *initproto.Report) string {
	if r.Detail != "" && op.Code != plan.OpMountBind {
		return r.Detail
	}
	step := plan.Step(r.Step).String()
	switch {
	case op.Code == plan.OpMountFs && r.Errno == syscall.EPERM:
		return refusedMount(op.MountFsType(), sys.Text("/proc/self/mountinfo"))
	case op.Code == plan.OpUnshare && op.Makes(plan.NewUser):
		return refusedUserNamespace(r.Errno, setting)
	case (op.Code == plan.OpUnshare || op.Code == plan.OpFork) && r.Errno == syscall.ENOSPC:
		return "a limit of user.max_*_namespaces is reached (namespaces(7))"
	case op.Code == plan.OpMountBind && step == "open_tree" && r.Errno == syscall.EINVAL && !op.Has(plan.FlagRecursive):
		return joinDetail(r.Detail, "in a user namespace a directory with mounts below it can be bound only with rbind, which does not uncover what they hide")
	case op.Code == plan.OpLsmExec && r.Errno == syscall.EINVAL && strings.HasPrefix(op.Field, "process.selinux"):
		return "SELinux's policy knows no such label"
	case op.Code == plan.OpSeccompNotify && step == "clone" && r.Errno == syscall.EAGAIN:
		return "handing the listener over takes a second task for a moment, and RLIMIT_NPROC of the user or linux.resources.pids.limit leaves none"
	case op.Code == plan.OpOomScore && r.Errno == syscall.EACCES:
		return "only CAP_SYS_RESOURCE may lower it"
	}
	return r.Detail
}

func joinDetail(a, b string) string {
	if a == "" {
		return b
	}
	return a + ": " + b
}

// refusedMount says why the kernel does not mount a pseudo file system in a user
// namespace: it shows a namespace of others, or more than the caller may see of the
// one that is mounted already (mount_too_revealing in fs/namespace.c).
func refusedMount(fstype, mountinfo string) string {
	flag := map[string]string{"sysfs": "a network", "mqueue": "an ipc", "proc": "a pid"}[fstype]
	if flag == "" {
		return ""
	}
	text := fmt.Sprintf("%s can be mounted only with %s namespace that belongs to the container's user namespace", fstype, flag)
	if fstype == "mqueue" {
		return text
	}
	over, seen := hidden(fstype, mountinfo)
	switch {
	case len(over) > 0:
		text += ", and only where nothing hides a part of the " + fstype + " that is mounted here, as " + strings.Join(over, ", ") +
			" does: run the outer container without masked and read-only paths below it"
	case !seen:
		text += ", and only where a whole " + fstype + " is mounted already, which it is not here"
	}
	return text + "; or bind /" + map[string]string{"sysfs": "sys", "proc": "proc"}[fstype] + " instead"
}

// maxNamed bounds how many mounts a message names.
const maxNamed = 3

// hidden lists the mounts that lie over parts of a mounted file system, and says
// whether one is mounted at all with its root.
func hidden(fstype, mountinfo string) (over []string, seen bool) {
	at := ""
	for _, line := range strings.Split(mountinfo, "\n") {
		left, right, ok := strings.Cut(line, " - ")
		l := strings.Fields(left)
		if !ok || len(l) < 6 {
			continue
		}
		switch {
		case strings.HasPrefix(right, fstype+" ") && l[3] == "/":
			seen, at = true, l[4]
		case at != "" && strings.HasPrefix(l[4], at+"/") && !emptyBelow[l[4]]:
			if len(over) == maxNamed {
				return append(over, "others"), true
			}
			over = append(over, l[4])
		}
	}
	return over, seen
}

// emptyBelow are directories that the kernel itself made to be mounted on: they hide
// nothing (sysfs_create_mount_point, proc_create_mount_point).
var emptyBelow = map[string]bool{
	"/proc/sys/fs/binfmt_misc": true, "/proc/fs/nfsd": true, "/sys/fs/cgroup": true, "/sys/kernel/debug": true, "/sys/kernel/tracing": true,
	"/sys/kernel/security": true, "/sys/kernel/config": true, "/sys/fs/bpf": true, "/sys/fs/pstore": true, "/sys/fs/fuse/connections": true,
	"/sys/fs/selinux": true, "/sys/fs/resctrl": true, "/sys/firmware/efi/efivars": true, "/sys/hypervisor": true,
}

// setting reads a file of /proc/sys, "" where the kernel has none.
func setting(name string) string { return strings.TrimSpace(sys.Text("/proc/sys/" + name)) }

// refusedUserNamespace names the switch that forbids user namespaces.
func refusedUserNamespace(errno syscall.Errno, setting func(string) string) string {
	switch {
	case errno == syscall.ENOSPC && setting("user/max_user_namespaces") == "0":
		return "user namespaces are switched off; as root: sysctl user.max_user_namespaces=15000"
	case errno == syscall.ENOSPC:
		return "there are as many user namespaces as user.max_user_namespaces allows, or too many of them are nested"
	case errno == syscall.EUSERS:
		return "user namespaces are nested too deeply (user_namespaces(7))"
	case errno != syscall.EPERM && errno != syscall.EACCES:
		return ""
	case setting("kernel/unprivileged_userns_clone") == "0":
		return "an ordinary user may not make user namespaces here; as root: sysctl kernel.unprivileged_userns_clone=1"
	case setting("kernel/apparmor_restrict_unprivileged_userns") == "1":
		return "AppArmor keeps ordinary users from user namespaces here; as root: give tare a profile with \"userns,\", or" +
			" sysctl kernel.apparmor_restrict_unprivileged_userns=0"
	}
	return "user namespaces may be made only by a process that is not in a chroot, and whose own ids are mapped (user_namespaces(7)); a seccomp filter may forbid it too"
}
