/* Limits, scheduling and credentials: what the program runs as. */
#include "ctx.h"

#include <linux/capability.h>

#define PR_SET_DUMPABLE 4
#define PR_CAPBSET_DROP 24
#define PR_SET_NO_NEW_PRIVS 38
#define PR_SET_KEEPCAPS 8
#define PR_CAP_AMBIENT 47
#define PR_CAP_AMBIENT_RAISE 2
#define PR_CAP_AMBIENT_CLEAR_ALL 4
#define AT_EMPTY_PATH_ 0x1000

HANDLER(rlimit)
{
	u64 lim[2] = {op->num[RLIMIT_SOFT], op->num[RLIMIT_HARD]};
	long r = sys4(__NR_prlimit64, 0, op->num[RLIMIT_RESOURCE], lim, NULL);
	return r < 0 ? fail(c, STEP_SETRLIMIT, r) : 0;
}

HANDLER(personality)
{
	long r = sys1(__NR_personality, op->num[PERSONALITY_PERSONA]);
	return r < 0 ? fail(c, STEP_PERSONALITY, r) : 0;
}

HANDLER(scheduler)
{
	u32 len;
	const u8 *attr = op_blob(c, op, SCHEDULER_ATTR, &len);
	long r = sys3(__NR_sched_setattr, 0, attr, 0);
	return r < 0 ? fail(c, STEP_SCHED_SETATTR, r) : 0;
}

HANDLER(io_priority)
{
	long r = sys3(__NR_ioprio_set, 1 /* IOPRIO_WHO_PROCESS */, 0, op->num[IO_PRIORITY_PRIORITY]);
	return r < 0 ? fail(c, STEP_IOPRIO_SET, r) : 0;
}

int set_cpus(struct ctx *c, const struct op *op, int blob)
{
	u32 len;
	const u8 *mask = op_blob(c, op, blob, &len);
	long r = sys3(__NR_sched_setaffinity, 0, len, mask);
	return r < 0 ? fail(c, STEP_SCHED_SETAFFINITY, r) : 0;
}

HANDLER(affinity)
{
	return set_cpus(c, op, AFFINITY_MASK);
}

HANDLER(memory_policy)
{
	u32 len;
	const u8 *nodes = op_blob(c, op, MEMORY_POLICY_NODES, &len);
	long r = sys3(__NR_set_mempolicy, op->num[MEMORY_POLICY_VALUE], nodes, len ? (ulong)len * 8 + 1 : 0);
	return r < 0 ? fail(c, STEP_SET_MEMPOLICY, r) : 0;
}

/* So that the program can open /dev/stdout again. What cannot change hands (a
 * pipe of another user namespace, a read-only file system, /dev/null, which is
 * everybody's) stays as it is. */
HANDLER(stdio_owner)
{
	for (int fd = 0; fd < 3; fd++) {
		struct stat st;
		if (sys_fstat(fd, &st) < 0 || st.st_uid == (u32)op->num[STDIO_OWNER_UID])
			continue;
		/* A device is the host's, or others use it, too: who were given the terminal of
		 * an administrator could open it after the container. One of the container's own
		 * devpts is its user's. */
		int device = (st.st_mode & S_IFMT) == S_IFCHR || (st.st_mode & S_IFMT) == S_IFBLK;
		if (device && (!(op->flags & FLAG_TERMINAL) || dev_major(st.st_rdev) == 1))
			continue;
		long r = sys5(__NR_fchownat, fd, "", op->num[STDIO_OWNER_UID], -1, AT_EMPTY_PATH_);
		if (r < 0 && r != -EINVAL && r != -EPERM && r != -EROFS)
			return fail(c, STEP_CHOWN, r);
	}
	return 0;
}

HANDLER(no_new_privs)
{
	(void)op;
	long r = sys5(__NR_prctl, PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
	return r < 0 ? fail(c, STEP_PRCTL, r) : 0;
}

/* Before the ids change, because afterwards CAP_SETPCAP is gone. */
HANDLER(caps_bound)
{
	for (u32 cap = 0; cap < 64; cap++) {
		if (op->num[CAPS_BOUND_KEEP] >> cap & 1)
			continue;
		long r = sys5(__NR_prctl, PR_CAPBSET_DROP, cap, 0, 0, 0);
		if (r == -EINVAL)
			return 0; /* past the last one that this kernel has */
		if (r < 0)
			return fail(c, STEP_PRCTL, r);
	}
	return 0;
}

HANDLER(identity)
{
	u32 len;
	const u8 *groups = op_blob(c, op, IDENTITY_GROUPS, &len);
	u64 uid = op->num[IDENTITY_UID], gid = op->num[IDENTITY_GID];
	long r;

	/* To the kernel, -1 means "as it is", which is root. */
	if ((u32)gid == ~0u)
		return fail(c, STEP_SETGID, -EINVAL);
	if ((u32)uid == ~0u)
		return fail(c, STEP_SETUID, -EINVAL);
	/* The permitted set outlives the change of uid until caps-set trims it. */
	r = sys5(__NR_prctl, PR_SET_KEEPCAPS, 1, 0, 0, 0);
	if (r < 0)
		return fail(c, STEP_PRCTL, r);
	if (!(op->flags & FLAG_KEEP_GROUPS)) {
		r = sys2(__NR_setgroups, len / 4, groups);
		/* Denied in this user namespace, and nothing to set: ns-join has seen to it. */
		if (r == -EPERM && len == 0 && sys2(__NR_getgroups, 0, NULL) == 0)
			r = 0;
		if (r < 0)
			return fail(c, STEP_SETGROUPS, r);
	}
	r = sys3(__NR_setresgid, gid, gid, gid);
	if (r < 0)
		return fail(c, STEP_SETGID, r);
	r = sys3(__NR_setresuid, uid, uid, uid);
	if (r < 0)
		return fail(c, STEP_SETUID, r);
	(void)sys1(__NR_umask, op->num[IDENTITY_UMASK]);
	c->umask_set = 1;
	(void)sys5(__NR_prctl, PR_SET_KEEPCAPS, 0, 0, 0, 0);
	/* A change of ids sets it to fs.suid_dumpable; others of the same user in the
	 * container may still not look into this process. */
	(void)sys5(__NR_prctl, PR_SET_DUMPABLE, 0, 0, 0, 0);
	return 0;
}

static long set_caps(u64 permitted, u64 effective, u64 inheritable)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
	struct __user_cap_data_struct data[2];
	for (int i = 0; i < 2; i++) {
		data[i].permitted = (u32)(permitted >> (32 * i));
		data[i].effective = (u32)(effective >> (32 * i));
		data[i].inheritable = (u32)(inheritable >> (32 * i));
	}
	return sys2(__NR_capset, &head, data);
}

/* Exactly what the config lists: nothing inheritable or ambient comes along by
 * itself (CVE-2022-29162, CVE-2022-27650). */
HANDLER(caps_set)
{
	long r = set_caps(op->num[CAPS_SET_PERMITTED], op->num[CAPS_SET_EFFECTIVE], op->num[CAPS_SET_INHERITABLE]);
	if (r < 0)
		return fail(c, STEP_CAPSET, r);
	r = sys5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
	if (r < 0)
		return fail(c, STEP_PRCTL, r);
	for (u32 cap = 0; cap < 64; cap++) {
		if (!(op->num[CAPS_SET_AMBIENT] >> cap & 1))
			continue;
		r = sys5(__NR_prctl, PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0);
		if (r < 0)
			return fail(c, STEP_PRCTL, r);
	}
	return 0;
}

/* After the filter: a profile has to allow capset(2), beside execve(2) and the
 * write(2) and read(2) of the last sync and the gate. */
HANDLER(caps_trim)
{
	long r = set_caps(op->num[CAPS_TRIM_PERMITTED], op->num[CAPS_TRIM_EFFECTIVE], op->num[CAPS_TRIM_INHERITABLE]);
	return r < 0 ? fail(c, STEP_CAPSET, r) : 0;
}
