/* Mount attributes and attaching, with what kernels before 5.12 need instead of
 * mount_setattr(2): mount(2), which changes only what is attached, replaces all
 * flags of a mount at once, and takes a path. */
#include "ctx.h"

#define PROP_REC 0x4000
#define MS_NOSYMFOLLOW_ 256
#define MS_NOATIME_ 1024
#define MS_NODIRATIME_ 2048
#define MS_RELATIME_ (1ul << 21)
#define MS_STRICTATIME_ (1ul << 24)
#define ST_NOSYMFOLLOW_ 0x2000
#define ST_RELATIME_ 0x1000
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

ulong ms_flags(u32 attr)
{
	ulong ms = attr & 0xf; /* the first four have the same numbers */
	if (attr & MOUNT_ATTR_NODIRATIME)
		ms |= MS_NODIRATIME_;
	if (attr & MOUNT_ATTR_NOSYMFOLLOW)
		ms |= MS_NOSYMFOLLOW_;
	if (attr & MOUNT_ATTR_NOATIME)
		return ms | MS_NOATIME_;
	return ms | (attr & MOUNT_ATTR_STRICTATIME ? MS_STRICTATIME_ : MS_RELATIME_);
}

/* The attributes that the mount at fd has. */
static int get_attr(struct ctx *c, int fd, u32 *ret)
{
	struct statfs s;
	int r = sys_fstatfs(fd, &s);
	if (r < 0)
		return fail(c, STEP_FSTATFS, r);
	ulong f = (ulong)s.f_flags;
	*ret = (u32)(f & 0xf);
	if (f & MS_NODIRATIME_)
		*ret |= MOUNT_ATTR_NODIRATIME;
	if (f & ST_NOSYMFOLLOW_)
		*ret |= MOUNT_ATTR_NOSYMFOLLOW;
	if (f & MS_NOATIME_)
		*ret |= MOUNT_ATTR_NOATIME;
	else if (!(f & ST_RELATIME_))
		*ret |= MOUNT_ATTR_STRICTATIME;
	return 0;
}

/* mount(2) on the mount at fd. A directory is named by ".", which needs nothing;
 * for a file the name is that of the descriptor in a procfs of our own. */
static int mount_at(struct ctx *c, int fd, ulong flags)
{
	char name[32] = ".";
	struct stat st;
	int r = sys_fstat(fd, &st);
	if (r < 0)
		return fail(c, STEP_FSTAT, r);
	owned_fd cwd = sys_openat(AT_FDCWD, ".", O_PATH | O_DIRECTORY, 0);
	owned_fd proc = -EBADF;
	int dir = fd;
	if (!S_ISDIR(st.st_mode)) {
		dir = proc = open_proc(c);
		if (proc < 0)
			return proc;
		(void)put_num(name, put_str(name, 0, sizeof name, "self/fd/"), sizeof name, (u64)fd);
	}
	long m = sys1(__NR_fchdir, dir);
	if (m < 0)
		return fail(c, STEP_FCHDIR, m);
	m = sys_mount("", name, NULL, flags, NULL);
	if (cwd < 0 || sys1(__NR_fchdir, cwd) < 0) /* a directory that only its owner may enter */
		(void)sys1(__NR_chdir, "/");
	return m < 0 ? fail(c, STEP_MOUNT, m) : 0;
}

static int remount(struct ctx *c, int fd, u32 set, u32 clear)
{
	u32 attr, now;
	int r = get_attr(c, fd, &attr);
	if (r < 0)
		return r;
	attr = (attr & ~clear) | set;
	r = mount_at(c, fd, ms_flags(attr) | MS_REMOUNT | MS_BIND);
	if (r < 0)
		return r;
	/* A read-only file system shows in the flags of its mounts too. */
	r = get_attr(c, fd, &now);
	if (r == 0 && (now | MOUNT_ATTR_RDONLY) != (attr | MOUNT_ATTR_RDONLY))
		r = fail(c, STEP_IDENTITY, -EXDEV); /* that was another mount */
	if (r == 0 && (attr & MOUNT_ATTR_RDONLY) && !(now & MOUNT_ATTR_RDONLY))
		r = fail(c, STEP_IDENTITY, -EXDEV);
	return r;
}

static long setattr(struct ctx *c, int fd, struct mount_attr *a, int recursive)
{
	long r = -ENOSYS;
	if (!c->no_setattr)
		r = sys5(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), a, sizeof *a);
	if (r == -ENOSYS)
		c->no_setattr = 1;
	return r;
}

/* Changes attributes (set in the low half, cleared in the high half) and
 * propagation of the attached mount at fd. */
int set_attr(struct ctx *c, int fd, u64 attr, u64 propagation, int recursive)
{
	u32 set = (u32)attr, clear = (u32)(attr >> 32);

	if (set || clear) {
		struct mount_attr a = {.attr_set = set, .attr_clr = clear};
		long r = setattr(c, fd, &a, recursive);
		if (r == -ENOSYS && recursive) {
			detail(c, "recursive mount options need mount_setattr(2) of Linux 5.12");
			return fail(c, STEP_MOUNT_SETATTR, r);
		}
		if (r == -ENOSYS) {
			r = remount(c, fd, set, clear);
			if (r < 0)
				return (int)r;
		}
		if (r < 0)
			return fail(c, STEP_MOUNT_SETATTR, r);
	}
	if (propagation) {
		struct mount_attr a = {.propagation = propagation & ~(u64)PROP_REC};
		long r = setattr(c, fd, &a, !!(propagation & PROP_REC));
		if (r == -ENOSYS)
			return mount_at(c, fd, (ulong)propagation);
		if (r < 0)
			return fail(c, STEP_MOUNT_SETATTR, r);
	}
	return 0;
}

int attach(struct ctx *c, int tree, int target)
{
	int r = sys_move_mount(tree, target);
	if (r == -EINVAL) { /* the kernel's word for a file over a directory, and the reverse */
		struct stat a, b;
		if (sys_fstat(tree, &a) == 0 && sys_fstat(target, &b) == 0 &&
		    ((a.st_mode & S_IFMT) == S_IFDIR) != ((b.st_mode & S_IFMT) == S_IFDIR))
			return fail(c, STEP_NOT_A_DIRECTORY, -ENOTDIR);
	}
	return r < 0 ? fail(c, STEP_MOVE_MOUNT, r) : 0;
}

/* Gives a detached tree its attributes and attaches it: nothing half-made is
 * ever seen, but by a kernel that can do it only afterwards. */
int attach_with(struct ctx *c, int tree, int target, u64 attr, u64 rattr)
{
	struct mount_attr r = {.attr_set = (u32)rattr, .attr_clr = rattr >> 32};
	struct mount_attr a = {.attr_set = (u32)attr, .attr_clr = attr >> 32};
	long e = rattr ? setattr(c, tree, &r, 1) : 0;
	if (e == 0 && attr)
		e = setattr(c, tree, &a, 0);
	if (e < 0 && e != -ENOSYS)
		return fail(c, STEP_MOUNT_SETATTR, e);
	int err = attach(c, tree, target);
	if (err < 0 || e == 0)
		return err;
	err = set_attr(c, tree, rattr, 0, 1);
	return err < 0 ? err : set_attr(c, tree, attr, 0, 0);
}
