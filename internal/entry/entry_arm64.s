#include "textflag.h"

#define SYS_prctl	167
#define SYS_sched_setaffinity	122
#define SYS_sched_getaffinity	123
#define SYS_getcpu	168
#define SYS_prlimit64	261

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

// tare_entry: see entry_amd64.s.
TEXT tare_entry(SB),NOSPLIT|NOFRAME,$0
	MOVD	$1, R0
	MOVB	R0, ·began(SB)

	MOVD	$PR_GET_TIMERSLACK, R0
	MOVD	$SYS_prctl, R8
	SVC
	MOVD	R0, ·slack(SB)
	MOVD	$PR_SET_TIMERSLACK, R0
	MOVD	$50000000, R1
	MOVD	$SYS_prctl, R8
	SVC

	MOVD	$0, R0
	MOVD	$RLIMIT_NOFILE, R1
	MOVD	$0, R2
	MOVD	$·files(SB), R3
	MOVD	$SYS_prlimit64, R8
	SVC
	CBNZ	R0, environ
	MOVD	·files+0(SB), R0
	CMP	$3, R0
	BLS	environ
	MOVD	·files+8(SB), R0
	MOVD	R0, few<>+8(SB)
	MOVD	$0, R0
	MOVD	$RLIMIT_NOFILE, R1
	MOVD	$few<>(SB), R2
	MOVD	$0, R3
	MOVD	$SYS_prlimit64, R8
	SVC

	// To this processor alone, until there are packages to initialise.
environ:
	MOVD	$0, R0
	MOVD	$SIZE, R1
	MOVD	$·cpus(SB), R2
	MOVD	$SYS_sched_getaffinity, R8
	SVC
	CMP	$SIZE, R0
	BHI	arguments	// an error, which is a negative number
	MOVD	R0, ·known(SB)
	SUB	$16, RSP, R3
	MOVD	R3, RSP
	MOVD	R3, R0	// unsigned cpu
	MOVD	$0, R1
	MOVD	$0, R2
	MOVD	$SYS_getcpu, R8
	SVC
	MOVWU	0(RSP), R3
	ADD	$16, RSP, R4
	MOVD	R4, RSP
	CBNZ	R0, unknown
	LSR	$3, R3, R4
	MOVD	·known(SB), R5
	CMP	R5, R4
	BHS	unknown
	AND	$7, R3, R3
	MOVD	$1, R5
	LSL	R3, R5, R5
	MOVD	$·only(SB), R2
	MOVB	R5, (R2)(R4)
	MOVD	$0, R0
	MOVD	·known(SB), R1
	MOVD	$SYS_sched_setaffinity, R8
	SVC
	JMP	arguments
unknown:
	MOVD	ZR, ·known(SB)

arguments:
	MOVD	0(RSP), R1
	MOVD	RSP, R2
	ADD	R1<<3, R2, R4
	ADD	$16, R4	// the environment
	MOVD	one<>+0(SB), R5
next:
	MOVD	0(R4), R0
	CBZ	R0, insert
	ADD	$8, R4
	MOVD	0(R0), R1
	CMP	R5, R1
	BNE	next
	MOVBU	8(R0), R1
	CMP	$0x43, R1	// C
	BNE	next
	MOVBU	9(R0), R1
	CMP	$0x53, R1	// S
	BNE	next
	MOVBU	10(R0), R1
	CMP	$0x3d, R1	// =
	BNE	next
	JMP	_rt0_arm64_linux(SB)

insert:
	MOVD	$1, R0
	MOVB	R0, ·added(SB)
	SUB	$16, RSP, R3
	MOVD	R3, RSP
move:
	MOVD	0(R2), R0
	MOVD	R0, 0(R3)
	ADD	$8, R2
	ADD	$8, R3
	CMP	R4, R2
	BNE	move
	MOVD	$one<>(SB), R0
	MOVD	R0, 0(R3)
	MOVD	R0, 8(R3)
	JMP	_rt0_arm64_linux(SB)

// func restore(slack int64, files *[2]uint64)
TEXT ·restore(SB),NOSPLIT,$0-16
	MOVD	$PR_SET_TIMERSLACK, R0
	MOVD	slack+0(FP), R1
	MOVD	$SYS_prctl, R8
	SVC
	MOVD	files+8(FP), R2
	MOVD	0(R2), R4
	CMP	$3, R4
	BLS	done	// was not lowered
	MOVD	$0, R0
	MOVD	$RLIMIT_NOFILE, R1
	MOVD	$0, R3
	MOVD	$SYS_prlimit64, R8
	SVC
done:
	RET

// func stack()
TEXT ·stack(SB),0,$14000-0
	RET

#define SYS_madvise	233
#define MADV_DONTNEED	4

// DROP takes the whole pages from FROM to TO, which may have 64 KiB, out of the
// process.
#define DROP(FROM, TO) \
	MOVD	$FROM(SB), R0; \
	ADD	$65535, R0; \
	AND	$~65535, R0; \
	MOVD	$TO(SB), R1; \
	SUB	R0, R1; \
	AND	$~65535, R1; \
	MOVD	$MADV_DONTNEED, R2; \
	MOVD	$SYS_madvise, R8; \
	SVC

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
	MOVD	a+8(FP), R0
	MOVD	b+16(FP), R1
	MOVD	c+24(FP), R2
	MOVD	nr+0(FP), R8
	SVC
	MOVD	R0, ret+32(FP)
	RET
