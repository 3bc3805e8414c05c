package plan

// Step names the system call, or the check, at which an op failed. The init
// reports its number.
type Step uint32

// Steps in the order of the C enum; the header is generated from this list.
var stepNames = []string{
	"none", "check", "openat2", "open", "read", "write", "mkdir", "mknod", "symlink", "readlink", "chown", "chmod", "fstat", "fstatfs",
	"fsopen", "fsconfig", "fsmount", "open_tree", "move_mount", "mount_setattr", "mount", "umount", "fchdir", "chdir",
	"pivot_root", "chroot", "setns", "unshare", "clone", "setsid", "keyctl", "sethostname", "setdomainname",
	"socket", "ioctl", "setrlimit", "personality", "sched_setattr", "ioprio_set", "sched_setaffinity", "set_mempolicy", "prctl", "seccomp",
	"capget", "capset", "setgroups", "setgid", "setuid", "getcwd", "poll", "send", "receive", "close_range", "execve", "pipe",
	"memfd_create", "wait", "kill", "lookup", "mmap", "getdents", "utimens", "timeout", "exit", "signal", "identity", "not-a-directory",
	"symlink-refused", "outside-root", "not-found-in-path", "is-directory", "fspick", "hook", "sendmsg", "dup", "not-mounted",
}

// String returns the step's name.
func (s Step) String() string {
	if int(s) < len(stepNames) {
		return stepNames[s]
	}
	return "unknown step"
}
