package ops

import (
	"testing"

	"github.com/tare-oci/tare/internal/plan"
)

// opTest is what must be shown of an op: its effect on the kernel, seen from
// outside, and the report of at least one failure.
type opTest struct {
	effect  func(*testing.T)
	failure func(*testing.T)
	// harmless says why the op has no failure; then failure is nil.
	harmless string
	// silent says why a failure of the op cannot be reported; then failure proves
	// that the init ends.
	silent string
}

var table = map[plan.Code]opTest{
	plan.OpSyncArrive: {effect: syncArriveEffect, failure: syncArriveFailure, silent: "the socket is what the op failed at"},
	plan.OpSyncAwait:  {effect: syncAwaitEffect, failure: syncAwaitFailure},
	plan.OpFdPass:     {effect: fdPassEffect, failure: fdPassFailure},

	plan.OpFdSeal:      {effect: fdSealEffect, failure: fdSealFailure},
	plan.OpCgroupJoin:  {effect: cgroupJoinEffect, failure: cgroupJoinFailure},
	plan.OpOomScore:    {effect: oomScoreEffect, failure: oomScoreFailure},
	plan.OpNsJoin:      {effect: nsJoinEffect, failure: nsJoinFailure},
	plan.OpUnshare:     {effect: unshareEffect, failure: unshareFailure},
	plan.OpExpose:      {effect: exposeEffect, harmless: "the kernel takes 0 and 1 from everybody"},
	plan.OpFsOpen:      {effect: fsOpenEffect, failure: fsOpenFailure},
	plan.OpTimeOpen:    {effect: timeOpenEffect, failure: timeOpenFailure},
	plan.OpTimeOffset:  {effect: timeOffsetEffect, failure: timeOffsetFailure},
	plan.OpFork:        {effect: forkEffect, failure: forkFailure},
	plan.OpBecomeRoot:  {effect: becomeRootEffect, failure: becomeRootFailure},
	plan.OpSession:     {effect: sessionEffect, failure: sessionFailure},
	plan.OpKeyring:     {effect: keyringEffect, failure: keyringFailure},
	plan.OpLoopbackUp:  {effect: loopbackUpEffect, failure: loopbackUpFailure},
	plan.OpHostname:    {effect: hostnameEffect, failure: hostnameFailure},
	plan.OpDomainname:  {effect: domainnameEffect, failure: domainnameFailure},
	plan.OpProcOpen:    {effect: procOpenEffect, failure: procOpenFailure},
	plan.OpNullOpen:    {effect: nullOpenEffect, failure: nullOpenFailure},
	plan.OpSysctl:      {effect: sysctlEffect, failure: sysctlFailure},
	plan.OpLsmExec:     {effect: lsmExecEffect, failure: lsmExecFailure},
	plan.OpStdioOwner:  {effect: stdioOwnerEffect, failure: stdioOwnerFailure},
	plan.OpHookState:   {effect: hookStateEffect, failure: hookStateFailure},
	plan.OpRlimit:      {effect: rlimitEffect, failure: rlimitFailure},
	plan.OpPersonality: {effect: personalityEffect, failure: personalityFailure},
	plan.OpScheduler:   {effect: schedulerEffect, failure: schedulerFailure},
	plan.OpIOPriority:  {effect: ioPriorityEffect, failure: ioPriorityFailure},
	plan.OpAffinity:    {effect: affinityEffect, failure: affinityFailure},

	plan.OpMemoryPolicy: {effect: memoryPolicyEffect, failure: memoryPolicyFailure},

	plan.OpMountPropagation: {effect: mountPropagationEffect, failure: mountPropagationFailure},
	plan.OpRootBind:         {effect: rootBindEffect, failure: rootBindFailure},
	plan.OpMountFs:          {effect: mountFsEffect, failure: mountFsFailure},
	plan.OpMountBind:        {effect: mountBindEffect, failure: mountBindFailure},
	plan.OpMountRemount:     {effect: mountRemountEffect, failure: mountRemountFailure},
	plan.OpMountReadonly:    {effect: mountReadonlyEffect, failure: mountReadonlyFailure},
	plan.OpDirMake:          {effect: dirMakeEffect, failure: dirMakeFailure},
	plan.OpSymlinkMake:      {effect: symlinkMakeEffect, failure: symlinkMakeFailure},
	plan.OpDeviceMake:       {effect: deviceMakeEffect, failure: deviceMakeFailure},
	plan.OpDeviceBind:       {effect: deviceBindEffect, failure: deviceBindFailure},
	plan.OpRootPivot:        {effect: rootPivotEffect, failure: rootPivotFailure},
	plan.OpRootMove:         {effect: rootMoveEffect, failure: rootMoveFailure},
	plan.OpRootChroot:       {effect: rootChrootEffect, failure: rootChrootFailure},
	plan.OpRootAttr:         {effect: rootAttrEffect, failure: rootAttrFailure},
	plan.OpMaskPrepare:      {effect: maskPrepareEffect, failure: maskPrepareFailure},
	plan.OpPathReadonly:     {effect: pathReadonlyEffect, failure: pathReadonlyFailure},
	plan.OpPathMask:         {effect: pathMaskEffect, failure: pathMaskFailure},

	plan.OpNoNewPrivs:    {effect: noNewPrivsEffect, failure: noNewPrivsFailure},
	plan.OpSeccomp:       {effect: seccompEffect, failure: seccompFailure},
	plan.OpSeccompNotify: {effect: seccompNotifyEffect, failure: seccompNotifyFailure},
	plan.OpCapsBound:     {effect: capsBoundEffect, failure: capsBoundFailure},
	plan.OpIdentity:      {effect: identityEffect, failure: identityFailure},
	plan.OpCapsTrim:      {effect: capsTrimEffect, failure: capsTrimFailure},
	plan.OpCapsSet:       {effect: capsSetEffect, failure: capsSetFailure},
	plan.OpCwdMake:       {effect: cwdMakeEffect, failure: cwdMakeFailure},
	plan.OpCwd:           {effect: cwdEffect, failure: cwdFailure},
	plan.OpHomeFind:      {effect: homeFindEffect, harmless: "whatever it cannot find or read, HOME is /"},
	plan.OpEnv:           {effect: envEffect, harmless: "it only stores pointers"},
	plan.OpExecFind:      {effect: execFindEffect, failure: execFindFailure},
	plan.OpHookRun:       {effect: hookRunEffect, failure: hookRunFailure},
	plan.OpOutlive:       {effect: outliveEffect, failure: outliveFailure},
	plan.OpGate:          {effect: gateEffect, failure: gateFailure},
	plan.OpFdClose:       {effect: fdCloseEffect, failure: fdCloseFailure},
	plan.OpExec:          {effect: execEffect, failure: execFailure},

	plan.OpNsEnter:   {effect: nsEnterEffect, failure: nsEnterFailure},
	plan.OpCPUEnter:  {effect: cpuEnterEffect, failure: cpuEnterFailure},
	plan.OpRootEnter: {effect: rootEnterEffect, failure: rootEnterFailure},
	plan.OpConsole:   {effect: consoleEffect, failure: consoleFailure},
}

// TestEveryOp runs what the table has, and fails for an op that it lacks.
func TestEveryOp(t *testing.T) {
	for _, code := range plan.Codes() {
		if code.Side() == plan.Host {
			continue
		}
		test, ok := table[code]
		if !ok || test.effect == nil || test.failure == nil && test.harmless == "" {
			t.Errorf("op %s has no effect test or no failure test", code.Name())
			continue
		}
		t.Run(code.Name()+"/effect", test.effect)
		if test.failure == nil {
			continue
		}
		t.Run(code.Name()+"/failure", func(t *testing.T) {
			delete(observed, code)
			test.failure(t)
			if !observed[code] && test.silent == "" && !t.Skipped() {
				t.Errorf("no report of a failing %s was seen", code.Name())
			}
		})
	}
}
