/* The prober is the program that the integration tests run in a container. It
 * does what its arguments say, in their order, prints everything that it can
 * observe about its own process as one JSON object, and ends as the last
 * argument says:
 *
 *   stat:PATH read:PATH ls:PATH          what is there
 *   write:PATH=TEXT send:SOCKET=TEXT create:PATH mkdir:PATH mknod:PATH remove:PATH   attempts
 *   mount:PATH umount:PATH setname:NAME unshare:FLAGS chroot:PATH
 *   syscall:NUMBER call:ABI:NUMBER:ARG... fork:COUNT alloc:KIB huge:PAGES wait:PATH spy:PATH seize:PATH quiet
 *   exit:N pause kill:SIGNAL signals:COUNT
 *
 * Errors are numbers of errno(3), 0 for success. */
#include "sys.h"

static int quiet;

static void start(word *stack)
{
	word argc = stack[0];
	char **argv = (char **)(stack + 1);
	char **envp = argv + argc + 1;
	const char *last = "exit:0";
	json_open(NULL, '{');
	json_open("results", '[');
	for (word i = 1; i < argc; i++) {
		if (equal(argv[i], "quiet"))
			quiet = 1;
		else if (is_last(argv[i]))
			last = argv[i];
		else
			run_op(argv[i]);
	}
	json_close(']');
	if (!quiet)
		report(argv, envp);
	json_close('}');
	json_end();
	run_last(last);
}

__attribute__((noreturn, used)) void prober_main(word *stack)
{
	start(stack);
	for (;;)
		SYS1(__NR_exit_group, 98);
}

#if defined(__x86_64__)
__asm__(".globl _start\n_start:\n\txor %ebp,%ebp\n\tmov %rsp,%rdi\n\tand $-16,%rsp\n\tcall prober_main\n");
#elif defined(__aarch64__)
__asm__(".globl _start\n_start:\n\tmov x29,#0\n\tmov x0,sp\n\tbl prober_main\n");
#endif
