/* tmpcopyup: a new tmpfs begins with a copy of the directory that it covers. */
#include "ctx.h"

#include <linux/limits.h>

#define MAX_DEPTH 64
#define O_NOCTTY_ 0400
#define AT_EMPTY_PATH_ 0x1000
#define AT_SYMLINK_NOFOLLOW_ 0x100

struct dirent64 {
	u64 ino;
	s64 off;
	u16 reclen;
	u8 type;
	char name[];
};

static int copy_dir(struct ctx *c, int from, int to, int depth);

static int copy_file(struct ctx *c, int from, int to, const struct stat *st)
{
	u64 left = (u64)st->st_size;
	while (left) {
		long n = sys4(__NR_sendfile, to, from, NULL, left > 1 << 20 ? 1 << 20 : left);
		if (n < 0)
			return fail(c, STEP_WRITE, n);
		if (n == 0)
			break; /* it shrank meanwhile */
		left -= (u64)n;
	}
	return 0;
}

/* Owner first: chown clears the set-id bits that chmod then sets. */
static int copy_owner(struct ctx *c, int to, const struct stat *st, int is_link)
{
	long r = sys5(__NR_fchownat, to, "", st->st_uid, st->st_gid, AT_EMPTY_PATH_);
	if (r < 0)
		return fail(c, STEP_CHOWN, r);
	if (is_link)
		return 0;
	r = sys2(__NR_fchmod, to, st->st_mode & 07777);
	return r < 0 ? fail(c, STEP_CHMOD, r) : 0;
}

static int copy_link(struct ctx *c, int from, const char *name, int to, const struct stat *st)
{
	char target[PATH_MAX];
	long n = sys4(__NR_readlinkat, from, name, target, sizeof target - 1);
	if (n < 0)
		return fail(c, STEP_READLINK, n);
	target[n] = 0;
	long r = sys3(__NR_symlinkat, target, to, name);
	if (r < 0)
		return fail(c, STEP_SYMLINK, r);
	r = sys5(__NR_fchownat, to, name, st->st_uid, st->st_gid, AT_SYMLINK_NOFOLLOW_);
	return r < 0 ? fail(c, STEP_CHOWN, r) : 0;
}

static int copy_entry(struct ctx *c, int from, const char *name, int to, int depth)
{
	struct stat st;
	owned_fd src = sys_openat2(from, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_BENEATH);
	if (src == -ENOENT)
		return 0;
	if (src < 0)
		return fail(c, STEP_OPENAT2, src);
	int r = sys_fstat(src, &st);
	if (r < 0)
		return fail(c, STEP_FSTAT, r);
	switch (st.st_mode & S_IFMT) {
	case S_IFDIR: {
		long m = sys3(__NR_mkdirat, to, name, 0700);
		if (m < 0)
			return fail(c, STEP_MKDIR, m);
		owned_fd sd = sys_openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		owned_fd td = sys_openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		if (sd < 0 || td < 0)
			return fail(c, STEP_OPEN, sd < 0 ? sd : td);
		r = copy_dir(c, sd, td, depth + 1);
		return r < 0 ? r : copy_owner(c, td, &st, 0);
	}
	case S_IFREG: {
		owned_fd sf = sys_openat(from, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY_, 0);
		if (sf < 0)
			return fail(c, STEP_OPEN, sf);
		struct stat opened; /* what has been looked at may have been exchanged for a device */
		r = sys_fstat(sf, &opened);
		if (r < 0 || opened.st_dev != st.st_dev || opened.st_ino != st.st_ino)
			return fail(c, STEP_IDENTITY, r < 0 ? r : -EXDEV);
		owned_fd tf = sys_openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600);
		if (tf < 0)
			return fail(c, STEP_OPEN, tf);
		r = copy_file(c, sf, tf, &st);
		return r < 0 ? r : copy_owner(c, tf, &st, 0);
	}
	case S_IFLNK:
		return copy_link(c, from, name, to, &st);
	default: {
		long m = sys4(__NR_mknodat, to, name, st.st_mode, dev_make(dev_major(st.st_rdev), dev_minor(st.st_rdev)));
		if (m < 0)
			return fail(c, STEP_MKNOD, m);
		m = sys5(__NR_fchownat, to, name, st.st_uid, st.st_gid, AT_SYMLINK_NOFOLLOW_);
		return m < 0 ? fail(c, STEP_CHOWN, m) : 0;
	}
	}
}

static int copy_dir(struct ctx *c, int from, int to, int depth)
{
	_Alignas(8) char buf[2048];
	long n;

	if (depth > MAX_DEPTH)
		return fail(c, STEP_GETDENTS, -ELOOP);
	while ((n = sys3(__NR_getdents64, from, buf, sizeof buf)) > 0) {
		for (long at = 0; at < n;) {
			const struct dirent64 *d = (const struct dirent64 *)(buf + at);
			at += d->reclen;
			if (str_eq(d->name, ".") || str_eq(d->name, ".."))
				continue;
			int r = copy_entry(c, from, d->name, to, depth);
			if (r < 0) {
				detail(c, c->report.detail_len ? " in " : "copying ");
				detail(c, d->name);
				return r;
			}
		}
	}
	return n < 0 ? fail(c, STEP_GETDENTS, n) : 0;
}

/* keep_mode: the new root has the mode and the owner that the config gives it. */
int copy_up(struct ctx *c, int from, int to, int keep_mode)
{
	struct stat st;
	int r = sys_fstat(from, &st);
	if (r < 0)
		return fail(c, STEP_FSTAT, r);
	r = copy_dir(c, from, to, 0);
	if (r < 0 || keep_mode)
		return r;
	/* Through a descriptor that fchmod(2) takes: that of a new mount is an O_PATH. */
	owned_fd dir = sys_openat(to, ".", O_RDONLY | O_DIRECTORY, 0);
	return dir < 0 ? fail(c, STEP_OPEN, dir) : copy_owner(c, dir, &st, 0);
}
