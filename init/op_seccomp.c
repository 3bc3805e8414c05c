/* The system call filter, and the descriptor by which an agent answers for it. */
#include "ctx.h"

#include <linux/seccomp.h>

#define MSG_NOSIGNAL_ 0x4000
#define SOL_SOCKET_ 1
#define SCM_RIGHTS_ 1
#define CLONE_FLAGS (CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | CLONE_SYSVSEM)

static long install(struct ctx *c, const u8 *filter, u32 len, u64 flags)
{
	struct {
		u16 len;
		const u8 *filter;
	} prog = {.len = (u16)(len / 8), .filter = filter};
	long r = sys3(__NR_seccomp, SECCOMP_SET_MODE_FILTER, flags, &prog);
	if (r >= 0)
		c->filtered = 1;
	return r;
}

HANDLER(seccomp)
{
	u32 len;
	const u8 *filter = op_blob(c, op, SECCOMP_FILTER, &len);
	long r = install(c, filter, len, op->num[SECCOMP_FLAGS]);
	return r < 0 ? fail(c, STEP_SECCOMP, r) : 0;
}

/* What the two threads of a listener share. */
static struct listener {
	int sync;
	int fd; /* 0 until seccomp(2) has returned, then what it returned and 1 */
	int done; /* the descriptor is closed on this side */
	struct report report;
	u8 stack[4096] __attribute__((aligned(16)));
} listener;

/* Sends the listener to the host, with a report of this op. */
static void send_listener(const struct listener *l, int fd)
{
	struct {
		void *name;
		u32 name_len;
		struct {
			const void *base;
			size_t len;
		} *iov;
		size_t iov_len;
		void *control;
		size_t control_len;
		u32 flags;
	} msg = {0};
	struct {
		size_t len;
		s32 level, type;
		s32 fd, pad;
	} control = {.len = sizeof(size_t) + 3 * sizeof(s32), .level = SOL_SOCKET_, .type = SCM_RIGHTS_, .fd = fd};
	__typeof__(*msg.iov) iov = {&l->report, sizeof l->report};

	msg.iov = &iov;
	msg.iov_len = 1;
	msg.control = &control;
	msg.control_len = sizeof control;
	(void)sys3(__NR_sendmsg, l->sync, &msg, MSG_NOSIGNAL_);
}

/* Who am I: a second thread of the init, from before the filter, and so not under
 * it. No profile can keep the listener from the host. The first thread has no
 * system call left to wake this one with, so this one looks again and again; it
 * is for as long as one seccomp(2) takes. */
__attribute__((noreturn, used)) static void listener_thread(struct listener *l)
{
	int fd;
	while ((fd = __atomic_load_n(&l->fd, __ATOMIC_ACQUIRE)) == 0)
		(void)sys0(__NR_sched_yield);
	if (fd > 0) {
		send_listener(l, fd - 1);
		/* A filter whose listener is open here would wait for an agent that is dead. */
		(void)sys_close(fd - 1);
	}
	__atomic_store_n(&l->done, 1, __ATOMIC_RELEASE);
	for (;;)
		(void)sys1(__NR_exit, 0); /* this thread alone */
}

/* clone(2) with a stack of its own: the new thread begins in run(arg). */
static long spawn_thread(void (*run)(struct listener *), struct listener *arg, u8 *stack_end)
{
	ulong *sp = (ulong *)(void *)stack_end;
	sp[-2] = (ulong)arg;
	sp[-1] = (ulong)run;
#if defined(__x86_64__)
	long ret;
	__asm__ volatile("xor %%r10d, %%r10d\n\txor %%r8d, %%r8d\n\tsyscall\n\ttest %%rax, %%rax\n\tjnz 1f\n\t"
			 "xor %%ebp, %%ebp\n\tpop %%rdi\n\tpop %%rax\n\tcall *%%rax\n\thlt\n1:"
			 : "=a"(ret)
			 : "a"((long)__NR_clone), "D"((long)CLONE_FLAGS), "S"(sp - 2), "d"(0l)
			 : "rcx", "r8", "r10", "r11", "memory", "cc");
	return ret;
#else
	register long x8 __asm__("x8") = __NR_clone;
	register long x0 __asm__("x0") = CLONE_FLAGS;
	register long x1 __asm__("x1") = (long)(sp - 2);
	register long x2 __asm__("x2") = 0;
	register long x3 __asm__("x3") = 0;
	register long x4 __asm__("x4") = 0;
	__asm__ volatile("svc 0\n\tcbnz x0, 1f\n\tmov x29, #0\n\tldp x0, x1, [sp], #16\n\tblr x1\n\tbrk #0\n1:"
			 : "+r"(x0), "+r"(x1)
			 : "r"(x8), "r"(x2), "r"(x3), "r"(x4)
			 : "memory", "cc");
	return x0;
#endif
}

/* From here on the filter may ask an agent, which has nothing to answer with until
 * the host has passed the listener on: the sync after this op waits for that. */
HANDLER(seccomp_notify)
{
	struct listener *l = &listener;
	u32 len;
	const u8 *filter = op_blob(c, op, SECCOMP_NOTIFY_FILTER, &len);

	l->sync = c->sync;
	l->report = (struct report){.magic = REPORT_MAGIC, .kind = REPORT_SYNC, .op = c->index};
	long r = spawn_thread(listener_thread, l, l->stack + sizeof l->stack);
	if (r < 0)
		return fail(c, STEP_CLONE, r);
	r = install(c, filter, len, op->num[SECCOMP_NOTIFY_FLAGS]);
	__atomic_store_n(&l->fd, r < 0 ? -1 : (int)r + 1, __ATOMIC_RELEASE);
	if (r < 0)
		return fail(c, STEP_SECCOMP, r);
	c->handing = 1;
	return 0;
}

/* The other thread has closed the listener before the number can be another
 * descriptor's. The host has answered what that thread sent, so it is about to. */
void listener_closed(struct ctx *c)
{
	while (c->handing && !__atomic_load_n(&listener.done, __ATOMIC_ACQUIRE))
		;
	c->handing = 0;
}
