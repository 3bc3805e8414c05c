/* Names inside the container's root. Every one is resolved by the kernel with
 * RESOLVE_IN_ROOT from the root's descriptor, and what is missing is made
 * component by component by dirfd, never through a symbolic link: a hostile
 * image or a racing process can redirect nothing outside the root
 * (CVE-2021-30465, CVE-2024-45310, CVE-2026-41579). */
#include "ctx.h"

#define MAX_LINKS 40

int open_in_root(struct ctx *c, const char *path, u64 flags)
{
	return sys_openat2(c->slots[SLOT_ROOT], path, flags | O_CLOEXEC, 0, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

/* Cuts the last component off: "/a/b/" gives "/a" in buf, and returns "b". */
static const char *split(char *buf)
{
	size_t n = str_len(buf);
	while (n > 1 && buf[n - 1] == '/')
		buf[--n] = 0;
	while (n > 0 && buf[n - 1] != '/')
		n--;
	return buf + n;
}

/* Replaces buf, which names a dangling link and a rest below it, by where the
 * link points to plus the rest; link targets count from the root. */
static int follow_dangling(int dir, char *buf, const char *prefix, const char *name, const char *rest)
{
	char to[PATH_MAX], out[PATH_MAX];
	size_t n = 0;
	long len = sys4(__NR_readlinkat, dir, name, to, sizeof to - 1);

	if (len < 0)
		return (int)len;
	to[len] = 0;
	out[0] = 0;
	if (to[0] != '/') {
		n = put_str(out, n, sizeof out, prefix);
		n = put_str(out, n, sizeof out, "/");
	}
	n = put_str(out, n, sizeof out, to);
	n = put_str(out, n, sizeof out, "/");
	n = put_str(out, n, sizeof out, rest);
	if (n >= sizeof out)
		return -ENAMETOOLONG;
	mem_copy(buf, out, n + 1);
	return 0;
}

/* Opens or makes the directory component name below dir; hands out its
 * descriptor. -ELOOP says that name is a link that leads nowhere. */
static int enter_or_make(int dir, const char *name, u32 mode)
{
	/* Made first and looked at then: what is missing mostly is the rule here. */
	long r = sys3(__NR_mkdirat, dir, name, mode);
	if (r < 0 && r != -EEXIST)
		return (int)r;
	int fd = sys_openat2(dir, name, O_PATH | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_BENEATH);
	return fd == -ENOTDIR ? -ELOOP : fd;
}

static int is_link(int dir, const char *name)
{
	struct stat st;
	owned_fd fd = sys_openat2(dir, name, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0, RESOLVE_BENEATH);
	return fd >= 0 && sys_fstat(fd, &st) == 0 && (st.st_mode & S_IFMT) == S_IFLNK;
}

/* Opens the directory path inside the root, making what is missing; the caller
 * may know already that the last component is. */
static int walk_make(struct ctx *c, char *buf, u32 mode, int missing)
{
	for (int links = 0; links <= MAX_LINKS; links++) {
		int fd = missing && links == 0 ? -ENOENT : open_in_root(c, buf, O_PATH | O_DIRECTORY);
		if (fd != -ENOENT)
			return fd;
		/* The longest prefix that exists, resolved with its links inside the root. */
		size_t cut = str_len(buf);
		owned_fd dir = -EBADF;
		for (;;) {
			while (cut > 0 && buf[cut - 1] == '/')
				cut--;
			while (cut > 0 && buf[cut - 1] != '/')
				cut--;
			char keep = buf[cut];
			buf[cut] = 0;
			dir = open_in_root(c, cut ? buf : "/", O_PATH | O_DIRECTORY);
			buf[cut] = keep;
			if (dir >= 0 || dir != -ENOENT || cut == 0)
				break;
		}
		if (dir < 0)
			return dir;
		/* The rest, one component at a time, from the descriptor just proven. */
		int again = 0;
		size_t at = cut;
		while (buf[at]) {
			while (buf[at] == '/')
				at++;
			if (!buf[at])
				break;
			size_t end = at;
			while (buf[end] && buf[end] != '/')
				end++;
			char keep = buf[end];
			buf[end] = 0;
			if (str_eq(buf + at, "..")) /* of something that does not exist */
				return -ENOENT;
			int next = str_eq(buf + at, ".") ? (int)sys3(__NR_fcntl, dir, F_DUPFD_CLOEXEC, 3)
							 : enter_or_make(dir, buf + at, mode);
			if (next == -ELOOP && is_link(dir, buf + at)) {
				char prefix[PATH_MAX], name[256];
				if (end - at >= sizeof name)
					return -ENAMETOOLONG;
				mem_copy(name, buf + at, end - at + 1);
				mem_copy(prefix, buf, at);
				prefix[at] = 0;
				int r = follow_dangling(dir, buf, prefix, name, keep ? buf + end + 1 : "");
				if (r < 0)
					return r;
				again = 1;
				break;
			}
			buf[end] = keep;
			if (next < 0)
				return next == -ELOOP ? -ENOTDIR : next;
			(void)sys_close(dir);
			dir = next;
			at = end;
		}
		if (!again)
			return take_fd(&dir);
	}
	return -ELOOP;
}

int make_dir_in_root(struct ctx *c, const char *path, u32 mode, int missing)
{
	if (put_str(c->path, 0, sizeof c->path, path) >= sizeof c->path)
		return -ENAMETOOLONG;
	return walk_make(c, c->path, mode, missing);
}

/* Opens the parent of path, making it if need be. *ret_base is good until the
 * next call; c->path holds the parent's path. */
int open_parent(struct ctx *c, const char *path, const char **ret_base)
{
	if (put_str(c->path, 0, sizeof c->path, path) >= sizeof c->path)
		return -ENAMETOOLONG;
	char *b = (char *)split(c->path);
	if (!*b || str_eq(b, ".") || str_eq(b, ".."))
		return -EINVAL;
	if (put_str(c->base, 0, sizeof c->base, b) >= sizeof c->base)
		return -ENAMETOOLONG;
	*b = 0;
	if (!c->path[0])
		(void)put_str(c->path, 0, sizeof c->path, "/");
	*ret_base = c->base;
	return walk_make(c, c->path, 0755, 0);
}

static int make_file(struct ctx *c, const char *path)
{
	const char *base;
	for (int links = 0; links <= MAX_LINKS; links++) {
		owned_fd dir = open_parent(c, path, &base);
		if (dir < 0)
			return dir;
		owned_fd fd = sys_openat2(dir, base, O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC, 0644, RESOLVE_BENEATH);
		if (fd >= 0)
			return 0;
		if (fd != -EEXIST || !is_link(dir, base))
			return fd == -EEXIST ? 0 : fd;
		/* A dangling link, as /etc/resolv.conf often is: make what it names. */
		char prefix[PATH_MAX];
		size_t n = put_str(prefix, 0, sizeof prefix, c->path);
		if (n >= sizeof prefix)
			return -ENAMETOOLONG;
		int r = follow_dangling(dir, c->path, prefix, base, "");
		if (r < 0)
			return r;
		static char next[PATH_MAX];
		n = str_len(c->path);
		while (n > 1 && c->path[n - 1] == '/')
			n--;
		c->path[n] = 0;
		(void)put_str(next, 0, sizeof next, c->path);
		path = next;
	}
	return -ELOOP;
}

/* For proc and sysfs: a link here would send later writes elsewhere
 * (CVE-2019-19921, CVE-2023-27561, CVE-2025-54867). What has been made is opened
 * again by the same rule, because a link may have taken its place. */
static int open_real_dir(struct ctx *c, const struct op *op, const char *path)
{
	struct stat st;

	for (int made = 0;; made = 1) {
		owned_fd fd = sys_openat2(c->slots[SLOT_ROOT], path, O_PATH | O_NOFOLLOW | O_CLOEXEC, 0,
					  RESOLVE_IN_ROOT | RESOLVE_NO_SYMLINKS);
		if (fd == -ENOENT && !made && op->flags & FLAG_MAKE_DIR) {
			owned_fd dir = make_dir_in_root(c, path, 0755, 1);
			if (dir < 0)
				return fail(c, STEP_MKDIR, dir);
			continue;
		}
		if (fd == -ELOOP)
			return fail(c, STEP_SYMLINK_REFUSED, -ELOOP);
		if (fd < 0)
			return fail(c, STEP_OPENAT2, fd);
		int r = sys_fstat(fd, &st);
		if (r < 0)
			return fail(c, STEP_FSTAT, r);
		if ((st.st_mode & S_IFMT) == S_IFLNK)
			return fail(c, STEP_SYMLINK_REFUSED, -ELOOP);
		if (!S_ISDIR(st.st_mode))
			return fail(c, STEP_NOT_A_DIRECTORY, -ENOTDIR);
		return take_fd(&fd);
	}
}

/* Opens the place where a mount is to go. */
int open_target(struct ctx *c, const struct op *op, const char *path)
{
	if (op->flags & FLAG_REAL_DIR)
		return open_real_dir(c, op, path);
	int fd = open_in_root(c, path, O_PATH);
	if (fd == -ENOENT && op->flags & FLAG_MAKE_DIR) {
		fd = make_dir_in_root(c, path, 0755, 1);
		if (fd < 0)
			return fail(c, STEP_MKDIR, fd);
	} else if (fd == -ENOENT && op->flags & FLAG_MAKE_FILE) {
		int r = make_file(c, path);
		if (r < 0)
			return fail(c, STEP_OPENAT2, r);
		fd = open_in_root(c, path, O_PATH);
	}
	return fd < 0 ? fail(c, STEP_OPENAT2, fd) : fd;
}
