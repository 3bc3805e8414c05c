/*
 * floor ROOTFS CGROUP HIERARCHIES [--beside] -- PAYLOAD [ARG]...
 *
 * What `run` of the bundle in testdata/default.json asks of the kernel, by one C
 * program that is told everything: cgroup CGROUP in each of HIERARCHIES
 * (directories of /sys/fs/cgroup, separated by colons; "-" on a host with cgroup
 * v2 alone), namespaces, mounts, devices, capabilities, limits, then PAYLOAD; it
 * waits, removes the cgroups, and ends with the payload's status. What a runtime
 * takes above that is its own weight: reading the config and checking it, finding
 * the hierarchies, keeping state, the gate between create and start, reporting
 * what fails, and a language's start.
 *
 * It is as fast as such a program gets without tricks: system calls one after
 * another, each path opened once, joined by `tasks`. With --beside the network
 * namespace, which takes the kernel longest, is made by a process of its own
 * while the cgroups are made.
 */
#include <linux/wait.h>
#include "floor.h"

#define NAMESPACES (CLONE_NEWPID | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWNS)
#define KEYCTL_JOIN_SESSION_KEYRING 1

#if defined(__x86_64__)
__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call floor_main\n");
#elif defined(__aarch64__)
/* The canary lies where the thread register points. */
__asm__(".globl _start\n"
	"_start:\n"
	"	adrp x1, __stack_chk_guard\n"
	"	add x1, x1, :lo12:__stack_chk_guard\n"
	"	msr tpidr_el0, x1\n"
	"	mov x29, #0\n"
	"	mov x0, sp\n"
	"	bl floor_main\n");
#endif

static long clone_process(u64 flags, int cgroup)
{
	struct clone_args args = {.flags = flags, .exit_signal = 17 /* SIGCHLD */};
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (u64)cgroup;
	}
	return sys2(__NR_clone3, &args, sizeof args);
}

static u32 wait_for(long pid)
{
	u32 status = 0;
	long r;
	do
		r = sys4(__NR_wait4, pid, &status, 0, NULL);
	while (r == -EINTR);
	must(r, "wait4");
	return status;
}

/* Makes the network namespace in a process that shares the descriptors, and
 * ends with the number of the one for it. Returns its pid. */
static long net_beside(void)
{
	long pid = must(clone_process(CLONE_FILES, -1), "clone beside");
	if (pid)
		return pid;
	must(sys1(__NR_unshare, CLONE_NEWNET), "unshare net");
	int fd = (int)must(sys_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0), "/proc/self/ns/net");
	loopback_up();
	sys_exit(fd);
}

__attribute__((noreturn)) static void child(const struct floor *f)
{
	/* Assigned, because a table of pointers would have to be relocated. */
	static char path[] = "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", term[] = "TERM=xterm";
	char *env[3];
	env[0] = path;
	env[1] = term;
	env[2] = NULL;

	join_cgroups(f);
	must(sys1(__NR_unshare, CLONE_NEWCGROUP), "unshare cgroup");
	if (f->net >= 0)
		must(sys2(__NR_setns, f->net, CLONE_NEWNET), "setns net");
	else
		loopback_up();
	must(sys0(__NR_setsid), "setsid");
	must(sys2(__NR_keyctl, KEYCTL_JOIN_SESSION_KEYRING, "_ses.floor"), "session keyring");
	must(sys2(__NR_sethostname, "bench", 5), "sethostname");
	make_root(f);
	lock_down();
	must(sys3(__NR_close_range, 3, ~0u, 4 /* CLOSE_RANGE_CLOEXEC */), "close_range");
	must(sys3(__NR_execve, f->argv[0], f->argv, env), f->argv[0]);
	sys_exit(125);
}

static void split(struct floor *f, char *list)
{
	if (same(list, "-"))
		return;
	f->hierarchies[f->count++] = list;
	for (; *list; list++)
		if (*list == ':' && f->count < MAX_HIERARCHIES) {
			*list = 0;
			f->hierarchies[f->count++] = list + 1;
		}
}

/* stack points at argc, as the kernel leaves it at a program's start. */
__attribute__((noreturn, used)) void floor_main(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);
	struct floor f = {.unified = -1, .net = -1};

	if (argc < 6)
		must(-EINVAL, "arguments");
	f.rootfs = argv[1];
	f.cgroup = argv[2];
	split(&f, argv[3]);
	f.beside = same(argv[4], "--beside");
	f.argv = argv + (f.beside ? 6 : 5);

	long beside = f.beside ? net_beside() : 0;
	make_cgroups(&f);
	if (f.beside)
		f.net = (int)(wait_for(beside) >> 8 & 0xff);
	long pid = must(clone_process(f.beside ? NAMESPACES : NAMESPACES | CLONE_NEWNET, f.unified), "clone");
	if (pid == 0)
		child(&f);
	u32 status = wait_for(pid);
	remove_cgroups(&f);
	sys_exit(status & 0x7f ? 128 + (int)(status & 0x7f) : (int)(status >> 8 & 0xff));
}
