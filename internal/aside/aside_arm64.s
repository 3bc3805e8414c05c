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

#define SYS_exit	93
#define SYS_exit_group	94
#define SYS_rt_sigprocmask	135
#define SYS_gettid	178
#define SYS_clone	220
#define SYS_clone3	435
#define SIG_SETMASK	2
#define ESRCH	3

// BLOCK blocks all signals; the masks are at R9, which keeps its value.
#define BLOCK \
	MOVD	$SIG_SETMASK, R0; \
	MOVD	R9, R1; \
	ADD	$8, R9, R2; \
	MOVD	$8, R3; \
	MOVD	$SYS_rt_sigprocmask, R8; \
	SVC

// UNBLOCK puts back what BLOCK has replaced.
#define UNBLOCK \
	MOVD	$SIG_SETMASK, R0; \
	ADD	$8, R9, R1; \
	MOVD	ZR, R2; \
	MOVD	$8, R3; \
	MOVD	$SYS_rt_sigprocmask, R8; \
	SVC

// LIST makes R11 calls, the first of which is at R10, until one fails. There may
// be no stack: all is kept in registers.
#define LIST \
loop: \
	CBZ	R11, done; \
	MOVD	ARG0(R10), R0; \
	MOVD	ARG1(R10), R1; \
	MOVD	ARG2(R10), R2; \
	MOVD	ARG3(R10), R3; \
	MOVD	ARG4(R10), R4; \
	MOVD	ARG5(R10), R5; \
	MOVD	NR(R10), R8; \
	SVC; \
	MOVD	R0, RESULT(R10); \
	CMN	$4095, R0; \
	BHS	done; \
	MOVD	TO(R10), R12; \
	CBZ	R12, next; \
	MOVD	R0, 0(R12); \
next: \
	ADD	$SIZE, R10, R10; \
	SUB	$1, R11, R11; \
	B	loop; \
done:

// func thread(calls *Call, n, flags uintptr, tid *uint32, m *masks) (r uintptr)
TEXT ·thread(SB), NOSPLIT|NOFRAME, $0-48
	MOVD	m+32(FP), R9
	BLOCK
	MOVD	calls+0(FP), R10
	MOVD	n+8(FP), R11
	MOVD	flags+16(FP), R0
	MOVD	ZR, R1	// the stack stays where it is, and is not used
	MOVD	ZR, R2
	MOVD	ZR, R3
	MOVD	tid+24(FP), R4
	MOVD	$SYS_clone, R8
	SVC
	CBZ	R0, child
	MOVD	R0, r+40(FP)
	UNBLOCK
	RET
child:
	LIST
	MOVD	ZR, R0
	MOVD	$SYS_exit, R8
	SVC
	BRK

// func spawn(args *cloneArgs, size uintptr, calls *Call, n uintptr, m *masks, tid uintptr) (r uintptr)
TEXT ·spawn(SB), NOSPLIT|NOFRAME, $0-56
	MOVD	m+32(FP), R9
	BLOCK
	MOVD	tid+40(FP), R12
	CBZ	R12, clone
	MOVD	$SYS_gettid, R8
	SVC
	CMP	R12, R0
	BEQ	clone
	MOVD	$-ESRCH, R0
	B	parent
clone:
	MOVD	args+0(FP), R0
	MOVD	size+8(FP), R1
	MOVD	calls+16(FP), R10
	MOVD	n+24(FP), R11
	MOVD	$SYS_clone3, R8
	SVC
	CBZ	R0, child
parent:
	MOVD	R0, r+48(FP)
	UNBLOCK
	RET
child:
	LIST
	MOVD	$127, R0
	MOVD	$SYS_exit_group, R8
	SVC
	BRK

// func one(c *Call)
TEXT ·one(SB), NOSPLIT|NOFRAME, $0-8
	MOVD	c+0(FP), R10
	MOVD	ARG0(R10), R0
	MOVD	ARG1(R10), R1
	MOVD	ARG2(R10), R2
	MOVD	ARG3(R10), R3
	MOVD	ARG4(R10), R4
	MOVD	ARG5(R10), R5
	MOVD	NR(R10), R8
	SVC
	MOVD	R0, RESULT(R10)
	RET
