/* Cgroups, namespaces and the processes between them. */
#include "ctx.h"

#include <linux/if.h>

#define PR_SET_DUMPABLE 4
#define KEYCTL_JOIN_SESSION_KEYRING 1
#define KEYCTL_SETPERM 5
/* What the kernel gives a session keyring, and KEY_USR_SEARCH. */
#define SESSION_PERM (0x3f000000 | 0x00010000 | 0x00020000 | 0x00100000 | 0x00080000)
#define SIOCGIFFLAGS_ 0x8913
#define SIOCSIFFLAGS_ 0x8914
#define CLONE_INTO_CGROUP_ 0x200000000ull
#define FORK_GO 'g' /* what the parent of a fork sends its sibling */

HANDLER(fd_seal)
{
	u32 from = (u32)op->num[FD_SEAL_FROM];
	long r = sys3(__NR_close_range, from, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
	if (r == -EINVAL) { /* before 5.11; EBADF is one that an earlier op has closed */
		for (u32 fd = from; fd <= c->last_fd; fd++)
			(void)sys3(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC);
		r = 0;
	}
	/* Behind the last one that was meant for this process lies only what some
	 * caller of the runtime has left open. */
	if (r == 0)
		r = sys3(__NR_close_range, c->last_fd + 1, ~0u, 0);
	return r < 0 ? fail(c, STEP_CLOSE_RANGE, r) : 0;
}

/* "0" means the writer, and in a tasks file (not cgroup.procs) the kernel then
 * takes no cgroup_threadgroup_rwsem: no RCU grace period, 0.4 ms for all
 * hierarchies instead of 7 to 25. It is right because the init has one thread. */
HANDLER(cgroup_join)
{
	owned_fd tasks = op_slot(c, op, CGROUP_JOIN_TASKS); /* not to be open while the container waits */
	long r = sys_write(tasks, "0", 1);
	return r < 0 ? fail(c, STEP_WRITE, r) : 0;
}

/* A file of this process, while /proc is the host's. */
static int open_own(struct ctx *c, const char *path)
{
	struct statfs sfs;
	owned_fd fd = sys_openat(AT_FDCWD, path, O_WRONLY | O_NOFOLLOW, 0);
	if (fd < 0)
		return fail(c, STEP_OPEN, fd);
	int r = sys_fstatfs(fd, &sfs);
	if (r < 0 || sfs.f_type != PROC_MAGIC)
		return fail(c, STEP_FSTATFS, r < 0 ? r : -EXDEV);
	return take_fd(&fd);
}

/* While the process still is the host's root: later, in a user namespace, the
 * file belongs to somebody else. */
HANDLER(oom_score)
{
	const char *v = op_str(c, op, OOM_SCORE_VALUE);
	owned_fd fd = open_own(c, "/proc/self/oom_score_adj");
	if (fd < 0)
		return fd;
	long n = sys_write(fd, v, str_len(v));
	return n < 0 ? fail(c, STEP_WRITE, n) : 0;
}

/* Files of a process that is not dumpable belong to root; whoever is not cannot
 * write the maps of his own user namespace then, and newuidmap(1) does not either.
 * In a namespace of its own, or in none but the caller's, this process can be
 * traced only by who can trace the runtime too. */
HANDLER(expose)
{
	(void)op;
	long r = sys5(__NR_prctl, PR_SET_DUMPABLE, 1, 0, 0, 0);
	if (r < 0)
		return fail(c, STEP_PRCTL, r);
	c->exposed = 1;
	return 0;
}

int cover_up(struct ctx *c)
{
	long r = c->exposed ? sys5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0) : 0;
	c->exposed = 0;
	return r < 0 ? fail(c, STEP_PRCTL, r) : 0;
}

HANDLER(ns_join)
{
	int covered = cover_up(c); /* whoever is in there must not trace this process */
	if (covered < 0)
		return covered;
	/* The groups go while they still can: a user namespace may deny setgroups(2),
	 * and those of the host must not come along. */
	if (op->num[NS_JOIN_TYPE] == CLONE_NEWUSER && !(op->flags & FLAG_KEEP_GROUPS))
		(void)sys2(__NR_setgroups, 0, NULL);
	long r = sys2(__NR_setns, op_slot(c, op, NS_JOIN_NS), op->num[NS_JOIN_TYPE]);
	return r < 0 ? fail(c, STEP_SETNS, r) : 0;
}

HANDLER(unshare)
{
	long r = sys1(__NR_unshare, op->num[UNSHARE_NEW]);
	return r < 0 ? fail(c, STEP_UNSHARE, r) : 0;
}

/* Early, while the process still is the host's root, or its user's: what is open
 * can be written later on, whatever namespaces it is in, and it need not be
 * dumpable there. The kernel asks for the privilege of who opened it. */
HANDLER(time_open)
{
	(void)op;
	int fd = open_own(c, "/proc/self/timens_offsets");
	if (fd < 0)
		return fd;
	c->slots[SLOT_TIME] = fd;
	return 0;
}

HANDLER(time_offset)
{
	const char *v = op_str(c, op, TIME_OFFSET_OFFSETS);
	owned_fd fd = c->slots[SLOT_TIME];
	c->slots[SLOT_TIME] = -EBADF;
	long n = sys_write(fd, v, str_len(v));
	return n < 0 ? fail(c, STEP_WRITE, n) : 0;
}

/* Goes on in a sibling: CLONE_PARENT makes it a child of the runtime, which can
 * wait for it, and which the sub-reaper of an engine then inherits. */
HANDLER(fork)
{
	struct clone_args args = {.flags = op->num[FORK_NEW] | CLONE_PARENT, .exit_signal = 0};
	owned_fd cgroup = op_slot(c, op, FORK_CGROUP);
	long pid;

	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP_;
		args.cgroup = (u64)cgroup;
	}

	/* CLONE_PARENT takes the exit signal from this process, so it must be 0 here;
	 * and the new process must report only when the host knows its pid. */
	int pair[2];
	long r = sys2(__NR_pipe2, pair, O_CLOEXEC);
	if (r < 0)
		return fail(c, STEP_PIPE, r);
	pid = sys2(__NR_clone3, &args, sizeof args);
	if (pid < 0)
		return fail(c, STEP_CLONE, pid);
	if (pid == 0) {
		/* Who am I: the process that becomes the container, in all of its new
		 * namespaces. The parent writes when the report is out; an end of file says
		 * that it could not, or was killed, and then the host knows of no sibling. */
		char b = 0;
		(void)sys_close(pair[1]);
		if (sys_read(pair[0], &b, 1) != 1 || b != FORK_GO)
			sys_exit(1);
		(void)sys_close(pair[0]);
		die_with_parent(c); /* which the clone did not inherit */
		return 0;
	}
	const char go = FORK_GO;
	r = send_report(c, REPORT_FORKED, 0, (u64)pid);
	if (r == 0)
		r = sys_write(pair[1], &go, 1);
	sys_exit(r < 0 ? 1 : 0);
}

HANDLER(become_root)
{
	/* Where setgroups is denied the inherited groups stay; that is the mapping's rule. */
	if (!(op->flags & FLAG_KEEP_GROUPS))
		(void)sys2(__NR_setgroups, 0, NULL);
	long r = sys3(__NR_setresgid, 0, 0, 0);
	if (r < 0)
		return fail(c, STEP_SETGID, r);
	r = sys3(__NR_setresuid, 0, 0, 0);
	if (r < 0)
		return fail(c, STEP_SETUID, r);
	die_with_parent(c); /* which a change of ids and of capabilities takes back */
	/* Also where it was not exposed: a change of ids may have left it dumpable. */
	c->exposed = 1;
	return cover_up(c);
}

HANDLER(session)
{
	(void)op;
	int covered = cover_up(c); /* where no namespace was entered */
	if (covered < 0)
		return covered;
	long r = sys0(__NR_setsid);
	return r < 0 ? fail(c, STEP_SETSID, r) : 0;
}

/* A kernel without keyrings has none to leak; any other failure would leave the
 * keys of the runtime's caller to the container. */
HANDLER(keyring)
{
	long r = sys2(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, op_str(c, op, KEYRING_NAME));
	if (r < 0)
		return r != -ENOSYS ? fail(c, STEP_KEYCTL, r) : 0;
	/* A later exec joins the same ring by its name, for which it must be allowed to
	 * search it. Who joins one that is there has no need, and maybe no right, to. */
	(void)sys3(__NR_keyctl, KEYCTL_SETPERM, r, SESSION_PERM);
	return 0;
}

HANDLER(loopback_up)
{
	struct ifreq ifr = {.ifr_name = "lo"};
	(void)op;
	owned_fd s = (int)sys3(__NR_socket, 2 /* AF_INET */, 02000002 /* SOCK_DGRAM|SOCK_CLOEXEC */, 0);
	if (s < 0)
		return fail(c, STEP_SOCKET, s);
	long r = sys3(__NR_ioctl, s, SIOCGIFFLAGS_, &ifr);
	if (r == 0) {
		ifr.ifr_flags = (short)(ifr.ifr_flags | IFF_UP);
		r = sys3(__NR_ioctl, s, SIOCSIFFLAGS_, &ifr);
	}
	return r < 0 ? fail(c, STEP_IOCTL, r) : 0;
}

HANDLER(hostname)
{
	const char *v = op_str(c, op, HOSTNAME_NAME);
	long r = sys2(__NR_sethostname, v, str_len(v));
	return r < 0 ? fail(c, STEP_SETHOSTNAME, r) : 0;
}

HANDLER(domainname)
{
	const char *v = op_str(c, op, DOMAINNAME_NAME);
	long r = sys2(__NR_setdomainname, v, str_len(v));
	return r < 0 ? fail(c, STEP_SETDOMAINNAME, r) : 0;
}
