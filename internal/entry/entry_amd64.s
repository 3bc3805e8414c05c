#include "textflag.h"

#define SYS_prctl	157
#define SYS_sched_setaffinity	203
#define SYS_sched_getaffinity	204
#define SYS_prlimit64	302
#define SYS_getcpu	309

#define PR_SET_TIMERSLACK	29
#define PR_GET_TIMERSLACK	30
#define RLIMIT_NOFILE	7

// SIZE is that of the masks of processors, in bytes.
#define SIZE	1024

DATA one<>+0(SB)/8, $"GOMAXPRO"
DATA one<>+8(SB)/8, $"CS=1\x00\x00\x00\x00"
GLOBL one<>(SB), RODATA, $16

// Descriptors 0, 1 and 2.
DATA few<>+0(SB)/8, $3
GLOBL few<>(SB), NOPTR, $16

// tare_entry is where the kernel begins. At the stack pointer are the number of
// arguments, their addresses and a null, those of the environment and a null,
// and the auxiliary vector (System V ABI, AMD64 supplement, "Process
// initialization").
TEXT tare_entry(SB),NOSPLIT|NOFRAME,$0
	MOVB	$1, ·began(SB)

	MOVQ	$PR_GET_TIMERSLACK, DI
	MOVQ	$SYS_prctl, AX
	SYSCALL
	MOVQ	AX, ·slack(SB)
	MOVQ	$PR_SET_TIMERSLACK, DI
	MOVQ	$50000000, SI
	MOVQ	$SYS_prctl, AX
	SYSCALL

	// The hard limit stays: an unprivileged process could not raise it again.
	MOVQ	$0, DI
	MOVQ	$RLIMIT_NOFILE, SI
	MOVQ	$0, DX
	LEAQ	·files(SB), R10
	MOVQ	$SYS_prlimit64, AX
	SYSCALL
	TESTQ	AX, AX
	JNE	environ
	MOVQ	·files+0(SB), AX
	CMPQ	AX, $3
	JLS	environ
	MOVQ	·files+8(SB), AX
	MOVQ	AX, few<>+8(SB)
	MOVQ	$0, DI
	MOVQ	$RLIMIT_NOFILE, SI
	LEAQ	few<>(SB), DX
	MOVQ	$0, R10
	MOVQ	$SYS_prlimit64, AX
	SYSCALL

	// To this processor alone, until there are packages to initialise.
environ:
	MOVQ	$0, DI
	MOVQ	$SIZE, SI
	LEAQ	·cpus(SB), DX
	MOVQ	$SYS_sched_getaffinity, AX
	SYSCALL
	CMPQ	AX, $SIZE
	JHI	arguments	// an error, which is a negative number
	MOVQ	AX, ·known(SB)
	SUBQ	$16, SP
	MOVQ	SP, DI	// unsigned cpu
	MOVQ	$0, SI
	MOVQ	$0, DX
	MOVQ	$SYS_getcpu, AX
	SYSCALL
	MOVL	0(SP), CX
	ADDQ	$16, SP
	TESTQ	AX, AX
	JNE	unknown
	MOVQ	CX, AX
	SHRQ	$3, AX
	CMPQ	AX, ·known(SB)
	JCC	unknown
	ANDL	$7, CX
	MOVL	$1, BX
	SHLL	CX, BX
	LEAQ	·only(SB), DX
	MOVB	BX, 0(DX)(AX*1)
	MOVQ	$0, DI
	MOVQ	·known(SB), SI
	MOVQ	$SYS_sched_setaffinity, AX
	SYSCALL
	JMP	arguments
unknown:
	MOVQ	$0, ·known(SB)

arguments:
	MOVQ	0(SP), CX
	LEAQ	16(SP)(CX*8), BX	// the environment
	MOVQ	one<>+0(SB), R8
next:
	MOVQ	0(BX), AX
	TESTQ	AX, AX
	JEQ	insert
	ADDQ	$8, BX
	// Behind the last string are at least its NUL and a null word, so that eight
	// bytes can be read at any; and if these are the same, three more are there.
	CMPQ	R8, 0(AX)
	JNE	next
	CMPB	8(AX), $0x43	// C
	JNE	next
	CMPB	9(AX), $0x53	// S
	JNE	next
	CMPB	10(AX), $0x3d	// =
	JNE	next
	JMP	_rt0_amd64_linux(SB)

	// Two places, because the stack is aligned to two words. BX is at the null
	// behind the environment; what is below it moves down. The second of two equal
	// variables counts for nothing.
insert:
	MOVB	$1, ·added(SB)
	MOVQ	SP, SI
	SUBQ	$16, SP
	MOVQ	SP, DI
move:
	MOVQ	0(SI), AX
	MOVQ	AX, 0(DI)
	ADDQ	$8, SI
	ADDQ	$8, DI
	CMPQ	SI, BX
	JNE	move
	LEAQ	one<>(SB), AX
	MOVQ	AX, 0(DI)
	MOVQ	AX, 8(DI)
	JMP	_rt0_amd64_linux(SB)

// func restore(slack int64, files *[2]uint64)
TEXT ·restore(SB),NOSPLIT,$0-16
	MOVQ	$PR_SET_TIMERSLACK, DI
	MOVQ	slack+0(FP), SI
	MOVQ	$SYS_prctl, AX
	SYSCALL
	MOVQ	files+8(FP), DX
	CMPQ	0(DX), $3
	JLS	done	// was not lowered
	MOVQ	$0, DI
	MOVQ	$RLIMIT_NOFILE, SI
	MOVQ	$0, R10
	MOVQ	$SYS_prlimit64, AX
	SYSCALL
done:
	RET

// func stack()
TEXT ·stack(SB),0,$14000-0
	RET

#define SYS_madvise	28
#define MADV_DONTNEED	4

// DROP takes the whole pages from FROM to TO out of the process.
#define DROP(FROM, TO) \
	LEAQ	FROM(SB), DI; \
	ADDQ	$4095, DI; \
	ANDQ	$~4095, DI; \
	LEAQ	TO(SB), SI; \
	SUBQ	DI, SI; \
	ANDQ	$~4095, SI; \
	MOVQ	$MADV_DONTNEED, DX; \
	MOVQ	$SYS_madvise, AX; \
	SYSCALL

// func dropCode()
TEXT ·dropCode(SB),NOSPLIT,$0-0
	DROP(runtime·text, runtime·etext)
	RET

// func dropConstants()
TEXT ·dropConstants(SB),NOSPLIT,$0-0
	DROP(runtime·rodata, runtime·epclntab)
	RET

// func call(nr, a, b, c uintptr) uintptr
TEXT ·call(SB),NOSPLIT,$0-40
	MOVQ	a+8(FP), DI
	MOVQ	b+16(FP), SI
	MOVQ	c+24(FP), DX
	MOVQ	nr+0(FP), AX
	SYSCALL
	MOVQ	AX, ret+32(FP)
	RET
