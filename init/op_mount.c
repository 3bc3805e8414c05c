/* Mounts inside the root. Each is made detached, gets its attributes, and is
 * then attached to the descriptor of its target, so that nothing half-made is
 * ever seen under a name. */
#include "ctx.h"

#define WALL_ 0x40000000

/* Passes on what the file system's own log says, "e tmpfs: Bad value for 'size'". */
static void fs_log(struct ctx *c, int fs)
{
	char line[256];
	for (int i = 0; i < 4; i++) {
		long n = sys_read(fs, line, sizeof line - 1);
		if (n <= 2)
			return;
		line[n] = 0;
		if (line[n - 1] == '\n')
			line[n - 1] = 0;
		if (line[0] == 'e' || line[0] == 'w') {
			detail(c, c->report.detail_len ? "; " : "");
			detail(c, line + 2);
		}
	}
}

/* One option, "key" or "key=value". */
static long fs_option(int fs, const char *opt)
{
	char key[256];
	size_t n = 0;

	while (opt[n] && opt[n] != '=' && n + 1 < sizeof key) {
		key[n] = opt[n];
		n++;
	}
	if (n == 0 || n + 1 >= sizeof key)
		return -EINVAL;
	key[n] = 0;
	if (opt[n] == '=')
		return sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, key, opt + n + 1, 0);
	return sys5(__NR_fsconfig, fs, FSCONFIG_SET_FLAG, key, 0, 0);
}

static int fs_options(struct ctx *c, const struct op *op, int blob, int fs)
{
	u32 len;
	const char *opt = (const char *)op_blob(c, op, blob, &len);

	for (u32 i = 0; i < len; i += (u32)str_len(opt + i) + 1) {
		long r = fs_option(fs, opt + i);
		if (r < 0) {
			fs_log(c, fs);
			detail(c, c->report.detail_len ? "; option " : "option ");
			detail(c, opt + i);
			return fail(c, STEP_FSCONFIG, r);
		}
	}
	return 0;
}

/* A detached mount of a new file system. */
static int detached_fs(struct ctx *c, const struct op *op, const char *type, const char *source, int options, u32 attr)
{
	owned_fd fs = (int)sys2(__NR_fsopen, type, FSOPEN_CLOEXEC);
	if (fs < 0)
		return fail(c, STEP_FSOPEN, fs);
	if (*source) {
		long r = sys5(__NR_fsconfig, fs, FSCONFIG_SET_STRING, "source", source, 0);
		if (r < 0) {
			fs_log(c, fs);
			return fail(c, STEP_FSCONFIG, r);
		}
	}
	int r = fs_options(c, op, options, fs);
	if (r < 0)
		return r;
	r = (int)sys5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0);
	if (r < 0) {
		fs_log(c, fs);
		return fail(c, STEP_FSCONFIG, r);
	}
	int mnt = (int)sys3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, attr);
	return mnt < 0 ? fail(c, STEP_FSMOUNT, mnt) : mnt;
}

static int new_fs(struct ctx *c, const struct op *op, const char *type, const char *source)
{
	return detached_fs(c, op, type, source, MOUNT_FS_OPTIONS, (u32)op->num[MOUNT_FS_ATTR]);
}

/* While there still is privilege over the namespace that the file system shows. A
 * procfs shows that of its maker, and a joined pid namespace holds for children:
 * so one makes it, and leaves the descriptor in the table that both share. */
HANDLER(fs_open)
{
	const char *type = op_str(c, op, FS_OPEN_TYPE);
	if (!str_eq(type, "proc")) {
		int mnt = detached_fs(c, op, type, type, FS_OPEN_OPTIONS, 0);
		if (mnt >= 0)
			c->slots[op->num[FS_OPEN_INTO]] = mnt;
		return mnt < 0 ? mnt : 0;
	}
	/* The place in the table is taken before, so that both know its number. */
	owned_fd place = sys_openat(AT_FDCWD, "/", O_PATH | O_DIRECTORY, 0);
	if (place < 0)
		return fail(c, STEP_OPEN, place);
	struct clone_args args = {.flags = CLONE_FILES | CLONE_VFORK, .exit_signal = 0};
	long pid = sys2(__NR_clone3, &args, sizeof args);
	if (pid < 0)
		return fail(c, STEP_CLONE, pid);
	if (pid == 0) {
		/* Who am I: a child in the joined pid namespace, for this one thing. */
		int mnt = detached_fs(c, op, type, type, FS_OPEN_OPTIONS, 0);
		long r = mnt < 0 ? mnt : sys3(__NR_dup3, mnt, place, O_CLOEXEC);
		if (mnt >= 0)
			(void)sys_close(mnt);
		sys_exit(r < 0 ? (int)-r : 0);
	}
	int status = 0;
	long r;
	do
		r = sys4(__NR_wait4, pid, &status, WALL_, NULL);
	while (r == -EINTR);
	if (r < 0)
		return fail(c, STEP_CLONE, r);
	if (status)
		return fail(c, STEP_FSMOUNT, -((status & 0x7f) ? EIO : (status >> 8 & 0xff)));
	c->slots[op->num[FS_OPEN_INTO]] = take_fd(&place);
	return 0;
}

/* A value of more than 255 bytes does not fit fsconfig(2): overlay's lowerdir.
 * mount(2) takes a page of options, but only a path for the target; the one that
 * names a descriptor for sure lies in a procfs that we opened ourselves. */
static int legacy_fs(struct ctx *c, const struct op *op, int target)
{
	static char data[4096];
	char name[64];
	u32 len;
	size_t n = 0;
	const char *opt = (const char *)op_blob(c, op, MOUNT_FS_OPTIONS, &len);

	for (u32 i = 0; i < len; i += (u32)str_len(opt + i) + 1) {
		n = put_str(data, n, sizeof data, n ? "," : "");
		n = put_str(data, n, sizeof data, opt + i);
	}
	if (n >= sizeof data)
		return fail(c, STEP_MOUNT, -E2BIG);
	owned_fd cwd = sys_openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0);
	if (cwd < 0)
		return fail(c, STEP_OPEN, cwd);
	owned_fd proc = open_proc(c);
	if (proc < 0)
		return proc;
	int r = (int)sys1(__NR_fchdir, proc);
	if (r < 0)
		return fail(c, STEP_FCHDIR, r);
	(void)put_num(name, put_str(name, 0, sizeof name, "self/fd/"), sizeof name, (u64)target);
	ulong flags = ms_flags((u32)op->num[MOUNT_FS_ATTR]) | op->num[MOUNT_FS_MS];
	r = sys_mount(op_str(c, op, MOUNT_FS_SOURCE), name, op_str(c, op, MOUNT_FS_TYPE), flags, data);
	(void)sys1(__NR_fchdir, cwd);
	return r < 0 ? fail(c, STEP_MOUNT, r) : 0;
}

/* Does the config itself say what the new root's mode or owner is? */
static int has_option(const struct ctx *c, const struct op *op, const char *prefix)
{
	u32 len;
	size_t n = str_len(prefix);
	const char *opt = (const char *)op_blob(c, op, MOUNT_FS_OPTIONS, &len);

	for (u32 i = 0; i < len; i += (u32)str_len(opt + i) + 1) {
		size_t k = 0;
		while (k < n && opt[i + k] == prefix[k])
			k++;
		if (k == n)
			return 1;
	}
	return 0;
}

HANDLER(mount_fs)
{
	const char *at = op_str(c, op, MOUNT_FS_AT);
	owned_fd tree = op_slot(c, op, MOUNT_FS_ELSE); /* not to be open while the container waits */
	struct stat covered = {0};
	if (op->flags & FLAG_KEEP_MODE) {
		owned_fd old = open_in_root(c, at, O_PATH | O_DIRECTORY);
		if (old >= 0)
			(void)sys_fstat(old, &covered); /* a target still to be made has no mode to keep */
	}
	int keep_mode = has_option(c, op, "mode=") || has_option(c, op, "uid=") || has_option(c, op, "gid=");
	owned_fd target = open_target(c, op, at);
	if (target < 0)
		return target;
	owned_fd from = -EBADF;
	if (op->flags & FLAG_COPY_UP) {
		from = open_in_root(c, at, O_RDONLY | O_DIRECTORY);
		if (from < 0)
			return fail(c, STEP_OPENAT2, from);
	}
	if (op->flags & FLAG_LEGACY) {
		int r = legacy_fs(c, op, target);
		if (r < 0 || (from < 0 && !op->num[MOUNT_FS_PROPAGATION]))
			return r;
		owned_fd mnt = open_in_root(c, at, from < 0 ? O_PATH : O_RDONLY | O_DIRECTORY);
		if (mnt < 0)
			return fail(c, STEP_OPENAT2, mnt);
		if (from >= 0)
			r = copy_up(c, from, mnt, keep_mode);
		return r < 0 ? r : set_attr(c, mnt, 0, op->num[MOUNT_FS_PROPAGATION], 0);
	}
	owned_fd mnt = new_fs(c, op, op_str(c, op, MOUNT_FS_TYPE), op_str(c, op, MOUNT_FS_SOURCE));
	if (mnt == -EPERM && tree >= 0) { /* the namespace that it shows belongs to others */
		int r = attach_with(c, tree, target, op->num[MOUNT_FS_ATTR], 0);
		return r < 0 ? r : set_attr(c, tree, 0, op->num[MOUNT_FS_PROPAGATION], 0);
	}
	if (mnt < 0)
		return mnt;
	int r = from < 0 ? 0 : copy_up(c, from, mnt, keep_mode);
	if (r == 0 && from < 0 && covered.st_mode) {
		long m = sys3(__NR_fchmodat, mnt, ".", covered.st_mode & 07777);
		if (m < 0)
			return fail(c, STEP_CHMOD, m);
	}
	if (r == 0)
		r = attach(c, mnt, target);
	if (r < 0)
		return r;
	return set_attr(c, mnt, 0, op->num[MOUNT_FS_PROPAGATION], 0);
}

HANDLER(mount_bind)
{
	owned_fd mine = -EBADF;
	int tree = op_slot(c, op, MOUNT_BIND_TREE);

	if (!op->num[MOUNT_BIND_TREE]) {
		u32 flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (op->flags & FLAG_RECURSIVE ? 0x8000u : 0);
		mine = sys_open_tree(AT_FDCWD, op_str(c, op, MOUNT_BIND_SOURCE), flags);
		if (mine < 0) {
			detail(c, op_str(c, op, MOUNT_BIND_SOURCE));
			return fail(c, STEP_OPEN_TREE, mine);
		}
		tree = mine;
	}
	/* A missing target is made of the kind that its source is. */
	struct stat st = {.st_mode = S_IFDIR};
	int r = op->flags & FLAG_MAKE_FILE ? sys_fstat(tree, &st) : 0;
	if (r < 0)
		return fail(c, STEP_FSTAT, r);
	struct op how = *op;
	how.flags &= ~(u32)((st.st_mode & S_IFMT) == S_IFDIR ? FLAG_MAKE_FILE : FLAG_MAKE_DIR);
	owned_fd target = open_target(c, &how, op_str(c, op, MOUNT_BIND_AT));
	if (target < 0)
		return target;
	r = attach_with(c, tree, target, op->num[MOUNT_BIND_ATTR], op->num[MOUNT_BIND_RATTR]);
	if (r < 0)
		return r;
	return set_attr(c, tree, 0, op->num[MOUNT_BIND_PROPAGATION], 0);
}

/* What is no mount has no options; the kernel would say EINVAL, or nothing where
 * there is nothing to change. */
static int is_mount(int fd)
{
	struct statx st = {0};
	long r = sys5(__NR_statx, fd, "", 0x1000 /* AT_EMPTY_PATH */, 0, &st);
	if (r < 0)
		return (int)r;
	return !(st.stx_attributes_mask & STATX_ATTR_MOUNT_ROOT) || st.stx_attributes & STATX_ATTR_MOUNT_ROOT ? 0 : -EINVAL;
}

HANDLER(mount_remount)
{
	owned_fd target = open_in_root(c, op_str(c, op, MOUNT_REMOUNT_AT), O_PATH);
	if (target < 0)
		return fail(c, STEP_OPENAT2, target);
	int m = is_mount(target);
	if (m < 0)
		return fail(c, STEP_NOT_MOUNTED, m);
	if (op->flags & FLAG_SUPERBLOCK) {
		owned_fd fs = (int)sys3(__NR_fspick, target, "", FSPICK_CLOEXEC | FSPICK_EMPTY_PATH);
		if (fs < 0)
			return fail(c, STEP_FSPICK, fs);
		int r = fs_options(c, op, MOUNT_REMOUNT_OPTIONS, fs);
		if (r < 0)
			return r;
		r = (int)sys5(__NR_fsconfig, fs, FSCONFIG_CMD_RECONFIGURE, 0, 0, 0);
		if (r < 0) {
			fs_log(c, fs);
			return fail(c, STEP_FSCONFIG, r);
		}
	}
	int r = set_attr(c, target, op->num[MOUNT_REMOUNT_RATTR], 0, 1);
	if (r == 0)
		r = set_attr(c, target, op->num[MOUNT_REMOUNT_ATTR], op->num[MOUNT_REMOUNT_PROPAGATION], 0);
	return r;
}

HANDLER(mount_readonly)
{
	owned_fd target = open_in_root(c, op_str(c, op, MOUNT_READONLY_AT), O_PATH);
	if (target < 0)
		return fail(c, STEP_OPENAT2, target);
	return set_attr(c, target, MOUNT_ATTR_RDONLY, 0, 0);
}
