#include "textflag.h"

#define SYS_write	64

// handler is called by the kernel, on the signal stack that every thread of the
// Go runtime has, with the signal's number in R0 and the way back in R30. What
// it clobbers comes back with sigreturn. A full pipe loses a signal, as a pending
// one does.
TEXT handler<>(SB), NOSPLIT|NOFRAME|TOPFRAME, $0
	SUB	$16, RSP
	MOVB	R0, 0(RSP)
	MOVW	·into(SB), R0
	MOVD	RSP, R1
	MOVD	$1, R2
	MOVD	$SYS_write, R8
	SVC
	ADD	$16, RSP
	RET

// func addresses() (handler, restorer uintptr)
TEXT ·addresses(SB), NOSPLIT, $0-16
	MOVD	$handler<>(SB), R0
	MOVD	R0, handler+0(FP)
	MOVD	ZR, restorer+8(FP)
	RET
