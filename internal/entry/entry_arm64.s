#include "textflag.h"

#define SYS_prctl	167
#define SYS_prlimit64	261

#define PR_SET_TIMERSLACK	29
#define PR_GET_TIMERSLACK	30
#define RLIMIT_NOFILE	7

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

environ:
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
