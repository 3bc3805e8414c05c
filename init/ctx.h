/* What the interpreter knows while it runs. */
#pragma once

#include "plan_gen.h"
#include "sys.h"

#define PATH_MAX 4096
#define PROC_MAGIC 0x9fa0 /* statfs(2) */

/* One op on the wire; internal/plan/encode.go writes it. */
struct op {
	u16 code;
	u8 phase, side;
	u32 flags;
	u64 num[4];
	u32 str[3];
	u32 blob[2];
	u32 zero;
};
_Static_assert(sizeof(struct op) == PLAN_OP_SIZE, "op size");

struct plan_header {
	u64 magic, abi;
	u32 total, nops, data, slots, scratch, zero[7];
};
_Static_assert(sizeof(struct plan_header) == PLAN_HEADER_SIZE, "header size");

/* The one record that goes to the host: internal/initproto reads it. */
enum report_kind { REPORT_SYNC = 1, REPORT_FORKED = 2, REPORT_FAILED = 3 };
#define REPORT_MAGIC 0x74617265u
struct report {
	u32 magic, kind, op, step;
	s32 err;
	u32 detail_len;
	u64 value;
	char detail[480];
};
_Static_assert(sizeof(struct report) == 512, "report size");

struct ctx {
	const u8 *plan;
	const struct op *ops;
	const char *data;
	u32 nops, data_size, nslots;
	u32 plan_size;
	u32 spawn; /* the index of that op; what host ops behind it open is passed */
	u32 last_fd; /* the highest descriptor that was meant for this process */

	int sync; /* seqpacket to the host; closed by the execve */
	u32 index; /* the op that runs */
	enum plan_step step; /* the system call that failed */
	const char **vec; /* scratch for argv and envp, made before the first op */
	u32 vec_size;
	const struct op *env; /* the op that holds the environment of the program */
	u32 args_room; /* entries of vec before env */

	u8 gated; /* past the gate: reports go into the fifo, where start reads them */
	u8 mask_attached, null_attached; /* a detached mount can be attached once, then cloned */
	u8 root_over; /* the root lies over the old one already */
	u8 exposed; /* dumpable, for the time being */
	u8 cwd_done;
	u8 filtered; /* a system call filter is in force */
	u8 handing; /* another thread hands its listener to the host */
	u8 umask_set; /* identity has set the program's; until then it is 0, for exact modes */
	u8 no_setattr; /* this kernel has no mount_setattr(2) */

	ulong page; /* size, in bytes; 0 if the kernel has not said */
	struct report report;
	char base[256]; /* of open_parent */
	int slots[PLAN_MAX_SLOTS];
	char home[PATH_MAX]; /* "HOME=..." */
	char program[PATH_MAX]; /* what exec-find found */
	/* Path work of one op: its whole pages are given back at the gate. */
	char path[PATH_MAX] __attribute__((aligned(PATH_MAX)));
};

/* lib.c */
size_t str_len(const char *s);
int str_eq(const char *a, const char *b);
void mem_copy(void *to, const void *from, size_t n);
size_t put_str(char *buf, size_t at, size_t size, const char *s);
size_t put_num(char *buf, size_t at, size_t size, u64 n);
int parse_u32(const char *s, u32 *ret);

/* main.c */
u32 number_slots(struct ctx *c, u32 from, u32 to, const int *fds, u32 nfds);

/* reader.c: 0, or a number that says which check refused the plan */
int plan_check(struct ctx *c, const u8 *plan, size_t size);

static inline const char *op_str(const struct ctx *c, const struct op *op, int i)
{
	return c->data + op->str[i]; /* offset 0 holds a NUL: the empty string */
}

static inline const u8 *op_blob(const struct ctx *c, const struct op *op, int i, u32 *len)
{
	if (op->blob[i] == 0) {
		*len = 0;
		return NULL;
	}
	const u8 *b = (const u8 *)c->data + op->blob[i];
	mem_copy(len, b, 4);
	return b + 4;
}

static inline int op_slot(const struct ctx *c, const struct op *op, int i)
{
	return op->num[i] ? c->slots[op->num[i]] : -EBADF;
}

/* report.c: a handler that fails names the step and passes the error on; only
 * the loop in main.c reports. */
static inline int fail(struct ctx *c, enum plan_step step, long err)
{
	c->step = step;
	return (int)err;
}
void detail(struct ctx *c, const char *text);
void detail_num(struct ctx *c, u64 n);
void die_with_parent(struct ctx *c);
int send_report(struct ctx *c, enum report_kind kind, int err, u64 value);

/* path.c: names inside the root, by descriptor only */
int open_in_root(struct ctx *c, const char *path, u64 flags);
int make_dir_in_root(struct ctx *c, const char *path, u32 mode, int missing);
int open_target(struct ctx *c, const struct op *op, const char *path);
int open_parent(struct ctx *c, const char *path, const char **ret_base);

/* attr.c: mount attributes, with what older kernels need */
int set_attr(struct ctx *c, int fd, u64 attr, u64 propagation, int recursive);
int attach(struct ctx *c, int tree, int target);
int attach_with(struct ctx *c, int tree, int target, u64 attr, u64 rattr);
ulong ms_flags(u32 attr);

/* op_seccomp.c */
void listener_closed(struct ctx *c);

/* op_proc.c */
int open_proc(struct ctx *c);

/* op_*.c */
int cover_up(struct ctx *c);
int chroot_here(struct ctx *c);
int set_cpus(struct ctx *c, const struct op *op, int blob);
int copy_up(struct ctx *c, int from, int to, int keep_mode);
u32 fill(const struct ctx *c, const struct op *op, int blob, const char **vec);

#define HANDLER(name) int op_##name(struct ctx *c, const struct op *op)
HANDLER(sync_arrive);
HANDLER(sync_await);
HANDLER(fd_pass);
HANDLER(fd_seal);
HANDLER(cgroup_join);
HANDLER(oom_score);
HANDLER(ns_join);
HANDLER(unshare);
HANDLER(expose);
HANDLER(time_open);
HANDLER(time_offset);
HANDLER(fs_open);
HANDLER(fork);
HANDLER(become_root);
HANDLER(session);
HANDLER(keyring);
HANDLER(loopback_up);
HANDLER(hostname);
HANDLER(domainname);
HANDLER(proc_open);
HANDLER(null_open);
HANDLER(mount_propagation);
HANDLER(root_bind);
HANDLER(mount_fs);
HANDLER(mount_bind);
HANDLER(mount_remount);
HANDLER(mount_readonly);
HANDLER(dir_make);
HANDLER(symlink_make);
HANDLER(device_make);
HANDLER(device_bind);
HANDLER(hook_run);
HANDLER(root_pivot);
HANDLER(root_move);
HANDLER(root_chroot);
HANDLER(root_attr);
HANDLER(sysctl);
HANDLER(mask_prepare);
HANDLER(path_readonly);
HANDLER(path_mask);
HANDLER(hook_state);
HANDLER(rlimit);
HANDLER(personality);
HANDLER(scheduler);
HANDLER(io_priority);
HANDLER(affinity);
HANDLER(memory_policy);
HANDLER(stdio_owner);
HANDLER(lsm_exec);
HANDLER(no_new_privs);
HANDLER(seccomp);
HANDLER(seccomp_notify);
HANDLER(caps_bound);
HANDLER(cwd_make);
HANDLER(identity);
HANDLER(caps_set);
HANDLER(caps_trim);
HANDLER(cwd);
HANDLER(home_find);
HANDLER(exec_find);
HANDLER(env);
HANDLER(outlive);
HANDLER(gate);
HANDLER(fd_close);
HANDLER(exec);
HANDLER(ns_enter);
HANDLER(cpu_enter);
HANDLER(root_enter);
HANDLER(console);
