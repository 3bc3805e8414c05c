/* Writes to procfs, through a handle of our own that no mount of the container
 * can cover (CVE-2019-16884, CVE-2025-52881). */
#include "ctx.h"

/* A procfs of this process's pid namespace. In a nested container the kernel may
 * refuse a new one: then what is at /proc, if it is one. */
int open_proc(struct ctx *c)
{
	struct statfs sfs;
	owned_fd mnt = -EBADF;
	{
		owned_fd fs = (int)sys2(__NR_fsopen, "proc", FSOPEN_CLOEXEC);
		if (fs >= 0 && sys5(__NR_fsconfig, fs, FSCONFIG_CMD_CREATE, 0, 0, 0) == 0)
			mnt = (int)sys3(__NR_fsmount, fs, FSMOUNT_CLOEXEC, MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
	}
	if (mnt < 0)
		mnt = sys_openat(AT_FDCWD, "/proc", O_PATH | O_DIRECTORY | O_NOFOLLOW, 0);
	if (mnt < 0)
		return fail(c, STEP_OPEN, mnt);
	int r = sys_fstatfs(mnt, &sfs);
	if (r < 0 || sfs.f_type != PROC_MAGIC)
		return fail(c, STEP_FSTATFS, r < 0 ? r : -EXDEV);
	return take_fd(&mnt);
}

/* While /proc still is the host's: the root has not been changed yet. */
HANDLER(proc_open)
{
	(void)op;
	int fd = open_proc(c);
	if (fd < 0)
		return fd;
	c->slots[SLOT_PROC] = fd;
	return 0;
}

static int write_proc(struct ctx *c, const char *path, const char *value)
{
	owned_fd fd = sys_openat2(c->slots[SLOT_PROC], path, O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0,
				  RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_XDEV | RESOLVE_NO_MAGICLINKS);
	if (fd < 0)
		return fail(c, STEP_OPENAT2, fd);
	long n = sys_write(fd, value, str_len(value));
	if (n >= 0 && (size_t)n != str_len(value))
		n = -EIO;
	return n < 0 ? fail(c, STEP_WRITE, n) : 0;
}

HANDLER(sysctl)
{
	size_t n = put_str(c->path, 0, sizeof c->path, "sys/");
	n = put_str(c->path, n, sizeof c->path, op_str(c, op, SYSCTL_KEY));
	if (n >= sizeof c->path)
		return fail(c, STEP_CHECK, -ENAMETOOLONG);
	return write_proc(c, c->path, op_str(c, op, SYSCTL_VALUE));
}

HANDLER(lsm_exec)
{
	char self[64];
	/* thread-self is a link, so it is read here: links are refused below. */
	long len = sys4(__NR_readlinkat, c->slots[SLOT_PROC], "thread-self", self, sizeof self - 1);
	if (len < 0)
		return fail(c, STEP_READLINK, len);
	self[len] = 0;
	size_t n = put_str(c->path, 0, sizeof c->path, self);
	n = put_str(c->path, n, sizeof c->path, "/attr/");
	n = put_str(c->path, n, sizeof c->path, op_str(c, op, LSM_EXEC_ATTR));
	if (n >= sizeof c->path)
		return fail(c, STEP_CHECK, -ENAMETOOLONG);
	int r = write_proc(c, c->path, op_str(c, op, LSM_EXEC_LABEL));
	if (op->flags & FLAG_CLOSE) {
		(void)sys_close(c->slots[SLOT_PROC]);
		c->slots[SLOT_PROC] = -EBADF;
	}
	return r;
}
