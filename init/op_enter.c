/* Into a container that runs already: what an exec does instead of making one. */
#include "ctx.h"

#define PR_SET_DUMPABLE 4

/* In the order in which they have to be joined one by one: the mount namespace
 * last, because paths mean something else after it, and the user namespace
 * before none of them, because only the runtime's privilege reaches all. */
static const struct {
	u32 flag;
	char file[8];
} ns_files[] = {
	{CLONE_NEWNET, "net"}, {CLONE_NEWIPC, "ipc"}, {CLONE_NEWUTS, "uts"}, {CLONE_NEWCGROUP, "cgroup"},
	{0x80 /* CLONE_NEWTIME */, "time"}, {CLONE_NEWPID, "pid"}, {CLONE_NEWNS, "mnt"}, {CLONE_NEWUSER, "user"},
};
#define NS_COUNT (sizeof ns_files / sizeof ns_files[0])

/* A kernel, or somebody's filter, that knows no setns(2) by pidfd (Linux 5.8).
 * The files are opened first and used only if the process still is the one that
 * the pidfd stands for, so that they cannot be those of another. */
static long join_one_by_one(struct ctx *c, const struct op *op, int target)
{
	int fds[NS_COUNT];
	long r = 0;
	size_t open = 0;

	for (; open < NS_COUNT; open++) {
		fds[open] = -EBADF;
		if (!(op->num[NS_ENTER_TYPES] & ns_files[open].flag))
			continue;
		size_t n = put_str(c->path, 0, sizeof c->path, "/proc/");
		n = put_num(c->path, n, sizeof c->path, op->num[NS_ENTER_PID]);
		n = put_str(c->path, n, sizeof c->path, "/ns/");
		(void)put_str(c->path, n, sizeof c->path, ns_files[open].file);
		r = fds[open] = sys_openat(AT_FDCWD, c->path, O_RDONLY, 0);
		if (r < 0)
			break;
	}
	if (r >= 0)
		r = sys4(__NR_pidfd_send_signal, target, 0, NULL, 0);
	for (size_t i = 0; i < open; i++) {
		if (fds[i] < 0)
			continue;
		if (r >= 0)
			r = sys2(__NR_setns, fds[i], ns_files[i].flag);
		(void)sys_close(fds[i]);
	}
	return r;
}

HANDLER(ns_enter)
{
	int target = op_slot(c, op, NS_ENTER_TARGET);

	int covered = cover_up(c); /* as in ns-join, */
	if (covered < 0)
		return covered;
	/* and the groups go while they still can. */
	if (op->num[NS_ENTER_TYPES] & CLONE_NEWUSER && !(op->flags & FLAG_KEEP_GROUPS))
		(void)sys2(__NR_setgroups, 0, NULL);
	long r = sys2(__NR_setns, target, op->num[NS_ENTER_TYPES]);
	if (r == -EINVAL && op->num[NS_ENTER_PID] != 0) /* else /proc is not the host's any more */
		r = join_one_by_one(c, op, target);
	if (r < 0)
		return fail(c, STEP_SETNS, r);
	(void)sys5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	if (op->flags & FLAG_CLOSE) {
		(void)sys_close(target);
		c->slots[op->num[NS_ENTER_TARGET]] = -EBADF;
	}
	return 0;
}

/* At once, and not with what else is set at the end: joining a cgroup has given
 * this process all CPUs of it, which may be others' own. */
HANDLER(cpu_enter)
{
	return set_cpus(c, op, CPU_ENTER_MASK);
}

/* Joining a mount namespace has moved this process to its root. Where none was
 * joined the container has been chrooted, and so is this process. */
HANDLER(root_enter)
{
	owned_fd root = op_slot(c, op, ROOT_ENTER_ROOT);
	int r = 0;

	if (root >= 0) {
		r = (int)sys1(__NR_fchdir, root);
		r = r < 0 ? fail(c, STEP_FCHDIR, r) : chroot_here(c);
	} else {
		r = (int)sys1(__NR_chdir, "/");
		r = r < 0 ? fail(c, STEP_CHDIR, r) : 0;
	}
	if (r < 0)
		return r;
	int fd = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	if (fd < 0)
		return fail(c, STEP_OPEN, fd);
	c->slots[SLOT_ROOT] = fd;
	return 0;
}
