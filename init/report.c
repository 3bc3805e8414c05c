/* The only room that talks to the host. */
#include "ctx.h"

#include <linux/socket.h>
#include <linux/uio.h>

#define MSG_NOSIGNAL 0x4000
#define MSG_CMSG_CLOEXEC 0x40000000
#define MSG_CTRUNC 8
#define SOL_SOCKET_ 1
#define SCM_RIGHTS_ 1

void detail(struct ctx *c, const char *text)
{
	size_t n = put_str(c->report.detail, c->report.detail_len, sizeof c->report.detail, text);
	c->report.detail_len = (u32)(n < sizeof c->report.detail ? n : sizeof c->report.detail - 1);
}

void detail_num(struct ctx *c, u64 n)
{
	char buf[24];
	(void)put_num(buf, 0, sizeof buf, n);
	detail(c, buf);
}

int send_report(struct ctx *c, enum report_kind kind, int err, u64 value)
{
	struct report *r = &c->report;
	long n;

	r->magic = REPORT_MAGIC;
	r->kind = kind;
	r->op = c->index;
	r->step = c->step;
	r->err = err;
	r->value = value;
	if (c->gated) /* the creator is gone; start reads the fifo when its readers are */
		n = sys_write(c->slots[SLOT_GATE], r, sizeof *r);
	else if (c->filtered) /* the one call that a profile has to allow, and may not ask an agent about */
		n = sys_write(c->sync, r, sizeof *r);
	else
		n = sys6(__NR_sendto, c->sync, SYS_ARG(r), sizeof *r, MSG_NOSIGNAL, 0, 0);
	return n == (long)sizeof *r ? 0 : n < 0 ? (int)n : -EIO;
}

#define PR_SET_PDEATHSIG 1
#define MSG_PEEK 2
#define MSG_DONTWAIT 0x40

/* A runtime that is killed leaves no process behind that nobody has recorded. */
void die_with_parent(struct ctx *c)
{
	char b;
	(void)sys5(__NR_prctl, PR_SET_PDEATHSIG, 9 /* SIGKILL */, 0, 0, 0);
	/* It may have died before that call; then its end of the socket is closed. */
	if (sys6(__NR_recvfrom, c->sync, SYS_ARG(&b), 1, MSG_PEEK | MSG_DONTWAIT, 0, 0) == 0)
		sys_exit(1);
}

HANDLER(outlive)
{
	(void)op;
	long r = sys5(__NR_prctl, PR_SET_PDEATHSIG, 0, 0, 0, 0);
	return r < 0 ? fail(c, STEP_PRCTL, r) : 0;
}

HANDLER(sync_arrive)
{
	(void)op;
	int r = send_report(c, REPORT_SYNC, 0, 0);
	return r < 0 ? fail(c, STEP_SEND, r) : 0;
}

/* The host answers with the index of the op that waits. When the host dies the
 * socket closes, and so does this process: nothing half-made stays behind. */
HANDLER(sync_await)
{
	u32 index = 0;
	(void)op;
	long n = sys_read(c->sync, &index, sizeof index);
	if (n < 0)
		return fail(c, STEP_RECEIVE, n);
	if (n == 0)
		sys_exit(1);
	if (n != (long)sizeof index || index != c->index)
		return fail(c, STEP_RECEIVE, -EPROTO);
	listener_closed(c);
	return 0;
}

/* As sync_await, with the descriptors that the host has opened since the spawn. They
 * are meant for this process alone, as those before are since fd-seal. */
HANDLER(fd_pass)
{
	u32 index = 0;
	struct {
		struct {
			size_t len;
			int level, type;
		} head;
		int fds[PLAN_MAX_PASSED];
	} control;
	struct iovec iov = {&index, sizeof index};
	struct {
		void *name;
		int namelen;
		struct iovec *iov;
		size_t iovlen;
		void *control;
		size_t controllen;
		int flags;
	} msg = {NULL, 0, &iov, 1, &control, sizeof control, 0};
	(void)op;

	long n = sys3(__NR_recvmsg, c->sync, &msg, MSG_CMSG_CLOEXEC);
	if (n < 0)
		return fail(c, STEP_RECEIVE, n);
	if (n == 0)
		sys_exit(1);
	if (msg.flags & MSG_CTRUNC)
		return fail(c, STEP_RECEIVE, -EMFILE); /* the limit of open files is the caller's */
	u32 nfds = 0;
	if (msg.controllen >= sizeof control.head && control.head.level == SOL_SOCKET_ && control.head.type == SCM_RIGHTS_)
		nfds = (u32)((control.head.len - sizeof control.head) / sizeof(int));
	if (n != (long)sizeof index || index != c->index || nfds > PLAN_MAX_PASSED ||
	    number_slots(c, c->spawn, c->index, control.fds, nfds) != nfds)
		return fail(c, STEP_RECEIVE, -EPROTO);
	return 0;
}
