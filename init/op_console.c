/* The terminal of a container: a pair of its own devpts, whose master leaves the
 * container by a socket. */
#include "ctx.h"

#define DEVPTS_MAGIC 0x1cd1
#define TIOCSCTTY_ 0x540E
#define TIOCSWINSZ_ 0x5414
#define TIOCGPTN_ 0x80045430u
#define TIOCSPTLCK_ 0x40045431u
#define TIOCGPTPEER_ 0x5441
#define MSG_NOSIGNAL 0x4000
#define O_NOCTTY_ 0400
#define O_RDWR_ 2

/* What is at /dev/pts/ptmx in a container can be anything; it has to be the
 * master's device on a devpts. The slave comes from the master itself, not from
 * a path that somebody may have replaced (CVE-2025-52565). */
static int open_pair(struct ctx *c, int *ret_slave, u32 *ret_number)
{
	struct statfs sfs;
	struct stat st;
	int unlock = 0;

	owned_fd master = open_in_root(c, "/dev/pts/ptmx", O_RDWR_ | O_NOCTTY_ | O_NOFOLLOW);
	if (master < 0) {
		detail(c, "/dev/pts/ptmx");
		return fail(c, STEP_OPENAT2, master);
	}
	int r = sys_fstatfs(master, &sfs);
	if (r == 0)
		r = sys_fstat(master, &st);
	if (r < 0)
		return fail(c, STEP_FSTATFS, r);
	if (sfs.f_type != DEVPTS_MAGIC || (st.st_mode & S_IFMT) != S_IFCHR || dev_major(st.st_rdev) != 5 ||
	    dev_minor(st.st_rdev) != 2) {
		detail(c, "/dev/pts/ptmx is not of a devpts");
		return fail(c, STEP_IDENTITY, -ENODEV);
	}
	long l = sys3(__NR_ioctl, master, TIOCSPTLCK_, &unlock);
	if (l == 0)
		l = sys3(__NR_ioctl, master, TIOCGPTN_, ret_number);
	if (l == 0)
		l = sys3(__NR_ioctl, master, TIOCGPTPEER_, O_RDWR_ | O_NOCTTY_ | O_CLOEXEC);
	if (l < 0)
		return fail(c, STEP_IOCTL, l);
	*ret_slave = (int)l;
	return take_fd(&master);
}

/* One message: the terminal's name and its master. */
static long send_master(int socket, int master, const char *name, size_t len)
{
	struct {
		size_t len;
		int level, type;
		int fd, pad;
	} control = {.len = 8 + 8 + sizeof(int), .level = 1 /* SOL_SOCKET */, .type = 1 /* SCM_RIGHTS */, .fd = master};
	struct {
		const char *base;
		size_t len;
	} iov = {name, len};
	struct {
		void *name;
		u32 namelen, pad;
		void *iov;
		size_t iovlen;
		void *control;
		size_t controllen;
		u32 flags, pad2;
	} msg = {.iov = &iov, .iovlen = 1, .control = &control, .controllen = sizeof control};
	long r;

	do
		r = sys3(__NR_sendmsg, socket, &msg, MSG_NOSIGNAL);
	while (r == -EINTR);
	return r;
}

/* /dev/console is the terminal, too: bound, so that it opens the same one. */
static int bind_console(struct ctx *c, int slave)
{
	struct op target = {.flags = FLAG_MAKE_FILE};

	owned_fd tree = sys_open_tree(slave, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | 0x1000 /* AT_EMPTY_PATH */);
	if (tree < 0)
		return fail(c, STEP_OPEN_TREE, tree);
	owned_fd at = open_target(c, &target, "/dev/console");
	return at < 0 ? at : attach(c, tree, at);
}

HANDLER(console)
{
	char name[32];
	u32 number = 0;
	owned_fd slave = -EBADF;
	owned_fd socket = op_slot(c, op, CONSOLE_SOCKET);
	owned_fd master = open_pair(c, &slave, &number);

	if (master < 0)
		return master;
	if (op->num[CONSOLE_ROWS] || op->num[CONSOLE_COLUMNS]) {
		u16 size[4] = {(u16)op->num[CONSOLE_ROWS], (u16)op->num[CONSOLE_COLUMNS], 0, 0};
		long r = sys3(__NR_ioctl, slave, TIOCSWINSZ_, size);
		if (r < 0)
			return fail(c, STEP_IOCTL, r);
	}
	if (op->flags & FLAG_BIND) {
		int r = bind_console(c, slave);
		if (r < 0)
			return r;
	}
	size_t n = put_str(name, 0, sizeof name, "/dev/pts/");
	n = put_num(name, n, sizeof name, number);
	long r = send_master(socket, master, name, n);
	if (r < 0)
		return fail(c, STEP_SENDMSG, r);
	/* This process leads a session that has no terminal yet. It gets one when the
	 * master is somebody else's, whose end then hangs up. */
	r = sys3(__NR_ioctl, slave, TIOCSCTTY_, 0);
	if (r < 0)
		return fail(c, STEP_IOCTL, r);
	for (int fd = 0; fd < 3; fd++) {
		r = sys3(__NR_dup3, slave, fd, 0);
		if (r < 0)
			return fail(c, STEP_DUP, r);
	}
	return 0;
}
