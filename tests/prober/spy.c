#include "sys.h"

/* Looks at every process that comes to be in its pid namespace, from the first moment
 * on and until it runs its program, for what leads out of the container: roots, working
 * directories, executables and descriptors on mounts that are not of its own namespace.
 * What it needs for that is CAP_SYS_PTRACE. It also tries to open such a process's
 * memory, to read its environment, and to trace it. */

enum { SEIZE = 0x4206, INTERRUPT = 0x4207, DETACH = 17, ALL_KINDS = 0x40000000 /* __WALL */ };
enum { O_PATHONLY = 010000000, EMPTY_PATH = 0x1000, MNT_ID = 0x1000, BASIC = 0x7ff, AHEAD = 6, BEHIND = 3, FDS = 24 };

static uint64_t own[512]; /* ids of its own mounts */
static size_t owned;

static struct find {
	char name[16], link[128];
	word type;
} finds[64];
static size_t found;

static size_t put(char *to, size_t at, size_t size, const char *s)
{
	while (*s && *s != '\n' && at + 1 < size)
		to[at++] = *s++;
	to[at] = 0;
	return at;
}

static size_t put_number(char *to, size_t at, size_t size, word v)
{
	char digits[24];
	size_t n = sizeof(digits);
	digits[--n] = 0;
	do
		digits[--n] = (char)('0' + v % 10);
	while (v /= 10);
	return put(to, at, size, digits + n);
}

/* The first number of each line is a mount's. */
static void own_mounts(void)
{
	static char text[64 << 10];
	word n = file_read("/proc/self/mountinfo", text, sizeof(text) - 1);
	int begin = 1;
	for (word i = 0; i < n; i++) {
		if (begin && owned < sizeof(own) / sizeof(*own))
			own[owned++] = (uint64_t)number(text + i);
		begin = text[i] == '\n';
	}
}

static int is_own(uint64_t mount)
{
	for (size_t i = 0; i < owned; i++)
		if (own[i] == mount)
			return 1;
	return 0;
}

static int same(const struct find *a, const struct find *b)
{
	return equal(a->name, b->name) && equal(a->link, b->link) && a->type == b->type;
}

/* A process that does not run its program yet. */
static int is_init(word pid)
{
	char path[64], comm[32] = {0};
	size_t n = put_number(path, put(path, 0, sizeof(path), "/proc/"), sizeof(path), pid);
	put(path, n, sizeof(path), "/comm");
	return file_read(path, comm, sizeof(comm) - 1) > 0 && after(comm, "tare:init") != NULL;
}

/* A cgroup of v2 that is on no mount but its own: nothing is above it. The process is born
 * into it where a limit has no room for two (TestV2ExecTight looks at it closely). */
static int is_cgroup_alone(word fd, const struct statx_buf *st)
{
	uint64_t fs[32] = {0}; /* struct statfs begins with the type */
	struct statx_buf above;
	return SYS2(__NR_fstatfs, fd, fs) == 0 && fs[0] == 0x63677270 /* CGROUP2_SUPER_MAGIC */
		&& SYS5(__NR_statx, fd, "..", 0, BASIC | MNT_ID, &above) == 0
		&& above.ino == st->ino && above.mnt_id == st->mnt_id;
}

static void look_at(word pid, const char *name)
{
	char path[64];
	struct statx_buf st;
	struct find f = {0};
	size_t n = put_number(path, put(path, 0, sizeof(path), "/proc/"), sizeof(path), pid);
	n = put(path, n, sizeof(path), "/");
	put(path, n, sizeof(path), name);
	word fd = file_open(path, O_PATHONLY, 0);
	if (fd < 0)
		return;
	word e = SYS5(__NR_statx, fd, "", EMPTY_PATH, BASIC | MNT_ID, &st);
	put_number(path, put(path, 0, sizeof(path), "/proc/self/fd/"), sizeof(path), fd);
	word len = SYS4(__NR_readlinkat, AT_CWD, path, f.link, sizeof(f.link) - 1);
	int alone = e == 0 && is_cgroup_alone(fd, &st);
	SYS1(__NR_close, fd);
	if (len < 0 || e || alone || (st.mask & MNT_ID && is_own(st.mnt_id)) || found == sizeof(finds) / sizeof(*finds))
		return;
	put(f.name, 0, sizeof(f.name), name);
	f.type = st.mode >> 12;
	for (size_t i = 0; f.link[i]; i++)
		if (f.link[i] == '[') /* the number of a pipe, a socket */
			f.link[i] = 0;
	if (!is_init(pid))
		return; /* what was seen may be its program's */
	for (size_t i = 0; i < found; i++)
		if (same(&finds[i], &f))
			return;
	finds[found++] = f;
}

/* What has been got hold of while the process was none of the container's yet. */
static word memories, environments, traces;

static word open_of(word pid, const char *name)
{
	char path[64];
	size_t n = put_number(path, put(path, 0, sizeof(path), "/proc/"), sizeof(path), pid);
	put(path, n, sizeof(path), name);
	return file_open(path, 0, 0);
}

/* Opening is what the kernel asks the privilege for: mem_open() and environ_open(). An
 * execve(2) that is on its way keeps both, and an attach, waiting until it is over. */
static void get_hold_of(word pid)
{
	word mem = open_of(pid, "/mem"), env = open_of(pid, "/environ");
	char text[8];
	int filled = env >= 0 && SYS3(__NR_read, env, text, sizeof(text)) > 0;
	if (is_init(pid)) {
		memories += mem >= 0;
		environments += filled;
	}
	if (mem >= 0)
		SYS1(__NR_close, mem);
	if (env >= 0)
		SYS1(__NR_close, env);
	if (SYS4(__NR_ptrace, SEIZE, pid, 0, 0) < 0)
		return;
	int status;
	SYS4(__NR_ptrace, INTERRUPT, pid, 0, 0);
	/* Stopped, or at its end, which nobody else is told before this. */
	if (SYS4(__NR_wait4, pid, &status, ALL_KINDS, 0) == pid && (status & 0xff) == 0x7f) {
		traces += is_init(pid);
		SYS4(__NR_ptrace, DETACH, pid, 0, 0);
	}
}

static int there(word pid)
{
	char path[32];
	put_number(path, put(path, 0, sizeof(path), "/proc/"), sizeof(path), pid);
	return SYS3(__NR_faccessat, AT_CWD, path, 0) == 0;
}

/* The number that was given last in this pid namespace, the last word of the file. */
static word last_number(void)
{
	char text[128] = {0};
	word n = file_read("/proc/loadavg", text, sizeof(text) - 1), at = 0;
	for (word i = 0; i < n; i++)
		if (text[i] == ' ')
			at = i + 1;
	return number(text + at);
}

/* Spies until a file comes to be, and with hold goes further than looking. Numbers are
 * given to processes one after the other. */
void op_spy(const char *until, int hold)
{
	word self = SYS0(__NR_getpid), top = self, looks = 0, seen = 0, last = 0;
	char fd[16];

	own_mounts();
	json_int("mounts", (word)owned);
	for (word round = 1; round % 64 || SYS3(__NR_faccessat, AT_CWD, until, 0); round++) {
		word newest = last_number(); /* many may have come and gone while others had the processor */
		if (newest > top)
			top = newest;
		for (word pid = top > BEHIND ? top - BEHIND : 1; pid <= top + AHEAD; pid++) {
			if (pid == self || !there(pid))
				continue;
			if (pid > top)
				top = pid;
			look_at(pid, "root");
			look_at(pid, "cwd");
			if (!is_init(pid))
				continue;
			looks++;
			if (pid > last)
				seen++;
			last = pid > last ? pid : last;
			look_at(pid, "exe");
			if (hold)
				get_hold_of(pid);
			for (int i = 0; i < FDS; i++) {
				put_number(fd, put(fd, 0, sizeof(fd), "fd/"), sizeof(fd), i);
				look_at(pid, fd);
			}
		}
	}
	json_int("err", 0);
	json_int("looks", looks);
	json_int("seen", seen);
	json_int("memories", memories);
	json_int("environments", environments);
	json_int("traces", traces);
	json_open("files", '[');
	for (size_t i = 0; i < found; i++) {
		json_open(NULL, '{');
		json_text("name", finds[i].name);
		json_int("type", finds[i].type);
		json_text("link", finds[i].link);
		json_close('}');
	}
	json_close(']');
}
