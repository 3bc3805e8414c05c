/* Mount attributes and attaching, with what kernels before 5.12 need instead of
 * mount_setattr(2). */
#include "ctx.h"

#define PROP_REC 0x4000
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#ifndef AT_EMPTY_PATH
#define AT_EMPTY_PATH 0x1000
#endif

/* Changes attributes (set in the low half, cleared in the high half) and
 * propagation of the mount at fd. */
int set_attr(struct ctx *c, int fd, u64 attr, u64 propagation, int recursive)
{
	u32 set = (u32)attr, clear = (u32)(attr >> 32);

	if (set || clear) {
		struct mount_attr a = {.attr_set = set, .attr_clr = clear};
		long r = sys5(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0), &a, sizeof a);
		if (r < 0)
			return fail(c, STEP_MOUNT_SETATTR, r);
	}
	if (propagation) {
		struct mount_attr a = {.propagation = propagation & ~(u64)PROP_REC};
		long r = sys5(__NR_mount_setattr, fd, "", AT_EMPTY_PATH | (propagation & PROP_REC ? AT_RECURSIVE : 0), &a,
			      sizeof a);
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
