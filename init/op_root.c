/* The root: made a mount, entered, sealed. */
#include "ctx.h"

#define MNT_DETACH 2
#define AT_RECURSIVE_ 0x8000u
#define AT_EMPTY_PATH_ 0x1000u

HANDLER(mount_propagation)
{
	int r = sys_mount("", "/", NULL, op->num[MOUNT_PROPAGATION_TO], NULL);
	return r < 0 ? fail(c, STEP_MOUNT, r) : 0;
}

/* The mount that holds the root must not be shared, or mounts made inside would
 * appear on the host, and pivot_root(2) would refuse. mount(2) takes only the
 * top of a mount (EINVAL elsewhere), so walk up until it does. */
static int parent_private(struct ctx *c, const char *path)
{
	size_t n = put_str(c->path, 0, sizeof c->path, path);

	if (n >= sizeof c->path)
		return fail(c, STEP_CHECK, -ENAMETOOLONG);
	for (;;) {
		int r = sys_mount("", c->path, NULL, MS_PRIVATE, NULL);
		if (r != -EINVAL)
			return r < 0 ? fail(c, STEP_MOUNT, r) : 0;
		while (n > 0 && c->path[n - 1] == '/')
			n--;
		while (n > 0 && c->path[n - 1] != '/')
			n--;
		if (n == 0)
			return fail(c, STEP_MOUNT, r);
		c->path[n > 1 ? n - 1 : n] = 0;
		if (n > 1)
			n--;
	}
}

/* A tree that the host has opened lies where it was, as hooks expect that look into
 * this mount namespace. Where the way there leads through a directory that the root
 * of a user namespace may not enter, it lies over the old root. It still is a peer of
 * the host's mounts and becomes their slave; where the root is to be shared, what is
 * mounted below it gets peers of its own. */
static int root_tree(struct ctx *c, const struct op *op)
{
	const char *path = op_str(c, op, ROOT_BIND_PATH);
	int tree = op_slot(c, op, ROOT_BIND_TREE);
	int shared = op->flags & FLAG_PARENT_PRIVATE;

	owned_fd target = sys_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (target == -EACCES) {
		c->root_over = 1;
		path = "/";
		target = sys_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	}
	if (target < 0)
		return fail(c, STEP_OPEN, target);
	int r = shared ? parent_private(c, path) : 0;
	if (r == 0)
		r = attach(c, tree, target);
	if (r == 0)
		r = set_attr(c, tree, 0, MS_SLAVE | MS_REC, 0);
	if (r == 0 && shared) {
		r = set_attr(c, tree, 0, MS_SHARED | MS_REC, 0);
		if (r == 0)
			r = set_attr(c, tree, 0, MS_PRIVATE, 0);
	}
	if (r < 0)
		return r;
	c->slots[SLOT_ROOT] = tree;
	return 0;
}

HANDLER(root_bind)
{
	const char *path = op_str(c, op, ROOT_BIND_PATH);

	if (op->num[ROOT_BIND_TREE])
		return root_tree(c, op);
	if (op->flags & FLAG_PARENT_PRIVATE) {
		int r = parent_private(c, path);
		if (r < 0)
			return r;
	}
	owned_fd target = sys_openat(AT_FDCWD, path, O_PATH | O_DIRECTORY, 0);
	if (target < 0)
		return fail(c, STEP_OPEN, target);
	u32 flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH_ | (op->flags & FLAG_RECURSIVE ? AT_RECURSIVE_ : 0);
	owned_fd tree = sys_open_tree(target, "", flags);
	if (tree < 0)
		return fail(c, STEP_OPEN_TREE, tree);
	int r = attach(c, tree, target);
	if (r == 0 && op->flags & FLAG_PRIVATE) /* afterwards: a shared parent makes what it receives shared */
		r = set_attr(c, tree, 0, MS_PRIVATE | MS_REC, 0);
	if (r < 0)
		return r;
	c->slots[SLOT_ROOT] = take_fd(&tree);
	return 0;
}

HANDLER(root_pivot)
{
	(void)op;
	owned_fd old = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	if (old < 0)
		return fail(c, STEP_OPEN, old);
	long r = sys1(__NR_fchdir, c->slots[SLOT_ROOT]);
	if (r < 0)
		return fail(c, STEP_FCHDIR, r);
	/* The old root ends up on top of the new one: no directory is needed for it. */
	r = sys2(__NR_pivot_root, ".", ".");
	if (r < 0)
		return fail(c, STEP_PIVOT_ROOT, r);
	r = sys1(__NR_fchdir, old);
	if (r < 0)
		return fail(c, STEP_FCHDIR, r);
	/* Unmounting must not travel to the host; slaves still let the host's unmounts in. */
	r = sys_mount("", ".", NULL, MS_SLAVE | MS_REC, NULL);
	if (r < 0)
		return fail(c, STEP_MOUNT, r);
	r = sys2(__NR_umount2, ".", MNT_DETACH);
	if (r < 0)
		return fail(c, STEP_UMOUNT, r);
	r = sys1(__NR_chdir, "/");
	return r < 0 ? fail(c, STEP_CHDIR, r) : 0;
}

/* The working directory becomes the root. */
int chroot_here(struct ctx *c)
{
	long r = sys1(__NR_chroot, ".");
	if (r < 0)
		return fail(c, STEP_CHROOT, r);
	r = sys1(__NR_chdir, "/");
	return r < 0 ? fail(c, STEP_CHDIR, r) : 0;
}

HANDLER(root_move)
{
	(void)op;
	long r = sys1(__NR_fchdir, c->slots[SLOT_ROOT]);
	if (r < 0)
		return fail(c, STEP_FCHDIR, r);
	if (!c->root_over) /* else it is there */
		r = sys_mount(".", "/", NULL, MS_MOVE, NULL);
	return r < 0 ? fail(c, STEP_MOUNT, r) : chroot_here(c);
}

HANDLER(root_chroot)
{
	(void)op;
	long r = sys1(__NR_fchdir, c->slots[SLOT_ROOT]);
	return r < 0 ? fail(c, STEP_FCHDIR, r) : chroot_here(c);
}

HANDLER(root_attr)
{
	return set_attr(c, c->slots[SLOT_ROOT], op->num[ROOT_ATTR_ATTR], op->num[ROOT_ATTR_PROPAGATION], 0);
}

/* What masks a directory: one tmpfs for all of them, read-only and without room
 * for a single inode, so that masking costs no superblock each. */
HANDLER(mask_prepare)
{
	(void)op;
	owned_fd fs = (int)sys2(__NR_fsopen, "tmpfs", FSOPEN_CLOEXEC);
	if (fs < 0)
		return fail(c, STEP_FSOPEN, fs);
	long r = sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "nr_inodes", "1", 0);
	if (r == 0)
		r = sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "size", "4096", 0);
	if (r == 0)
		r = sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "mode", "0555", 0);
	if (r == 0)
		r = sys5(__NR_fsconfig, fs, FSCONFIG_SET_FLAG, "ro", 0, 0);
	if (r == 0)
		r = sys5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (r < 0)
		return fail(c, STEP_FSCONFIG, r);
	int mnt = (int)sys3(__NR_fsmount, fs, FSMOUNT_CLOEXEC,
			    MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	if (mnt < 0)
		return fail(c, STEP_FSMOUNT, mnt);
	c->slots[SLOT_MASK] = mnt;
	return 0;
}

/* A detached mount may be attached, but on kernels before 6.15 not cloned; an
 * attached one may be cloned. So the first use attaches it and later ones clone. */
static int cover_with(struct ctx *c, enum plan_slot slot, u8 *attached, int target)
{
	if (!*attached) {
		int r = attach(c, c->slots[slot], target);
		*attached = r == 0;
		return r;
	}
	owned_fd copy = sys_open_tree(c->slots[slot], "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH_);
	return copy < 0 ? fail(c, STEP_OPEN_TREE, copy) : attach(c, copy, target);
}

/* The open of a path to be covered has failed. */
static int not_covered(struct ctx *c, int err)
{
	if (err == -ENOENT || err == -ENOTDIR)
		return 0; /* nothing there to be seen */
	if (err == -ELOOP)
		detail(c, "is a magic link, or links in a circle, and cannot be covered");
	return fail(c, STEP_OPENAT2, err);
}

HANDLER(path_mask)
{
	struct stat st;
	owned_fd target = open_in_root(c, op_str(c, op, PATH_MASK_PATH), O_PATH);
	if (target < 0)
		return not_covered(c, target);
	int r = sys_fstat(target, &st);
	if (r < 0)
		return fail(c, STEP_FSTAT, r);
	if ((st.st_mode & S_IFMT) == S_IFDIR)
		return cover_with(c, SLOT_MASK, &c->mask_attached, target);
	return cover_with(c, SLOT_NULL, &c->null_attached, target);
}

HANDLER(path_readonly)
{
	owned_fd target = open_in_root(c, op_str(c, op, PATH_READONLY_PATH), O_PATH);
	if (target < 0)
		return not_covered(c, target);
	owned_fd tree = sys_open_tree(target, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH_ | AT_RECURSIVE_);
	if (tree < 0)
		return fail(c, STEP_OPEN_TREE, tree);
	return attach_with(c, tree, target, MOUNT_ATTR_RDONLY, 0);
}
