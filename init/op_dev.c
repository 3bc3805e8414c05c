/* Directories, links and devices inside the root. */
#include "ctx.h"

#define AT_EMPTY_PATH_ 0x1000

HANDLER(dir_make)
{
	owned_fd fd = make_dir_in_root(c, op_str(c, op, DIR_MAKE_AT), (u32)op->num[DIR_MAKE_MODE], 0);
	return fd < 0 ? fail(c, STEP_MKDIR, fd) : 0;
}

HANDLER(symlink_make)
{
	const char *base;
	owned_fd dir = open_parent(c, op_str(c, op, SYMLINK_MAKE_AT), &base);
	if (dir < 0)
		return fail(c, STEP_MKDIR, dir);
	long r = sys3(__NR_symlinkat, op_str(c, op, SYMLINK_MAKE_TO), dir, base);
	return r < 0 && r != -EEXIST ? fail(c, STEP_SYMLINK, r) : 0;
}

/* Is fd the node that was meant? */
static int verify(struct ctx *c, int fd, u32 mode, u64 dev, struct stat *st)
{
	int r = sys_fstat(fd, st);
	if (r < 0)
		return fail(c, STEP_FSTAT, r);
	if ((st->st_mode & S_IFMT) != (mode & S_IFMT))
		return fail(c, STEP_IDENTITY, -EEXIST);
	if ((mode & S_IFMT) != S_IFIFO &&
	    (dev_major(st->st_rdev) != (u32)(dev >> 32) || dev_minor(st->st_rdev) != (u32)dev))
		return fail(c, STEP_IDENTITY, -EEXIST);
	return 0;
}

HANDLER(device_make)
{
	struct stat st;
	const char *base;
	u32 mode = (u32)op->num[DEVICE_MAKE_MODE];
	u64 dev = op->num[DEVICE_MAKE_DEV];
	u32 uid = (u32)op->num[DEVICE_MAKE_UID], gid = (u32)op->num[DEVICE_MAKE_GID];

	owned_fd dir = open_parent(c, op_str(c, op, DEVICE_MAKE_AT), &base);
	if (dir < 0)
		return fail(c, STEP_MKDIR, dir);
	long r = sys4(__NR_mknodat, dir, base, mode, dev_make((u32)(dev >> 32), (u32)dev));
	if (r < 0 && r != -EEXIST)
		return fail(c, STEP_MKNOD, r);
	if (r == 0 && uid == 0 && gid == 0)
		return 0; /* made by root with umask 0: mode and owner are right already */
	/* The name was there, or the owner is another: act on the node, not on the name. */
	owned_fd fd = sys_openat2(dir, base, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_BENEATH);
	if (fd < 0)
		return fail(c, STEP_OPENAT2, fd);
	int v = verify(c, fd, mode, dev, &st);
	if (v < 0)
		return v;
	if (st.st_uid == uid && st.st_gid == gid)
		return 0;
	r = sys5(__NR_fchownat, fd, "", uid, gid, AT_EMPTY_PATH_);
	return r < 0 ? fail(c, STEP_CHOWN, r) : 0;
}

HANDLER(device_bind)
{
	struct stat st;
	struct op target_op = *op;
	const char *source = op_str(c, op, DEVICE_BIND_SOURCE);

	owned_fd src = sys_openat(AT_FDCWD, source, O_PATH, 0);
	if (src < 0) {
		detail(c, source);
		return fail(c, STEP_OPEN, src);
	}
	int r = verify(c, src, (u32)op->num[DEVICE_BIND_MODE], op->num[DEVICE_BIND_DEV], &st);
	if (r < 0)
		return r;
	owned_fd tree = sys_open_tree(src, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH_);
	if (tree < 0)
		return fail(c, STEP_OPEN_TREE, tree);
	target_op.flags = FLAG_MAKE_FILE;
	owned_fd target = open_target(c, &target_op, op_str(c, op, DEVICE_BIND_AT));
	return target < 0 ? target : attach(c, tree, target);
}

HANDLER(null_open)
{
	struct stat st;
	(void)op;
	owned_fd fd = sys_openat(AT_FDCWD, "/dev/null", O_PATH | O_NOFOLLOW, 0);
	if (fd < 0)
		return fail(c, STEP_OPEN, fd);
	/* A container's /dev/null can be anything (CVE-2025-31133): this one is the
	 * host's, and is looked at before it is used. */
	int r = verify(c, fd, S_IFCHR, (u64)1 << 32 | 3, &st);
	if (r < 0)
		return r;
	int tree = sys_open_tree(fd, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH_);
	if (tree < 0)
		return fail(c, STEP_OPEN_TREE, tree);
	c->slots[SLOT_NULL] = tree;
	return 0;
}
