/* System calls without a C library: the init has none, so that it is a few
 * pages large and nothing runs in it that is not in this directory. Every
 * wrapper returns what the kernel returns: a result, or -errno. */
#pragma once

#include <asm/unistd.h>
#include <linux/errno.h>
#include <linux/fcntl.h>
#include <linux/mount.h>
#include <linux/openat2.h>
#include <linux/sched.h>
#include <linux/stat.h>
#include <linux/types.h>
#include <asm/stat.h>
#include <asm/statfs.h>

typedef __u8 u8;
typedef __u16 u16;
typedef __u32 u32;
typedef __u64 u64;
typedef __s32 s32;
typedef __s64 s64;
typedef unsigned long ulong;
typedef __SIZE_TYPE__ size_t;

#define NULL ((void *)0)

#ifndef AT_FDCWD
#define AT_FDCWD (-100)
#endif
#ifndef O_PATH
#define O_PATH 010000000
#endif
#ifndef MAP_FAILED_ERRNO
#define MAP_FAILED_ERRNO(p) ((long)(p) < 0 && (long)(p) > -4096)
#endif

#if defined(__x86_64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;
	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}
#elif defined(__aarch64__)
static inline long sys6(long n, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = n;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;
	__asm__ volatile("svc 0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory", "cc");
	return x0;
}
#else
#error "no system call wrapper for this machine"
#endif

#define SYS_ARG(x) ((long)(x))
#define sys0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define sys1(n, a) sys6(n, SYS_ARG(a), 0, 0, 0, 0, 0)
#define sys2(n, a, b) sys6(n, SYS_ARG(a), SYS_ARG(b), 0, 0, 0, 0)
#define sys3(n, a, b, c) sys6(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), 0, 0, 0)
#define sys4(n, a, b, c, d) sys6(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), 0, 0)
#define sys5(n, a, b, c, d, e) sys6(n, SYS_ARG(a), SYS_ARG(b), SYS_ARG(c), SYS_ARG(d), SYS_ARG(e), 0)

#ifdef __NR_newfstatat
#define SYS_FSTATAT __NR_newfstatat
#else
#define SYS_FSTATAT __NR_fstatat64
#endif

static inline int sys_close(int fd)
{
	return (int)sys1(__NR_close, fd);
}

/* The owner of a descriptor is a variable of this kind: it closes what it still
 * holds when it goes out of scope; take_fd hands the descriptor on. */
static inline void close_fd(const int *fd)
{
	if (*fd >= 0)
		(void)sys_close(*fd);
}
#define owned_fd __attribute__((cleanup(close_fd))) int

static inline int take_fd(int *fd)
{
	int f = *fd;
	*fd = -EBADF;
	return f;
}

static inline int sys_openat2(int dir, const char *path, u64 flags, u64 mode, u64 resolve)
{
	struct open_how how = {.flags = flags, .mode = mode, .resolve = resolve};
	long fd;
	int tries = 128;

	/* EAGAIN: somebody renamed inside the root while the kernel walked it. */
	do
		fd = sys4(__NR_openat2, dir, path, &how, sizeof how);
	while (fd == -EAGAIN && --tries > 0);
	return (int)fd;
}

static inline int sys_openat(int dir, const char *path, int flags, u32 mode)
{
	return (int)sys4(__NR_openat, dir, path, flags | O_CLOEXEC, mode);
}

static inline long sys_read(int fd, void *buf, size_t n)
{
	long r;
	do
		r = sys3(__NR_read, fd, buf, n);
	while (r == -EINTR);
	return r;
}

static inline long sys_write(int fd, const void *buf, size_t n)
{
	long r;
	do
		r = sys3(__NR_write, fd, buf, n);
	while (r == -EINTR);
	return r;
}

static inline int sys_fstat(int fd, struct stat *st)
{
	return (int)sys2(__NR_fstat, fd, st);
}

static inline int sys_fstatfs(int fd, struct statfs *st)
{
	return (int)sys2(__NR_fstatfs, fd, st);
}

static inline int sys_open_tree(int dir, const char *path, u32 flags)
{
	return (int)sys3(__NR_open_tree, dir, path, flags);
}

static inline int sys_move_mount(int from, int to)
{
	return (int)sys5(__NR_move_mount, from, "", to, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH);
}

static inline int sys_mount(const char *src, const char *dst, const char *type, ulong flags, const void *data)
{
	return (int)sys5(__NR_mount, src, dst, type, flags, data);
}

__attribute__((noreturn)) static inline void sys_exit(int code)
{
	/* A filter may deny the first and even the second; no filter denies a fault. */
	for (;;) {
		(void)sys1(__NR_exit_group, code);
		(void)sys1(__NR_exit, code);
		__builtin_trap();
	}
}

static inline u32 dev_major(u64 dev)
{
	return (u32)((dev >> 8) & 0xfff) | (u32)((dev >> 32) & ~0xfffull);
}

static inline u32 dev_minor(u64 dev)
{
	return (u32)(dev & 0xff) | (u32)((dev >> 12) & ~0xffull);
}

/* The form that mknod(2) takes. */
static inline u32 dev_make(u32 major, u32 minor)
{
	return (minor & 0xff) | (major << 8) | ((minor & ~0xffu) << 12);
}
