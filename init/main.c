/* tare's init: the hand that runs a plan inside the container's namespaces.
 *
 * It is started from a sealed memfd as "tare-init BASE", where BASE is the first
 * descriptor after those that the container keeps: BASE is the socket to the
 * host, BASE+1 the plan, and the descriptors that host ops have opened before the
 * spawn follow, in the order of those ops. It checks the whole plan, runs it op by op, sends
 * one record if an op fails, and otherwise ends as the container's program. */
#include "ctx.h"

#define PR_SET_DUMPABLE 4
#define PR_SET_NAME 15
#define PROT_READ 1
#define PROT_WRITE 2
#define MAP_PRIVATE 2
#define MAP_ANONYMOUS 0x20

static struct ctx ctx;

static int dispatch(struct ctx *c, const struct op *op)
{
	/* No default: an op of the table without a handler does not compile. */
	switch ((enum op_code)op->code) {
	case OP_CGROUP_MAKE:
	case OP_CGROUP_WRITE:
	case OP_UNIT_START:
	case OP_DEVICE_FILTER:
	case OP_CGROUP_OWNER:
	case OP_NET_MAKE:
	case OP_NS_OPEN:
	case OP_TREE_OPEN:
	case OP_TREE_IDMAP:
	case OP_GATE_OPEN:
	case OP_RDT_GROUP:
	case OP_RDT_SCHEMA:
	case OP_HOOK_LOG:
	case OP_DEVICE_NODE:
	case OP_ID_MAP:
	case OP_STATE_SAVE:
	case OP_RDT_JOIN:
	case OP_NETDEV_MOVE:
	case OP_HOOK:
	case OP_TARGET_OPEN:
	case OP_CGROUP_OPEN:
	case OP_ROOT_OPEN:
	case OP_CONSOLE_OPEN:
	case OP_SPAWN_AFFINITY:
	case OP_CGROUP_KEEP:
	case OP_PIDFD_SEND:
		return 0; /* the host's */
	case OP_SPAWN: { /* the host's; the cgroup that this process was born into is not to stay open */
		owned_fd cgroup = op_slot(c, op, SPAWN_CGROUP);
		(void)cgroup;
		return 0;
	}
#define CASE(NAME, name)                                                                                               \
	case OP_##NAME:                                                                                                \
		return op_##name(c, op);
		CASE(SYNC_ARRIVE, sync_arrive)
		CASE(SYNC_AWAIT, sync_await)
		CASE(FD_PASS, fd_pass)
		CASE(FD_SEAL, fd_seal)
		CASE(CGROUP_JOIN, cgroup_join)
		CASE(OOM_SCORE, oom_score)
		CASE(NS_JOIN, ns_join)
		CASE(UNSHARE, unshare)
		CASE(EXPOSE, expose)
		CASE(TIME_OPEN, time_open)
		CASE(TIME_OFFSET, time_offset)
		CASE(FS_OPEN, fs_open)
		CASE(FORK, fork)
		CASE(BECOME_ROOT, become_root)
		CASE(SESSION, session)
		CASE(KEYRING, keyring)
		CASE(LOOPBACK_UP, loopback_up)
		CASE(HOSTNAME, hostname)
		CASE(DOMAINNAME, domainname)
		CASE(PROC_OPEN, proc_open)
		CASE(NULL_OPEN, null_open)
		CASE(MOUNT_PROPAGATION, mount_propagation)
		CASE(ROOT_BIND, root_bind)
		CASE(MOUNT_FS, mount_fs)
		CASE(MOUNT_BIND, mount_bind)
		CASE(MOUNT_REMOUNT, mount_remount)
		CASE(MOUNT_READONLY, mount_readonly)
		CASE(DIR_MAKE, dir_make)
		CASE(SYMLINK_MAKE, symlink_make)
		CASE(DEVICE_MAKE, device_make)
		CASE(DEVICE_BIND, device_bind)
		CASE(HOOK_RUN, hook_run)
		CASE(ROOT_PIVOT, root_pivot)
		CASE(ROOT_MOVE, root_move)
		CASE(ROOT_CHROOT, root_chroot)
		CASE(ROOT_ATTR, root_attr)
		CASE(SYSCTL, sysctl)
		CASE(MASK_PREPARE, mask_prepare)
		CASE(PATH_READONLY, path_readonly)
		CASE(PATH_MASK, path_mask)
		CASE(HOOK_STATE, hook_state)
		CASE(RLIMIT, rlimit)
		CASE(PERSONALITY, personality)
		CASE(SCHEDULER, scheduler)
		CASE(IO_PRIORITY, io_priority)
		CASE(AFFINITY, affinity)
		CASE(MEMORY_POLICY, memory_policy)
		CASE(STDIO_OWNER, stdio_owner)
		CASE(LSM_EXEC, lsm_exec)
		CASE(NO_NEW_PRIVS, no_new_privs)
		CASE(SECCOMP, seccomp)
		CASE(SECCOMP_NOTIFY, seccomp_notify)
		CASE(CAPS_BOUND, caps_bound)
		CASE(CWD_MAKE, cwd_make)
		CASE(IDENTITY, identity)
		CASE(CAPS_SET, caps_set)
		CASE(CAPS_TRIM, caps_trim)
		CASE(CWD, cwd)
		CASE(HOME_FIND, home_find)
		CASE(EXEC_FIND, exec_find)
		CASE(ENV, env)
		CASE(OUTLIVE, outlive)
		CASE(GATE, gate)
		CASE(FD_CLOSE, fd_close)
		CASE(EXEC, exec)
		CASE(NS_ENTER, ns_enter)
		CASE(CPU_ENTER, cpu_enter)
		CASE(ROOT_ENTER, root_enter)
		CASE(CONSOLE, console)
#undef CASE
	}
	return fail(c, STEP_CHECK, -EINVAL);
}

__attribute__((noreturn)) static void die(struct ctx *c, enum plan_step step, int err)
{
	c->step = step;
	(void)send_report(c, REPORT_FAILED, err, 0);
	sys_exit(1);
}

static void *map(int fd, size_t size)
{
	int flags = fd < 0 ? MAP_PRIVATE | MAP_ANONYMOUS : MAP_PRIVATE;
	return (void *)sys6(__NR_mmap, 0, (long)size, fd < 0 ? PROT_READ | PROT_WRITE : PROT_READ, flags, fd, 0);
}

/* Gives the descriptors that the host ops from..to-1 have opened to their slots, in
 * the order of the ops, and returns how many there are. */
u32 number_slots(struct ctx *c, u32 from, u32 to, const int *fds, u32 nfds)
{
	u32 n = 0;

	for (u32 i = from; i < to; i++) {
		const struct op *op = &c->ops[i];
		const struct op_info *info = &op_infos[op->code];
		if (info->side != SIDE_HOST)
			continue;
		for (int j = 0; j <= 4; j++) {
			u64 slot = j == 4 ? info->fills : info->num[j] == KIND_SLOT_OUT ? op->num[j] : 0;
			if (!slot)
				continue;
			int fd = fds && n < nfds ? fds[n] : fds ? -EBADF : (int)(c->last_fd + 1);
			c->slots[slot] = fd;
			if (fd > (int)c->last_fd)
				c->last_fd = (u32)fd;
			n++;
		}
	}
	return n;
}

/* What host ops opened before the spawn lies behind the plan, and what they open
 * later will be passed. */
static void inherit_slots(struct ctx *c, int plan)
{
	for (u32 i = 0; i < c->nslots; i++)
		c->slots[i] = -EBADF;
	c->last_fd = (u32)plan;
	while (c->spawn < c->nops && c->ops[c->spawn].code != OP_SPAWN)
		c->spawn++;
	(void)number_slots(c, 0, c->spawn, NULL, 0);
}

static int load(struct ctx *c, int fd)
{
	struct stat st;

	int r = sys_fstat(fd, &st);
	if (r < 0)
		die(c, STEP_FSTAT, r);
	if (st.st_size <= 0 || st.st_size > PLAN_MAX_SIZE)
		die(c, STEP_CHECK, -EMSGSIZE);
	const u8 *plan = map(fd, (size_t)st.st_size);
	if (MAP_FAILED_ERRNO(plan))
		die(c, STEP_MMAP, (int)(long)plan);
	r = plan_check(c, plan, (size_t)st.st_size);
	if (r) {
		detail(c, "plan refused by check ");
		detail_num(c, (u64)r);
		die(c, STEP_CHECK, -EINVAL);
	}
	/* The last allocation: room for the longest argument and environment lists. */
	c->vec = map(-1, c->vec_size * sizeof *c->vec);
	if (MAP_FAILED_ERRNO(c->vec))
		die(c, STEP_MMAP, (int)(long)c->vec);
	return 0;
}

__attribute__((noreturn)) void init_main(int argc, char **argv);
void init_main(int argc, char **argv)
{
	struct ctx *c = &ctx;
	u32 base;

	if (argc == 2 && str_eq(argv[1], "hold")) {
		/* Keeps a user namespace open for an id-mapped mount until stdin ends. */
		(void)sys_read(0, c->path, 1);
		sys_exit(0);
	}
	if (argc != 2 || parse_u32(argv[1], &base) || base < 3 || base > 1 << 20)
		sys_exit(127); /* started by hand */
	c->sync = (int)base;
	/* Blocked since before the clone, so that none could reach the runtime's
	 * handlers in a child that had the runtime's memory. Those that came meanwhile
	 * have their effect now. */
	u64 none = 0;
	(void)sys4(__NR_rt_sigprocmask, 2 /* SIG_SETMASK */, &none, NULL, sizeof none);
	/* Who am I: a fresh process in the runtime's user namespace with all of its
	 * privilege. Nobody in a namespace joined later may ptrace it. */
	(void)sys5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	(void)sys5(__NR_prctl, PR_SET_NAME, "tare:init", 0, 0, 0);
	die_with_parent(c);
	(void)sys1(__NR_umask, 0);
	(void)load(c, (int)base + 1);
	inherit_slots(c, (int)base + 1);

	for (u32 i = 0; i < c->nops; i++) {
		const struct op *op = &c->ops[i];
		c->index = i;
		int r = dispatch(c, op);
		if (r < 0 && !(op->flags & FLAG_IGNORE))
			die(c, c->step, r);
		c->report.detail_len = 0;
	}
	die(c, STEP_CHECK, -ENOEXEC); /* the last op is exec, which does not come back */
}

#ifdef TARE_HOSTED
int main(int argc, char **argv)
{
	init_main(argc, argv);
}
#else
#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall start_c\n\thlt\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29,#0\n\tmov x30,#0\n\tmov x0,sp\n\tand sp,x0,#-16\n\tbl start_c\n\tbrk #0\n");
#endif

/* The canary of -fstack-protector: a random one from the kernel, before any
 * protected function runs. */
ulong __stack_chk_guard;
__attribute__((noreturn)) void __stack_chk_fail(void);
void __stack_chk_fail(void)
{
	die(&ctx, STEP_CHECK, -EFAULT);
}

__attribute__((noreturn, optimize("no-stack-protector"))) void start_c(long *sp);
void start_c(long *sp)
{
	int argc = (int)sp[0];
	char **argv = (char **)(sp + 1);
	long *p = sp + argc + 2;

#if defined(__aarch64__)
	/* the thread register says where the canary is: there are no threads */
	__asm__ volatile("msr tpidr_el0, %0" : : "r"(&__stack_chk_guard) : "memory");
#endif
	while (*p) /* environment */
		p++;
	for (p++; p[0]; p += 2)
		if (p[0] == 6) /* AT_PAGESZ */
			ctx.page = (ulong)p[1];
		else if (p[0] == 25) /* AT_RANDOM */
			mem_copy(&__stack_chk_guard, (const void *)p[1], sizeof __stack_chk_guard);
	init_main(argc, argv);
}
#endif
