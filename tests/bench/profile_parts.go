package main

import "strings"

// The parts that processor time is divided into, in the order of the tables.
const (
	partGo      = "the Go program itself"
	partInit    = "the init itself"
	partPayload = "the payload itself"
	partExec    = "kernel: execve, starting programs"
	partFaults  = "kernel: page faults, memory maps"
	partClone   = "kernel: clone and namespaces"
	partMounts  = "kernel: mounts"
	partCgroups = "kernel: cgroups"
	partFiles   = "kernel: files"
	partExit    = "kernel: exits"
	partSwitch  = "kernel: locks, waiting, signals"
	partRights  = "kernel: capabilities, limits, filters"
	partEntry   = "kernel: entering and leaving it"
	partOther   = "kernel: interrupts, and the rest"
)

// profileParts lists them.
var profileParts = []string{partGo, partInit, partPayload, partExec, partFaults, partClone, partMounts, partCgroups, partFiles, partExit, partSwitch, partRights, partEntry, partOther}

// entryParts maps system calls, without the prefix of their kernel function.
var entryParts = func() map[string]string {
	parts := map[string]string{}
	for part, names := range map[string]string{
		partExec:   "execve execveat",
		partFaults: "mmap munmap mprotect madvise brk mremap",
		partClone:  "clone clone3 fork vfork unshare setns sethostname setdomainname keyctl setsid",
		partMounts: "mount umount umount2 open_tree move_mount fsopen fsconfig fsmount fspick mount_setattr pivot_root",
		partFiles: "open openat openat2 read write pread64 pwrite64 readv writev close close_range fstat newfstatat newfstat statx statfs fstatfs lseek mkdir mkdirat " +
			"rmdir unlink unlinkat rename renameat renameat2 symlinkat mknodat readlink readlinkat fcntl dup3 dup2 pipe2 flock getdents64 fchmod fchmodat fchown fchownat " +
			"ioctl memfd_create chdir fchdir ftruncate faccessat faccessat2 utimensat link linkat sendmsg recvmsg recvfrom sendto socket socketpair connect",
		partExit:   "exit exit_group",
		partRights: "prctl capset capget prlimit64 setrlimit seccomp setuid setgid setresuid setresgid setgroups umask sched_setaffinity sched_getaffinity arch_prctl",
		partSwitch: "futex nanosleep clock_nanosleep sched_yield epoll_pwait epoll_wait epoll_create1 epoll_ctl eventfd2 wait4 waitid poll ppoll pause rt_sigaction rt_sigprocmask rt_sigreturn sigaltstack tgkill kill pselect6",
	} {
		for _, name := range strings.Fields(names) {
			parts[name] = part
		}
	}
	return parts
}()

// innerParts are functions of the kernel that are called for what a sample is,
// where the compiler has left no function of the system call's own.
var innerParts = map[string]string{
	"ksys_read": partFiles, "ksys_write": partFiles, "__fput": partFiles, "task_work_run": partFiles,
	"vm_mmap_pgoff": partFaults, "do_exit": partExit,
	"kernel_wait4": partSwitch, "schedule": partSwitch, "arch_do_signal_or_restart": partSwitch,
	"ret_from_fork": partClone, "ret_from_fork_asm": partClone, "schedule_tail": partClone,
	"do_syscall_64": partEntry,
}

// partOf says where a sample belongs. chain has the innermost frame first.
func partOf(comm string, chain []frame) string {
	if !chain[0].kernel {
		switch {
		case strings.Contains(comm, "init"):
			return partInit
		case comm == "payload" || comm == "busybox":
			return partPayload
		}
		return partGo
	}
	part := partOther
	for _, f := range chain {
		if !f.kernel {
			break
		}
		s := f.symbol
		// What a file system does says more than the call that led there.
		switch {
		case strings.HasPrefix(s, "cgroup") || strings.HasPrefix(s, "kernfs_") || strings.HasPrefix(s, "css_"):
			return partCgroups
		case s == "cleanup_mnt" || s == "__cleanup_mnt" || s == "namespace_unlock" || s == "put_mnt_ns" || s == "deactivate_super":
			return partMounts
		case s == "free_nsproxy" || s == "switch_task_namespaces" || s == "copy_process" || s == "copy_net_ns":
			return partClone
		case strings.Contains(s, "page_fault"):
			part = partFaults
		}
		if part != partOther {
			continue
		}
		part = or(innerParts[s], partOther)
		for _, prefix := range []string{"__x64_sys_", "__arm64_sys_", "__do_sys_", "__se_sys_"} {
			if name, ok := strings.CutPrefix(s, prefix); ok {
				part = or(entryParts[name], part)
			}
		}
	}
	return part
}

// or returns the first that is not empty.
func or(first, second string) string {
	if first != "" {
		return first
	}
	return second
}
