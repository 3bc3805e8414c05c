/* The root file system: the mounts, nodes and links of the bundle in
 * testdata/default.json, and nothing else. */
#include "floor.h"

#define RDONLY 1ul
#define NOSUID 2ul
#define NODEV 4ul
#define NOEXEC 8ul
#define REMOUNT 32ul
#define BIND 4096ul
#define REC 16384ul
#define SLAVE (1ul << 19)
#define STRICTATIME (1ul << 24)
#define SAFE (NOSUID | NODEV | NOEXEC)
#ifndef AT_RECURSIVE
#define AT_RECURSIVE 0x8000
#endif
#define DETACH 2

/* The tables have no pointers: nobody relocates a program without a C library. */
static const struct {
	char type[8], source[8], at[12], options[48];
	ulong flags;
} mounts[] = {
	{"proc", "proc", "proc", "", 0},
	{"tmpfs", "tmpfs", "dev", "mode=755,size=65536k", NOSUID | STRICTATIME},
	{"devpts", "devpts", "dev/pts", "newinstance,ptmxmode=0666,mode=0620,gid=5", NOSUID | NOEXEC},
	{"tmpfs", "shm", "dev/shm", "mode=1777,size=65536k", SAFE},
	{"mqueue", "mqueue", "dev/mqueue", "", SAFE},
	{"sysfs", "sysfs", "sys", "", SAFE | RDONLY},
};

static const struct {
	char path[12];
	u32 major, minor;
} nodes[] = {
	{"dev/null", 1, 3}, {"dev/zero", 1, 5}, {"dev/full", 1, 7},
	{"dev/random", 1, 8}, {"dev/urandom", 1, 9}, {"dev/tty", 5, 0},
};

static const char links[][2][16] = {
	{"dev/fd", "/proc/self/fd"}, {"dev/stdin", "/proc/self/fd/0"}, {"dev/stdout", "/proc/self/fd/1"},
	{"dev/stderr", "/proc/self/fd/2"}, {"dev/core", "/proc/kcore"}, {"dev/ptmx", "pts/ptmx"},
};

static const char masked[][20] = {
	"/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats",
	"/proc/timer_list", "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi",
};

static const char readonly[][20] = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"};

#define COUNT(a) (sizeof(a) / sizeof *(a))

/* The cgroup namespace is made before, so each hierarchy shows the container's
 * own cgroup as its root. */
static void mount_cgroups(const struct floor *f)
{
	char path[MAX_PATH], options[MAX_PATH];
	struct mount_attr attr = {.attr_set = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC};

	if (f->count == 0) {
		must(sys_mount("cgroup", "sys/fs/cgroup", "cgroup2", SAFE, NULL), "mount cgroup2");
	} else {
		must(sys_mount("tmpfs", "sys/fs/cgroup", "tmpfs", SAFE, "mode=755"), "mount for cgroups");
	}
	for (int i = 0; i < f->count; i++) {
		const char *h = f->hierarchies[i];
		join(path, "sys/fs/cgroup/", h, NULL);
		must(sys3(__NR_mkdirat, AT_FDCWD, path, 0755), path);
		if (same(h, "unified"))
			must(sys_mount("cgroup2", path, "cgroup2", SAFE, NULL), path);
		else
			must(sys_mount("cgroup", path, "cgroup", SAFE, same(h, "systemd") ? join(options, "none,name=", h, NULL) : h), path);
	}
	must(sys5(__NR_mount_setattr, AT_FDCWD, "sys/fs/cgroup", AT_RECURSIVE, &attr, sizeof attr), "cgroups read-only");
}

static void make_devices(void)
{
	for (size_t i = 0; i < COUNT(nodes); i++)
		must(sys4(__NR_mknodat, AT_FDCWD, nodes[i].path, 020666, dev_make(nodes[i].major, nodes[i].minor)), nodes[i].path);
	for (size_t i = 0; i < COUNT(links); i++)
		must(sys3(__NR_symlinkat, links[i][1], AT_FDCWD, links[i][0]), links[i][0]);
}

static void mask(const char *path)
{
	long r = sys_mount("/dev/null", path, NULL, BIND, NULL);
	if (r == -ENOTDIR)
		r = sys_mount("none", path, "tmpfs", SAFE | RDONLY, "size=4k,nr_inodes=1,mode=555");
	if (r != -ENOENT) /* the paths are those of many kernels */
		must(r, path);
}

static void make_readonly(const char *path, ulong flags)
{
	long r = sys_mount(path, path, NULL, BIND | REC, NULL);
	if (r == -ENOENT)
		return;
	must(r, path);
	must(sys_mount(NULL, path, NULL, BIND | REMOUNT | RDONLY | flags, NULL), path);
}

void make_root(const struct floor *f)
{
	must(sys_mount(NULL, "/", NULL, SLAVE | REC, NULL), "propagation of /");
	must(sys_mount(f->rootfs, f->rootfs, NULL, BIND | REC, NULL), f->rootfs);
	must(sys1(__NR_chdir, f->rootfs), f->rootfs);
	(void)sys1(__NR_umask, 0);
	for (size_t i = 0; i < COUNT(mounts); i++) {
		long r = sys3(__NR_mkdirat, AT_FDCWD, mounts[i].at, 0755);
		if (r != -EEXIST)
			must(r, mounts[i].at);
		must(sys_mount(mounts[i].source, mounts[i].at, mounts[i].type, mounts[i].flags, mounts[i].options), mounts[i].at);
	}
	mount_cgroups(f);
	make_devices();
	must(sys2(__NR_pivot_root, ".", "."), "pivot_root");
	must(sys2(__NR_umount2, ".", DETACH), "unmount of the old root");
	must(sys1(__NR_chdir, "/"), "/");
	must(sys_mount(NULL, "/", NULL, BIND | REMOUNT | RDONLY, NULL), "root read-only");
	for (size_t i = 0; i < COUNT(readonly); i++)
		make_readonly(readonly[i], 0);
	for (size_t i = 0; i < COUNT(masked); i++)
		mask(masked[i]);
	(void)sys1(__NR_umask, 022);
}
