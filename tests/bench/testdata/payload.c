/*
 * The program inside the benchmark's containers: static, no libc, one page of
 * code, so that what is measured is the runtime and not the container.
 *
 *   payload            exits with status 0 at once
 *   payload wait       sleeps until a signal kills it
 *   payload exit37     exits with status 37, which proves that it ran
 *
 * Built with: cc -static -nostdlib -Os
 */

#if defined(__x86_64__)
#define SYS_PSELECT6 270
#define SYS_EXIT_GROUP 231

static long call6(long nr, long a, long b, long c, long d, long e, long f)
{
	long ret;
	register long r10 __asm__("r10") = d;
	register long r8 __asm__("r8") = e;
	register long r9 __asm__("r9") = f;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c), "r"(r10), "r"(r8), "r"(r9)
			 : "rcx", "r11", "memory");
	return ret;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	xor %ebp, %ebp\n"
	"	mov %rsp, %rdi\n"
	"	and $-16, %rsp\n"
	"	call payload_main\n");

#elif defined(__aarch64__)
#define SYS_PSELECT6 72
#define SYS_EXIT_GROUP 94

static long call6(long nr, long a, long b, long c, long d, long e, long f)
{
	register long x8 __asm__("x8") = nr;
	register long x0 __asm__("x0") = a;
	register long x1 __asm__("x1") = b;
	register long x2 __asm__("x2") = c;
	register long x3 __asm__("x3") = d;
	register long x4 __asm__("x4") = e;
	register long x5 __asm__("x5") = f;

	__asm__ volatile("svc #0"
			 : "+r"(x0)
			 : "r"(x8), "r"(x1), "r"(x2), "r"(x3), "r"(x4), "r"(x5)
			 : "memory");
	return x0;
}

__asm__(".globl _start\n"
	"_start:\n"
	"	mov x29, #0\n"
	"	mov x0, sp\n"
	"	bl payload_main\n");

#else
#error "no start code for this architecture: the benchmark falls back to busybox"
#endif

/* stack points at argc, as the kernel leaves it at a program's start. */
__attribute__((noreturn, used)) void payload_main(long *stack)
{
	long argc = stack[0];
	char **argv = (char **)(stack + 1);
	char mode = argc > 1 ? argv[1][0] : 0;

	while (mode == 'w')
		call6(SYS_PSELECT6, 0, 0, 0, 0, 0, 0);
	for (;;)
		call6(SYS_EXIT_GROUP, mode == 'e' ? 37 : 0, 0, 0, 0, 0, 0);
}
