/* The kernel's interface without a libc: the prober must not bring files, signal
 * handlers, threads or limits of its own into what it observes. */
#ifndef PROBER_SYS_H
#define PROBER_SYS_H

#include <asm/unistd.h>
#include <stddef.h>
#include <stdint.h>

typedef long word;

static inline word sys6(word n, word a, word b, word c, word d, word e, word f)
{
#if defined(__x86_64__)
	word ret;
	register word r10 __asm__("r10") = d;
	register word r8 __asm__("r8") = e;
	register word r9 __asm__("r9") = f;
	__asm__ volatile("syscall" : "=a"(ret) : "a"(n), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9) : "rcx", "r11", "memory");
	return ret;
#elif defined(__aarch64__)
	register word x8 __asm__("x8") = n;
	register word x0 __asm__("x0") = a;
	register word x1 __asm__("x1") = b;
	register word x2 __asm__("x2") = c;
	register word x3 __asm__("x3") = d;
	register word x4 __asm__("x4") = e;
	register word x5 __asm__("x5") = f;
	__asm__ volatile("svc 0" : "+r"(x0) : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5) : "memory");
	return x0;
#else
#error "add the system call of this machine"
#endif
}

#define SYS0(n) sys6(n, 0, 0, 0, 0, 0, 0)
#define SYS1(n, a) sys6(n, (word)(a), 0, 0, 0, 0, 0)
#define SYS2(n, a, b) sys6(n, (word)(a), (word)(b), 0, 0, 0, 0)
#define SYS3(n, a, b, c) sys6(n, (word)(a), (word)(b), (word)(c), 0, 0, 0)
#define SYS4(n, a, b, c, d) sys6(n, (word)(a), (word)(b), (word)(c), (word)(d), 0, 0)
#define SYS5(n, a, b, c, d, e) sys6(n, (word)(a), (word)(b), (word)(c), (word)(d), (word)(e), 0)

enum { AT_CWD = -100, NOFOLLOW = 0x100 };

/* lib.c */
size_t length(const char *s);
int equal(const char *a, const char *b);
const char *after(const char *s, const char *prefix); /* NULL if s does not begin so */
word number(const char *s);
word file_open(const char *path, int flags, int mode);
word file_read(const char *path, char *buf, size_t size); /* bytes read, or -errno */

/* json.c: one value is written at a time; commas are its business. */
void json_open(const char *key, char bracket); /* '{' or '['; key NULL inside an array */
void json_close(char bracket);
void json_text(const char *key, const char *s);
void json_bytes(const char *key, const char *s, size_t n);
void json_int(const char *key, word v);
void json_uint(const char *key, uint64_t v); /* as a string: JSON's numbers end at 2^53 */
void json_hex(const char *key, uint64_t v);
void json_file(const char *key, const char *path);
void json_end(void);

struct statx_time {
	int64_t sec;
	uint32_t nsec, pad;
};

struct statx_buf {
	uint32_t mask, blksize;
	uint64_t attributes;
	uint32_t nlink, uid, gid;
	uint16_t mode, pad;
	uint64_t ino, size, blocks, attributes_mask;
	struct statx_time times[4];
	uint32_t rdev_major, rdev_minor, dev_major, dev_minor;
	uint64_t mnt_id, spare[13];
};

/* report.c, ops.c, spy.c */
void report(char **argv, char **envp);
void run_op(const char *op);
void op_spy(const char *path, int hold);
int is_last(const char *op);
void run_last(const char *op);

#endif
