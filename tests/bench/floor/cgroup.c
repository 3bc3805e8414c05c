/* One cgroup in every hierarchy: made, with the device rules that runtimes give
 * to an ordinary container, joined, removed. */
#include "floor.h"

/* Deny everything, allow to make nodes, allow the standard devices. */
static const char device_rules[][12] = {
	"c *:* m", "b *:* m", "c 1:3 rwm", "c 1:8 rwm", "c 1:7 rwm", "c 5:0 rwm",
	"c 1:5 rwm", "c 1:9 rwm", "c 136:* rwm", "c 5:2 rwm", "c 10:200 rwm",
};

static int open_dir(int at, const char *path, const char *what)
{
	return (int)must(sys_openat(at, path, O_PATH | O_DIRECTORY, 0), what);
}

static void write_line(int fd, const char *text, const char *what)
{
	size_t n = 0;
	while (text[n])
		n++;
	must(sys_write(fd, text, n), what);
}

/* A new cpuset has no processors and no memory, and takes no task. */
static void copy_cpuset(int parent, int dir, const char *file)
{
	char buf[4096];
	int from = (int)must(sys_openat(parent, file, O_RDONLY, 0), file);
	int to = (int)must(sys_openat(dir, file, O_WRONLY, 0), file);
	long n = must(sys_read(from, buf, sizeof buf), file);
	must(sys_write(to, buf, (size_t)n), file);
	(void)sys_close(from);
	(void)sys_close(to);
}

static void limit_devices(int dir)
{
	int deny = (int)must(sys_openat(dir, "devices.deny", O_WRONLY, 0), "devices.deny");
	int allow = (int)must(sys_openat(dir, "devices.allow", O_WRONLY, 0), "devices.allow");
	write_line(deny, "a", "devices.deny");
	for (size_t i = 0; i < sizeof device_rules / sizeof *device_rules; i++)
		write_line(allow, device_rules[i], "devices.allow");
	(void)sys_close(deny);
	(void)sys_close(allow);
}

/* Makes the cgroup below one hierarchy and returns its directory. Of several
 * parts all but the last may exist. */
static int make_below(int root, const char *cgroup, int cpuset)
{
	char part[MAX_PATH];
	int at = root;

	for (;;) {
		size_t n = 0;
		while (cgroup[n] && cgroup[n] != '/' && n + 1 < sizeof part)
			part[n] = cgroup[n], n++;
		part[n] = 0;
		long r = sys3(__NR_mkdirat, at, part, 0755);
		if (r != -EEXIST || !cgroup[n])
			must(r, "mkdir of a cgroup");
		int dir = open_dir(at, part, "open of a cgroup");
		if (cpuset && r == 0) {
			copy_cpuset(at, dir, "cpuset.cpus");
			copy_cpuset(at, dir, "cpuset.mems");
		}
		(void)sys_close(at);
		if (!cgroup[n])
			return dir;
		at = dir;
		cgroup += n + 1;
	}
}

static int is_cgroup2(const char *hierarchy)
{
	return same(hierarchy, "unified");
}

void make_cgroups(struct floor *f)
{
	int root = open_dir(AT_FDCWD, "/sys/fs/cgroup", "/sys/fs/cgroup");

	f->unified = -1;
	if (f->count == 0) {
		f->unified = make_below(root, f->cgroup, 0);
		return;
	}
	for (int i = 0; i < f->count; i++) {
		const char *h = f->hierarchies[i];
		int dir = make_below(open_dir(root, h, h), f->cgroup, same(h, "cpuset"));
		f->tasks[i] = -1;
		if (is_cgroup2(h)) {
			f->unified = dir;
			continue;
		}
		if (same(h, "devices"))
			limit_devices(dir);
		f->tasks[i] = (int)must(sys_openat(dir, "tasks", O_WRONLY, 0), "tasks");
		(void)sys_close(dir);
	}
	(void)sys_close(root);
}

/* A process with one thread joins by writing 0 to tasks, which does not wait for
 * the grace period that a write to cgroup.procs does. */
void join_cgroups(const struct floor *f)
{
	for (int i = 0; i < f->count; i++)
		if (f->tasks[i] >= 0)
			must(sys_write(f->tasks[i], "0", 1), "join of a cgroup");
}

static void remove_one(int at, const char *path)
{
	long r;
	for (int tries = 0; (r = sys3(__NR_unlinkat, at, path, AT_REMOVEDIR)) == -EBUSY && tries < 1000; tries++) {
		struct { s64 sec, nsec; } pause = {0, 100000};
		(void)sys2(__NR_nanosleep, &pause, NULL);
	}
	must(r, path);
}

void remove_cgroups(const struct floor *f)
{
	char path[MAX_PATH];
	int root = open_dir(AT_FDCWD, "/sys/fs/cgroup", "/sys/fs/cgroup");

	if (f->count == 0)
		remove_one(root, f->cgroup);
	for (int i = 0; i < f->count; i++)
		remove_one(root, join(path, f->hierarchies[i], "/", f->cgroup, NULL));
}
