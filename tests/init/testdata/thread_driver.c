/* Hands a descriptor over as the init does a seccomp listener, through the second
 * thread, without a filter: what that needs of the machine is the thread. Ends with
 * 0, or with the number of the step that failed. */
#include <op_seccomp.c>

#define AF_UNIX 1
#define SOCK_SEQPACKET 5

void detail(struct ctx *c, const char *text)
{
	(void)c, (void)text;
}

static int take(int socket, struct report *r)
{
	struct {
		size_t len;
		s32 level, type;
		s32 fd, pad;
	} control = {0};
	struct {
		void *base;
		size_t len;
	} iov = {r, sizeof *r};
	struct {
		void *name;
		u32 name_len;
		void *iov;
		size_t iov_len;
		void *control;
		size_t control_len;
		u32 flags;
	} msg = {.iov = &iov, .iov_len = 1, .control = &control, .control_len = sizeof control};
	if (sys3(__NR_recvmsg, socket, &msg, 0) != (long)sizeof *r)
		return -1;
	return control.type == SCM_RIGHTS_ ? control.fd : -1;
}

int main(void)
{
	struct report r = {0};
	struct listener *l = &listener;
	int pair[2], pipe[2];
	char b = 0;

	if (sys4(__NR_socketpair, AF_UNIX, SOCK_SEQPACKET, 0, pair) < 0 || sys2(__NR_pipe2, pipe, 0) < 0)
		return 1;
	l->sync = pair[0];
	l->report = (struct report){.magic = REPORT_MAGIC, .kind = REPORT_SYNC, .op = 41};
	if (spawn_thread(listener_thread, l, l->stack + sizeof l->stack) < 0)
		return 2;
	__atomic_store_n(&l->fd, pipe[1] + 1, __ATOMIC_RELEASE);
	int fd = take(pair[1], &r);
	if (fd < 0)
		return 3;
	if (r.magic != REPORT_MAGIC || r.kind != REPORT_SYNC || r.op != 41)
		return 4;
	if (sys_write(fd, "x", 1) != 1 || sys_read(pipe[0], &b, 1) != 1 || b != 'x')
		return 5;
	struct ctx c = {.handing = 1};
	listener_closed(&c);
	return fd != pipe[1] && sys3(__NR_fcntl, pipe[1], F_GETFD, 0) != -EBADF ? 6 : 0;
}
