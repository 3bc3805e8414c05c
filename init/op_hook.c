/* Hooks that run in the container's namespaces. */
#include "ctx.h"

#define POLLIN 1
#define P_PIDFD 3
#define WEXITED 4
#define SIGKILL 9
#define PIPE_SIZE (64u << 10)

struct pollfd {
	int fd;
	short events, revents;
};

struct timespec_ {
	s64 sec, nsec;
};

static s64 now_ms(void)
{
	struct timespec_ t = {0, 0};
	(void)sys2(__NR_clock_gettime, 1 /* CLOCK_MONOTONIC */, &t);
	return t.sec * 1000 + t.nsec / 1000000;
}

/* The state goes to the hook's stdin as a file, so that a hook which does not
 * read it blocks nobody, whatever its size. */
static int state_file(struct ctx *c, const struct op *op)
{
	char pid[24];
	owned_fd fd = (int)sys2(__NR_memfd_create, "state", 1 | 2 /* MFD_CLOEXEC, MFD_ALLOW_SEALING */);
	if (fd < 0)
		return fail(c, STEP_MEMFD_CREATE, fd);
	(void)put_num(pid, 0, sizeof pid, (u64)sys0(__NR_getpid));
	const char *part[3] = {op_str(c, op, HOOK_RUN_STATE_HEAD), pid, op_str(c, op, HOOK_RUN_STATE_TAIL)};
	for (int i = 0; i < 3; i++) {
		size_t len = str_len(part[i]), done = 0;
		while (done < len) {
			long n = sys_write(fd, part[i] + done, len - done);
			if (n <= 0)
				return fail(c, STEP_WRITE, n ? n : -EIO);
			done += (size_t)n;
		}
	}
	(void)sys3(__NR_lseek, fd, 0, 0);
	return take_fd(&fd);
}

/* Under RLIMIT_FSIZE the file can be written only before: so it is there already,
 * and sealed, because one hook after the other reads it. */
HANDLER(hook_state)
{
	/* the state stands at the same places in both ops */
	_Static_assert(HOOK_STATE_STATE_HEAD == HOOK_RUN_STATE_HEAD && HOOK_STATE_STATE_TAIL == HOOK_RUN_STATE_TAIL, "state");
	owned_fd fd = state_file(c, op);
	if (fd < 0)
		return fd;
	long r = sys3(__NR_fcntl, fd, 1033 /* F_ADD_SEALS */, 15 /* seal, shrink, grow, write */);
	if (r < 0)
		return fail(c, STEP_MEMFD_CREATE, r);
	c->slots[SLOT_STATE] = take_fd(&fd);
	return 0;
}

static int prepared_state(struct ctx *c)
{
	long fd = sys3(__NR_fcntl, c->slots[SLOT_STATE], F_DUPFD_CLOEXEC, 3);
	if (fd < 0)
		return fail(c, STEP_MEMFD_CREATE, fd);
	(void)sys3(__NR_lseek, fd, 0, 0);
	return (int)fd;
}

/* Keeps the end of what the hook prints; that is where the reason stands. */
struct tail {
	char buf[400];
	u32 len;
};

static void keep(struct tail *t, const char *s, u32 n)
{
	if (n > sizeof t->buf) {
		s += n - sizeof t->buf;
		n = sizeof t->buf;
	}
	if (t->len + n > sizeof t->buf) {
		u32 drop = t->len + n - (u32)sizeof t->buf;
		for (u32 i = drop; i < t->len; i++)
			t->buf[i - drop] = t->buf[i];
		t->len -= drop;
	}
	mem_copy(t->buf + t->len, s, n);
	t->len += n;
}

static void detail_tail(struct ctx *c, struct tail *t)
{
	char text[sizeof t->buf + 1];
	while (t->len && (t->buf[t->len - 1] == '\n' || t->buf[t->len - 1] == ' '))
		t->len--;
	if (!t->len)
		return;
	mem_copy(text, t->buf, t->len);
	text[t->len] = 0;
	detail(c, ": ");
	detail(c, text);
}

__attribute__((noreturn)) static void hook_child(struct ctx *c, const struct op *op, int in, int out, int err_pipe)
{
	/* Who am I: a child in the container's namespaces, with the init's privilege,
	 * that has nothing of the init's but these three descriptors. */
	int log[2] = {op_slot(c, op, HOOK_RUN_STDOUT), op_slot(c, op, HOOK_RUN_STDERR)};
	(void)sys2(__NR_setpgid, 0, 0);
	(void)sys3(__NR_dup3, in, 0, 0);
	for (int i = 0; i < 2; i++)
		(void)sys3(__NR_dup3, log[i] < 0 ? out : log[i], i + 1, 0);
	/* The descriptors that the caller preserves are for the program alone. Where
	 * the kernel lacks the flag (before 5.11) hooks see them, too. */
	(void)sys3(__NR_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */);
	if (!c->umask_set)
		(void)sys1(__NR_umask, 022); /* what the hook makes is not to be everybody's */
	s32 r = (s32)sys3(__NR_execve, op_str(c, op, HOOK_RUN_PATH), c->vec, c->vec + c->args_room);
	(void)sys_write(err_pipe, &r, sizeof r);
	sys_exit(127);
}

static int wait_hook(struct ctx *c, const struct op *op, int pidfd, long pid, int out, struct tail *t)
{
	s64 timeout = (s64)op->num[HOOK_RUN_TIMEOUT] * 1000;
	s64 end = now_ms() + timeout;
	struct pollfd p[2] = {{pidfd, POLLIN, 0}, {out, POLLIN, 0}};
	char buf[512];

	for (;;) {
		struct timespec_ left = {0, 0};
		if (timeout) {
			s64 ms = end - now_ms();
			if (ms <= 0)
				break;
			left.sec = ms / 1000;
			left.nsec = ms % 1000 * 1000000;
		}
		long r = sys5(__NR_ppoll, p, 2, timeout ? &left : NULL, NULL, 8);
		if (r < 0 && r != -EINTR)
			return fail(c, STEP_POLL, r);
		if (r > 0 && p[0].revents)
			return 0;
		if (r > 0 && p[1].revents) {
			long n = sys_read(out, buf, sizeof buf);
			if (n > 0)
				keep(t, buf, (u32)n);
			else if (n == 0)
				p[1].fd = -1;
			continue;
		}
	}
	(void)sys2(__NR_kill, -pid, SIGKILL);
	(void)sys2(__NR_kill, pid, SIGKILL);
	detail(c, "killed after ");
	detail_num(c, op->num[HOOK_RUN_TIMEOUT]);
	detail(c, " s");
	return fail(c, STEP_TIMEOUT, -ETIMEDOUT);
}

HANDLER(hook_run)
{
	static struct tail t;
	int out[2], err[2], pidfd = -EBADF;
	s32 exec_err = 0;
	struct {
		s32 signo, err, code, pad;
		s32 pid, uid, status;
		u8 rest[128 - 28];
	} info = {0};

	t.len = 0;
	if (c->gated) { /* start, which reads the report, has no plan to look the hook up in */
		detail(c, "hooks.startContainer[");
		detail_num(c, op->num[HOOK_RUN_INDEX]);
		detail(c, "] \"");
		detail(c, op_str(c, op, HOOK_RUN_PATH));
		detail(c, "\": ");
	}
	owned_fd in = op->flags & FLAG_STATE_PREPARED ? prepared_state(c) : state_file(c, op);
	if (in < 0)
		return in;
	long r = sys2(__NR_pipe2, out, O_CLOEXEC);
	if (r < 0)
		return fail(c, STEP_PIPE, r);
	owned_fd out_r = out[0], out_w = out[1];
	r = sys2(__NR_pipe2, err, O_CLOEXEC);
	if (r < 0)
		return fail(c, STEP_PIPE, r);
	owned_fd err_r = err[0], err_w = err[1];
	(void)fill(c, op, HOOK_RUN_ARGS, c->vec);
	const char **room = c->vec + c->args_room;
	(void)fill(c, op, HOOK_RUN_ENV, room);

	struct clone_args args = {.flags = CLONE_PIDFD, .pidfd = (u64)(ulong)&pidfd, .exit_signal = 17 /* SIGCHLD */};
	long pid = sys2(__NR_clone3, &args, sizeof args);
	if (pid == -ENOSYS) /* from a filter, which cannot look into the arguments of clone3(2) */
		pid = sys5(__NR_clone, CLONE_PIDFD | 17 /* SIGCHLD */, 0, &pidfd, NULL, 0);
	if (pid == 0)
		hook_child(c, op, in, out_w, err_w);
	if (pid < 0)
		return fail(c, STEP_CLONE, pid);
	owned_fd child = pidfd;
	(void)sys_close(take_fd(&out_w));
	(void)sys_close(take_fd(&err_w));
	(void)sys_read(err_r, &exec_err, sizeof exec_err);
	int w = exec_err ? 0 : wait_hook(c, op, child, pid, out_r, &t);
	(void)sys5(__NR_waitid, P_PIDFD, child, &info, WEXITED, NULL);
	(void)sys3(__NR_fcntl, out_r, F_SETFL, O_NONBLOCK);
	char buf[512];
	/* What is left in the pipe, and no more: a child of the hook may write for ever. */
	long n = 0;
	for (u32 got = 0; w == 0 && got < PIPE_SIZE && (n = sys_read(out_r, buf, sizeof buf)) > 0; got += (u32)n)
		keep(&t, buf, (u32)n);
	if (exec_err)
		return fail(c, STEP_EXECVE, exec_err);
	if (w == 0 && (info.code != 1 /* CLD_EXITED */ || info.status != 0)) {
		detail(c, info.code == 1 ? "exit status " : "killed by signal ");
		detail_num(c, (u64)info.status);
		w = fail(c, STEP_HOOK, -ECANCELED);
	}
	if (w < 0)
		detail_tail(c, &t);
	return w;
}
