/* The last steps: working directory, home, program, gate, execve. */
#include "ctx.h"

#define AT_EACCESS_ 0x200
#define X_OK 1
#define O_NOCTTY_ 0400
#define PASSWD_MAX (64l << 20) /* bytes */

HANDLER(cwd_make)
{
	owned_fd fd = make_dir_in_root(c, op_str(c, op, CWD_MAKE_PATH), 0755, 0);
	/* Root may not search it (a network file system): cwd, as the user, says more. */
	return fd < 0 && fd != -EACCES ? fail(c, STEP_MKDIR, fd) : 0;
}

/* It stands twice in a plan: as root, for directories that the user may not
 * search, and as the user, for those that root may not (a network file system). */
HANDLER(cwd)
{
	if (c->cwd_done)
		return 0;
	long r = sys1(__NR_chdir, op_str(c, op, CWD_PATH));
	if (r < 0)
		return fail(c, STEP_CHDIR, r);
	/* A working directory through a leaked descriptor would lie outside the root,
	 * where the kernel says "(unreachable)" (CVE-2024-21626). */
	r = sys2(__NR_getcwd, c->path, sizeof c->path);
	if (r < 0)
		return fail(c, STEP_GETCWD, r);
	if (c->path[0] != '/')
		return fail(c, STEP_OUTSIDE_ROOT, -EPERM);
	c->cwd_done = 1;
	return 0;
}

/* Finds "name:x:UID:gid:gecos:HOME:shell" by uid, reading a small buffer's worth
 * of lines at a time; a line longer than the buffer is skipped. */
struct passwd_scan {
	u32 uid;
	char line[1024];
	size_t len;
	u8 skip;
};

static int passwd_line(struct ctx *c, struct passwd_scan *s)
{
	char *field[7];
	int n = 1;
	u32 uid;

	field[0] = s->line;
	for (char *p = s->line; *p && n < 7; p++)
		if (*p == ':') {
			*p = 0;
			field[n++] = p + 1;
		}
	if (n < 6 || parse_u32(field[2], &uid) < 0 || uid != s->uid)
		return 0;
	size_t len = str_len(field[5]);
	if (n == 6 && len && field[5][len - 1] == '\r') /* a file with DOS line ends */
		field[5][len - 1] = 0;
	if (field[5][0] != '/')
		return 0;
	size_t at = put_str(c->home, 0, sizeof c->home, "HOME=");
	return put_str(c->home, at, sizeof c->home, field[5]) < sizeof c->home;
}

HANDLER(home_find)
{
	struct passwd_scan s;
	char buf[512];
	long n;

	s.uid = (u32)op->num[HOME_FIND_UID];
	s.len = 0;
	s.skip = 0;
	(void)put_str(c->home, 0, sizeof c->home, "HOME=/");
	/* From the root's descriptor: whatever is mounted there by now. If that is a
	 * terminal, this leader of a session must not get it. */
	owned_fd fd = open_in_root(c, "/etc/passwd", O_RDONLY | O_NONBLOCK | O_NOCTTY_);
	struct stat st;
	if (fd < 0 || sys_fstat(fd, &st) < 0 || !S_ISREG(st.st_mode) || st.st_size > PASSWD_MAX)
		return 0; /* no passwd file, no home; a device could be endless */
	while ((n = sys_read(fd, buf, sizeof buf)) > 0) {
		for (long i = 0; i < n; i++) {
			if (buf[i] == '\n') {
				s.line[s.len] = 0;
				if (!s.skip && passwd_line(c, &s))
					return 0;
				s.len = 0;
				s.skip = 0;
			} else if (s.len + 1 < sizeof s.line) {
				s.line[s.len++] = buf[i] ? buf[i] : '?';
			} else {
				s.skip = 1;
			}
		}
	}
	s.line[s.len] = 0;
	if (!s.skip && s.len)
		(void)passwd_line(c, &s);
	return 0;
}

/* Fills list with pointers to the strings of a blob; the NULL is added. */
u32 fill(const struct ctx *c, const struct op *op, int blob, const char **vec)
{
	u32 len, n = 0;
	const char *s = (const char *)op_blob(c, op, blob, &len);
	for (u32 i = 0; i < len; i += (u32)str_len(s + i) + 1)
		vec[n++] = s + i;
	vec[n] = NULL;
	return n;
}

HANDLER(env)
{
	c->env = op; /* the lists of a hook may still use the room */
	return 0;
}

static int runnable(struct ctx *c, const char *path)
{
	struct stat st;
	/* By name, without a descriptor: RLIMIT_NOFILE may leave no room for one. */
	int r = (int)sys4(SYS_FSTATAT, AT_FDCWD, path, &st, 0);
	if (r < 0)
		return fail(c, STEP_EXECVE, r);
	if ((st.st_mode & S_IFMT) == S_IFDIR)
		return fail(c, STEP_IS_DIRECTORY, -EACCES);
	r = (int)sys4(__NR_faccessat2, AT_FDCWD, path, X_OK, AT_EACCESS_);
	if (r == -ENOSYS)
		r = 0; /* before 5.8: execve will say */
	return r < 0 ? fail(c, STEP_EXECVE, r) : 0;
}

/* Looked up now, as the final user in the final root, so that a missing program
 * fails create and not start. */
HANDLER(exec_find)
{
	const char *name = op_str(c, op, EXEC_FIND_PROGRAM);
	const char *dirs = op_str(c, op, EXEC_FIND_PATH);
	int denied = 0;

	for (const char *p = name; *p; p++)
		if (*p == '/') {
			if (put_str(c->program, 0, sizeof c->program, name) >= sizeof c->program)
				return fail(c, STEP_EXECVE, -ENAMETOOLONG);
			return runnable(c, c->program);
		}
	while (*dirs) {
		size_t n = 0;
		while (dirs[n] && dirs[n] != ':')
			n++;
		if (n + 1 < sizeof c->program) {
			mem_copy(c->program, dirs, n);
			c->program[n] = 0;
			if (n == 0) /* an empty entry is the working directory */
				n = put_str(c->program, 0, sizeof c->program, ".");
			n = put_str(c->program, n, sizeof c->program, "/");
			n = put_str(c->program, n, sizeof c->program, name);
			if (n < sizeof c->program) {
				int r = runnable(c, c->program);
				if (r == 0)
					return 0;
				if (r == -EACCES && c->step != STEP_IS_DIRECTORY)
					denied = 1;
			}
		}
		while (*dirs && *dirs != ':')
			dirs++;
		if (*dirs)
			dirs++;
	}
	return fail(c, denied ? STEP_EXECVE : STEP_NOT_FOUND_IN_PATH, denied ? -EACCES : -ENOENT);
}

/* Closes what lies from a number on, but these (negative: none). It makes no
 * descriptor, so that RLIMIT_NOFILE, which is the program's by now, cannot fail it. */
static long close_but(u32 from, const int *keep, int n)
{
	for (;;) {
		int next = -1; /* the lowest of them that is left */
		for (int i = 0; i < n; i++)
			if (keep[i] >= 0 && (u32)keep[i] >= from && (next < 0 || keep[i] < next))
				next = keep[i];
		if (next < 0)
			return sys3(__NR_close_range, from, ~0u, 0);
		long r = (u32)next > from ? sys3(__NR_close_range, from, (u32)next - 1, 0) : 0;
		if (r < 0)
			return r;
		from = (u32)next + 1;
	}
}

static int among(int fd, const int *fds, int n)
{
	for (int i = 0; i < n; i++)
		if (fds[i] == fd)
			return 1;
	return 0;
}

/* Gives back the memory of the whole pages between two addresses. The kernel rounds a
 * length up: on a machine whose pages are larger than 4 KiB it would take what lies
 * behind as well. */
static void give_back(const struct ctx *c, ulong from, ulong to)
{
	ulong rest = c->page - 1;

	from = (from + rest) & ~rest;
	to &= ~rest;
	if (c->page && from < to)
		(void)sys3(__NR_madvise, from, to - from, 4 /* MADV_DONTNEED */);
}

/* The frozen ABI between versions: one byte through the fifo. The descriptor is
 * open for reading and writing, so there is never an end of file to mistake for
 * a start. From here on a report goes into the fifo. Nothing before the read can
 * fail, because create has succeeded already; and a filter may be in force. */
HANDLER(gate)
{
	char b;
	const int gate = c->slots[SLOT_GATE];
	const int keep[4] = {gate, op_slot(c, op, GATE_STDOUT), op_slot(c, op, GATE_STDERR), c->slots[SLOT_STATE]};
	/* Nothing of the host stays open while it waits, perhaps for days, but the
	 * fifo, the files that the config names for the output of hooks, and their
	 * state: the socket is to a creator that is gone. */
	if (close_but((u32)c->sync, keep, 4) < 0) {
		for (u32 fd = (u32)c->sync; fd <= c->last_fd; fd++)
			if (!among((int)fd, keep, 4))
				(void)sys_close((int)fd);
		for (u32 i = 0; i < c->nslots; i++)
			if (c->slots[i] >= 0 && !among(c->slots[i], keep, 4))
				(void)sys_close(c->slots[i]);
	}
	for (u32 i = 0; i < c->nslots; i++)
		if (!among(c->slots[i], keep, 4))
			c->slots[i] = -EBADF;
	c->sync = -EBADF;
	c->gated = 1;
	if (!c->filtered) { /* a filter need not allow what only saves memory */
		/* What has been read of the plan would be read again if it were needed; so would a
		 * path; pages of the stack below this function hold nothing any more. */
		ulong below = (ulong)&b - 256;
		(void)sys3(__NR_madvise, c->plan, c->plan_size, 4 /* MADV_DONTNEED; a mapping of its own */);
		give_back(c, (ulong)c->path, (ulong)c->path + sizeof c->path);
		give_back(c, below - 65536, below);
	}
	long n = sys_read(gate, &b, 1);
	if (n != 1)
		return fail(c, STEP_READ, n < 0 ? n : -EPIPE);
	return 0;
}

/* Signals that the runtime's caller ignored (nohup, a shell's background job)
 * would stay ignored over execve; those with a handler are reset by it. */
static void default_signals(void)
{
	static const u8 kept[] = {1, 2, 3, 13, 15, 17, 18, 20, 21, 22, 32, 33, 34};
	struct {
		void *handler;
		ulong flags;
		void *restorer;
		u64 mask;
	} act = {0};
	for (size_t i = 0; i < sizeof kept; i++)
		(void)sys4(__NR_rt_sigaction, kept[i], &act, NULL, sizeof act.mask);
}

/* What a program inherits: descriptors and signals. It comes before the filter,
 * which need not allow any of it. */
HANDLER(fd_close)
{
	u32 from = (u32)op->num[FD_CLOSE_FROM];
	default_signals();
	long r = sys3(__NR_close_range, from, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
	if (r == -EINVAL) {
		/* Before 5.11: one by one what was meant for this process, as a sync, start
		 * and the hooks may still need it; what it has opened itself is done with. */
		for (u32 fd = from; fd <= c->last_fd; fd++)
			(void)sys3(__NR_fcntl, fd, F_SETFD, FD_CLOEXEC);
		r = sys3(__NR_close_range, from > c->last_fd ? from : c->last_fd + 1, ~0u, 0);
	}
	return r < 0 ? fail(c, STEP_CLOSE_RANGE, r) : 0;
}

HANDLER(exec)
{
	(void)fill(c, op, EXEC_ARGS, c->vec);
	const char **env = c->vec + c->args_room;
	u32 n = c->env ? fill(c, c->env, ENV_ENV, env) : 0;
	if (c->home[0])
		env[n++] = c->home;
	env[n] = NULL;
	long r = sys3(__NR_execve, c->program, c->vec, env);
	detail(c, c->program); /* start, which reads the report, has no plan to look it up in */
	return fail(c, STEP_EXECVE, r);
}
