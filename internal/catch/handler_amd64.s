#include "textflag.h"

#define SYS_write	1
#define SYS_rt_sigreturn	15

// handler is called by the kernel, on the signal stack that every thread of the
// Go runtime has, with the signal's number in DI. What it clobbers comes back
// with sigreturn. A full pipe loses a signal, as a pending one does.
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	SUBQ	$16, SP
	MOVB	DI, 0(SP)
	MOVLQSX	·into(SB), DI
	MOVQ	SP, SI
	MOVQ	$1, DX
	MOVQ	$SYS_write, AX
	SYSCALL
	ADDQ	$16, SP
	RET

TEXT restorer<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	MOVQ	$SYS_rt_sigreturn, AX
	SYSCALL
	INT	$3

// func addresses() (handler, restorer uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	LEAQ	handler<>(SB), AX
	MOVQ	AX, handler+0(FP)
	LEAQ	restorer<>(SB), AX
	MOVQ	AX, restorer+8(FP)
	RET
