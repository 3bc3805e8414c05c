#include "sys.h"

struct dirent {
	uint64_t ino;
	int64_t off;
	uint16_t reclen;
	uint8_t type;
	char name[];
};

static void join(char *to, size_t size, const char *dir, const char *name)
{
	size_t n = 0;
	while (*dir && n + 1 < size)
		to[n++] = *dir++;
	if (n && to[n - 1] != '/' && n + 1 < size)
		to[n++] = '/';
	while (*name && n + 1 < size)
		to[n++] = *name++;
	to[n] = 0;
}

static void link_target(const char *key, const char *path)
{
	char b[4096];
	word n = SYS4(__NR_readlinkat, AT_CWD, path, b, sizeof(b));
	json_bytes(key, n < 0 ? "unreadable" : b, n < 0 ? 10 : (size_t)n);
}

/* The fields of one file, into the object that is open. */
static void file_fields(const char *path)
{
	struct statx_buf st;
	word e = SYS5(__NR_statx, AT_CWD, path, NOFOLLOW, 0xfff, &st);
	json_int("err", -e);
	if (e)
		return;
	json_int("type", st.mode >> 12);
	json_int("mode", st.mode & 07777);
	json_int("uid", st.uid);
	json_int("gid", st.gid);
	json_int("size", (word)st.size);
	json_int("major", st.rdev_major);
	json_int("minor", st.rdev_minor);
	json_int("dev", (word)((uint64_t)st.dev_major << 20 | st.dev_minor));
	json_int("ino", (word)st.ino);
	if (st.mode >> 12 == 012)
		link_target("link", path);
}

static void each(const char *dir, void (*visit)(const char *path, const char *name, word dirfd))
{
	char b[1024], path[512];
	word fd = file_open(dir, 0200000, 0);
	if (fd < 0)
		return;
	for (;;) {
		word n = SYS3(__NR_getdents64, fd, b, sizeof(b));
		if (n <= 0)
			break;
		for (word i = 0; i < n;) {
			struct dirent *d = (struct dirent *)(b + i);
			i += d->reclen;
			if (equal(d->name, ".") || equal(d->name, ".."))
				continue;
			join(path, sizeof(path), dir, d->name);
			visit(path, d->name, fd);
		}
	}
	SYS1(__NR_close, fd);
}

static void visit_fd(const char *path, const char *name, word dirfd)
{
	word fd = number(name);
	if (fd == dirfd)
		return;
	json_open(NULL, '{');
	json_int("fd", fd);
	json_int("descriptorFlags", SYS3(__NR_fcntl, fd, 1, 0));
	json_int("statusFlags", SYS3(__NR_fcntl, fd, 3, 0));
	link_target("target", path);
	json_close('}');
}

static void visit_file(const char *path, const char *name, word dirfd)
{
	(void)dirfd;
	json_open(NULL, '{');
	json_text("name", name);
	file_fields(path);
	json_close('}');
}

static void visit_link(const char *path, const char *name, word dirfd)
{
	(void)dirfd;
	link_target(name, path);
}

/* Called with a directory, for the ls op. */
void list_files(const char *dir)
{
	json_open("files", '[');
	each(dir, visit_file);
	json_close(']');
}

void stat_file(const char *path)
{
	file_fields(path);
}

static void credentials(void)
{
	uint32_t r, e, s, groups[64];
	SYS3(__NR_getresuid, &r, &e, &s);
	json_open("uid", '[');
	json_int(NULL, r), json_int(NULL, e), json_int(NULL, s);
	json_close(']');
	SYS3(__NR_getresgid, &r, &e, &s);
	json_open("gid", '[');
	json_int(NULL, r), json_int(NULL, e), json_int(NULL, s);
	json_close(']');
	json_open("groups", '[');
	word n = SYS2(__NR_getgroups, 64, groups);
	for (word i = 0; i < n; i++)
		json_int(NULL, groups[i]);
	json_close(']');
	word mask = SYS1(__NR_umask, 0);
	SYS1(__NR_umask, mask);
	json_int("umask", mask);
}

static void capabilities(void)
{
	struct {
		uint32_t version;
		int pid;
	} head = {0x20080522, 0};
	uint32_t d[6] = {0};
	uint64_t bounding = 0, ambient = 0;
	SYS2(__NR_capget, &head, d);
	for (int i = 0; i < 64; i++) {
		if (SYS2(__NR_prctl, 23, i) == 1) /* PR_CAPBSET_READ */
			bounding |= 1ul << i;
		if (SYS5(__NR_prctl, 47, 1, i, 0, 0) == 1) /* PR_CAP_AMBIENT_IS_SET */
			ambient |= 1ul << i;
	}
	json_open("caps", '{');
	json_hex("bounding", bounding);
	json_hex("effective", d[0] | (uint64_t)d[3] << 32);
	json_hex("permitted", d[1] | (uint64_t)d[4] << 32);
	json_hex("inheritable", d[2] | (uint64_t)d[5] << 32);
	json_hex("ambient", ambient);
	json_close('}');
	json_int("noNewPrivs", SYS5(__NR_prctl, 39, 0, 0, 0, 0));
	json_int("seccomp", SYS5(__NR_prctl, 21, 0, 0, 0, 0));
	json_int("securebits", SYS5(__NR_prctl, 27, 0, 0, 0, 0));
	json_int("dumpable", SYS5(__NR_prctl, 3, 0, 0, 0, 0));
	int sig = 0;
	SYS5(__NR_prctl, 2, &sig, 0, 0, 0);
	json_int("pdeathsig", sig);
	sig = 0;
	SYS5(__NR_prctl, 37, &sig, 0, 0, 0);
	json_int("subreaper", sig);
	char comm[17] = {0};
	SYS5(__NR_prctl, 16, comm, 0, 0, 0);
	json_text("comm", comm);
	json_open("prctl", '{'); /* what else prctl(2) can read, and exec may not reset */
	json_int("timerSlack", SYS5(__NR_prctl, 30, 0, 0, 0, 0));
	json_int("keepCaps", SYS5(__NR_prctl, 7, 0, 0, 0, 0));
	json_int("thpDisable", SYS5(__NR_prctl, 42, 0, 0, 0, 0));
	json_int("mceKill", SYS5(__NR_prctl, 34, 0, 0, 0, 0));
	json_int("ioFlusher", SYS5(__NR_prctl, 58, 0, 0, 0, 0));
	json_int("mdwe", SYS5(__NR_prctl, 66, 0, 0, 0, 0));
	json_int("ksm", SYS5(__NR_prctl, 68, 0, 0, 0, 0));
	json_close('}');
}

static void limits(void)
{
	json_open("rlimits", '[');
	for (int i = 0; i < 16; i++) {
		uint64_t l[2] = {0, 0};
		SYS4(__NR_prlimit64, 0, i, 0, l);
		json_uint(NULL, l[0]);
		json_uint(NULL, l[1]);
	}
	json_close(']');
}

static void signals(void)
{
	uint64_t blocked = 0, ignored = 0, caught = 0;
	SYS4(__NR_rt_sigprocmask, 0, 0, &blocked, 8);
	for (int i = 1; i <= 64; i++) {
		uint64_t action[4] = {0};
		if (SYS4(__NR_rt_sigaction, i, 0, action, 8))
			continue;
		if (action[0] == 1)
			ignored |= 1ul << (i - 1);
		else if (action[0])
			caught |= 1ul << (i - 1);
	}
	json_open("signals", '{');
	json_hex("blocked", blocked);
	json_hex("ignored", ignored);
	json_hex("caught", caught);
	json_close('}');
}

static void scheduling(void)
{
	uint64_t mask[16] = {0};
	SYS3(__NR_sched_getaffinity, 0, sizeof(mask), mask);
	json_hex("affinity", mask[0]);
	json_int("policy", SYS1(__NR_sched_getscheduler, 0));
	json_int("nice", 20 - SYS2(__NR_getpriority, 0, 0));
	json_int("ioprio", SYS2(__NR_ioprio_get, 1, 0));
	json_int("personality", SYS1(__NR_personality, 0xffffffff));
	int mode = -1;
	SYS5(__NR_get_mempolicy, &mode, 0, 0, 0, 0);
	json_int("memPolicy", mode);
	uint32_t attr[14] = {0};
	SYS4(__NR_sched_getattr, 0, attr, sizeof(attr), 0);
	json_int("schedFlags", (word)(attr[2] | (uint64_t)attr[3] << 32));
	json_int("schedPriority", attr[5]);
	uint64_t timers[4], set = 0;
	for (int i = 0; i < 3; i++)
		if (SYS2(__NR_getitimer, i, timers) == 0 && (timers[2] || timers[3]))
			set |= 1ul << i;
	json_hex("timers", set);
	uint64_t t[2];
	SYS2(__NR_clock_gettime, 1, t);
	json_int("monotonic", (word)t[0]);
	SYS2(__NR_clock_gettime, 7, t);
	json_int("boottime", (word)t[0]);
}

static void names(void)
{
	char u[6][65], b[4096];
	SYS1(__NR_uname, u);
	json_text("hostname", u[1]);
	json_text("domainname", u[5]);
	word n = SYS4(__NR_keyctl, 6, -3, b, sizeof(b)); /* KEYCTL_DESCRIBE, the session keyring */
	json_bytes("keyring", b, n > 0 ? (size_t)n - 1 : 0);
	n = SYS4(__NR_keyctl, 17, -3, b, sizeof(b)); /* KEYCTL_GET_SECURITY */
	json_bytes("keyringLabel", b, n > 0 ? (size_t)n - 1 : 0);
	n = SYS2(__NR_getcwd, b, sizeof(b));
	json_bytes("cwd", b, n > 0 ? (size_t)n - 1 : 0);
}

static void strings(const char *key, char **v)
{
	json_open(key, '[');
	while (*v)
		json_text(NULL, *v++);
	json_close(']');
}

void report(char **argv, char **envp)
{
	json_int("pid", SYS0(__NR_getpid));
	json_int("ppid", SYS0(__NR_getppid));
	json_int("pgid", SYS1(__NR_getpgid, 0));
	json_int("sid", SYS1(__NR_getsid, 0));
	strings("args", argv);
	strings("env", envp);
	credentials();
	capabilities();
	limits();
	signals();
	scheduling();
	names();
	json_open("fds", '[');
	each("/proc/self/fd", visit_fd);
	json_close(']');
	json_open("namespaces", '{');
	each("/proc/self/ns", visit_link);
	json_close('}');
	link_target("root", "/proc/self/root");
	link_target("exe", "/proc/self/exe");
	json_open("devices", '[');
	each("/dev", visit_file);
	json_close(']');
	json_file("mountinfo", "/proc/self/mountinfo");
	json_file("cgroup", "/proc/self/cgroup");
	json_file("status", "/proc/self/status");
	json_file("stat", "/proc/self/stat");
	json_file("cmdline", "/proc/self/cmdline");
	json_file("coredumpFilter", "/proc/self/coredump_filter");
	json_file("loginuid", "/proc/self/loginuid");
	json_file("timensOffsets", "/proc/self/timens_offsets");
	json_file("oomScoreAdj", "/proc/self/oom_score_adj");
	json_file("attr", "/proc/self/attr/current");
	json_file("uidMap", "/proc/self/uid_map");
	json_file("gidMap", "/proc/self/gid_map");
}
