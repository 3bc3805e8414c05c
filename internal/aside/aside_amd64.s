#include "textflag.h"

// The layout of Call.
#define NR	0
#define ARG0	8
#define ARG1	16
#define ARG2	24
#define ARG3	32
#define ARG4	40
#define ARG5	48
#define RESULT	56
#define TO	64
#define SIZE	72

#define SYS_rt_sigprocmask	14
#define SYS_clone	56
#define SYS_exit	60
#define SYS_gettid	186
#define SYS_exit_group	231
#define SYS_clone3	435
#define SIG_SETMASK	2
#define ESRCH	3

// BLOCK blocks all signals; the masks are at R9, which keeps its value.
#define BLOCK \
	MOVQ	$SIG_SETMASK, DI; \
	MOVQ	R9, SI; \
	LEAQ	8(R9), DX; \
	MOVQ	$8, R10; \
	MOVQ	$SYS_rt_sigprocmask, AX; \
	SYSCALL

// UNBLOCK puts back what BLOCK has replaced.
#define UNBLOCK \
	MOVQ	$SIG_SETMASK, DI; \
	LEAQ	8(R9), SI; \
	XORL	DX, DX; \
	MOVQ	$8, R10; \
	MOVQ	$SYS_rt_sigprocmask, AX; \
	SYSCALL

// LIST makes R13 calls, the first of which is at R12, until one fails. There may
// be no stack: all is kept in registers.
#define LIST \
loop: \
	TESTQ	R13, R13; \
	JZ	done; \
	MOVQ	ARG0(R12), DI; \
	MOVQ	ARG1(R12), SI; \
	MOVQ	ARG2(R12), DX; \
	MOVQ	ARG3(R12), R10; \
	MOVQ	ARG4(R12), R8; \
	MOVQ	ARG5(R12), R9; \
	MOVQ	NR(R12), AX; \
	SYSCALL; \
	MOVQ	AX, RESULT(R12); \
	CMPQ	AX, $0xfffffffffffff001; \
	JCC	done; \
	MOVQ	TO(R12), BX; \
	TESTQ	BX, BX; \
	JZ	next; \
	MOVQ	AX, 0(BX); \
next: \
	ADDQ	$SIZE, R12; \
	DECQ	R13; \
	JMP	loop; \
done:

// func thread(calls *Call, n, flags uintptr, tid *uint32, m *masks) (r uintptr)
TEXT ·thread(SB), NOSPLIT, $0-48
	MOVQ	m+32(FP), R9
	BLOCK
	MOVQ	calls+0(FP), R12
	MOVQ	n+8(FP), R13
	MOVQ	flags+16(FP), DI
	XORL	SI, SI	// the stack stays where it is, and is not used
	XORL	DX, DX
	MOVQ	tid+24(FP), R10
	XORL	R8, R8
	MOVQ	$SYS_clone, AX
	SYSCALL
	TESTQ	AX, AX
	JZ	child
	MOVQ	AX, r+40(FP)
	UNBLOCK
	RET
child:
	LIST
	XORL	DI, DI
	MOVQ	$SYS_exit, AX
	SYSCALL
	INT	$3

// func spawn(args *cloneArgs, size uintptr, calls *Call, n uintptr, m *masks, tid uintptr) (r uintptr)
TEXT ·spawn(SB), NOSPLIT, $0-56
	MOVQ	m+32(FP), R9
	BLOCK
	MOVQ	tid+40(FP), BX
	TESTQ	BX, BX
	JZ	clone
	MOVQ	$SYS_gettid, AX
	SYSCALL
	CMPQ	AX, BX
	JEQ	clone
	MOVQ	$-ESRCH, AX
	JMP	parent
clone:
	MOVQ	args+0(FP), DI
	MOVQ	size+8(FP), SI
	MOVQ	calls+16(FP), R12
	MOVQ	n+24(FP), R13
	MOVQ	$SYS_clone3, AX
	SYSCALL
	TESTQ	AX, AX
	JZ	child
parent:
	MOVQ	AX, r+48(FP)
	UNBLOCK
	RET
child:
	LIST
	MOVQ	$127, DI
	MOVQ	$SYS_exit_group, AX
	SYSCALL
	INT	$3

// func one(c *Call)
TEXT ·one(SB), NOSPLIT, $0-8
	MOVQ	c+0(FP), R12
	MOVQ	ARG0(R12), DI
	MOVQ	ARG1(R12), SI
	MOVQ	ARG2(R12), DX
	MOVQ	ARG3(R12), R10
	MOVQ	ARG4(R12), R8
	MOVQ	ARG5(R12), R9
	MOVQ	NR(R12), AX
	SYSCALL
	MOVQ	AX, RESULT(R12)
	RET
