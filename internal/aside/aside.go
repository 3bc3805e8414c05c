// Package aside runs lists of system calls where the Go runtime does not look:
// on a thread of their own, or in a child between its clone and its execve.
//
// A goroutine that must have a thread for itself makes the runtime start two
// (one of them to clone others from, because the state of the first is in
// doubt), and handing over to it and back takes longer than some of what it is
// wanted for. A child of syscall.ForkExec resets the handlers of some sixty
// signals, which execve resets anyway, and reports through a pipe. What runs
// here is a few instructions of assembly that go down a list: they use no
// stack, allocate nothing and call nothing, and all signals are blocked
// meanwhile, so no handler of the runtime is entered on a thread it does not
// know.
//
// The package imports nothing of the standard library, so that it is initialised before package syscall
// (The Go Programming Language Specification, "Program initialization"), which
// raises the limit of open files for this process: see Files.
package aside

import (
	"unsafe"

	_ "github.com/tare-oci/tare/internal/entry" // the limit below is wrong until it has been put back
)

// Errno is an error number of the kernel, errno(3).
type Errno uintptr

// Call is one system call: its number, its arguments, its result.
type Call struct {
	NR   uintptr
	Args [6]uintptr
	// Ret is what the kernel returned. It stays Pending for a call that was not
	// made, because an earlier one failed.
	Ret uintptr
	// To is a place that gets the result too, such as an argument of a later call.
	To *uintptr
}

// Pending is the result of a call that was not made. It is no error number.
const Pending = 1 << 62

const (
	maxErrno = 4095

	cloneVM            = 0x100
	cloneFS            = 0x200
	cloneFiles         = 0x400
	cloneSighand       = 0x800
	cloneVfork         = 0x4000
	cloneThread        = 0x10000
	cloneSysvsem       = 0x40000
	cloneChildCleartid = 0x200000
	cloneIntoCgroup    = 0x200000000

	sigchld      = 17
	rlimitNofile = 7
	eintr        = 4
)

// masks are the signals to block, and those that were blocked before; the
// assembly knows the layout.
type masks struct{ all, old uint64 }

// thread clones a thread that goes down calls and exits. tid is set to 0 when it
// has. It returns the thread's number or a negative error.
//
//go:noescape
func thread(calls *Call, n, flags uintptr, tid *uint32, m *masks) (r uintptr)

// spawn clones a child (clone3(2)), which goes down calls and exits with 127 if
// it comes to their end. It returns the child's pid or a negative error; ESRCH,
// without having cloned, if the calling thread is not tid, unless that is 0.
//
//go:noescape
func spawn(args *cloneArgs, size uintptr, calls *Call, n uintptr, m *masks, tid uintptr) (r uintptr)

// one makes a system call.
//
//go:noescape
func one(c *Call)

// errno is the error in a result, 0 if there is none.
func errno(r uintptr) Errno {
	if r > ^uintptr(maxErrno) {
		return Errno(-r)
	}
	return 0
}

// failed finds the call that failed.
func failed(calls []Call) (int, Errno) {
	for i := range calls {
		if e := errno(calls[i].Ret); e != 0 {
			return i, e
		}
	}
	return -1, 0
}

func pend(calls []Call) {
	for i := range calls {
		calls[i].Ret = Pending
	}
}

// Thread is a list of calls being made on a thread of its own.
type Thread struct {
	calls []Call
	tid   uint32
	masks masks
}

// Start begins to make calls, in their order, until one fails. The thread shares
// descriptors and memory, but not the working directory and what else fork
// copies (CLONE_FS). What the calls point to must be memory of the heap that
// stays reachable until Done has been called.
func Start(calls []Call) (*Thread, Errno) {
	pend(calls)
	t := &Thread{calls: calls, tid: 1, masks: masks{all: ^uint64(0)}}
	const flags = cloneVM | cloneFiles | cloneSighand | cloneThread | cloneSysvsem | cloneChildCleartid
	running = append(running, t) // the kernel writes to it: it must be on the heap
	if e := errno(thread(&calls[0], uintptr(len(calls)), flags, &t.tid, &t.masks)); e != 0 {
		t.forget()
		return nil, e
	}
	return t, 0
}

// running keeps what threads use from being collected.
var running []*Thread

func (t *Thread) forget() {
	for i, o := range running {
		if o == t {
			running = append(running[:i], running[i+1:]...)
			return
		}
	}
}

// TID is the word that the kernel clears, and wakes a futex(2) at, when the
// thread has ended.
func (t *Thread) TID() *uint32 { return &t.tid }

// Done is called when the word at TID is 0. It returns which call failed, -1 if
// none did, and why.
func (t *Thread) Done() (int, Errno) {
	t.forget()
	return failed(t.calls)
}

// cloneArgs are those of clone3(2).
type cloneArgs struct {
	flags, pidfd, childTID, parentTID, exitSignal uint64
	stack, stackSize, tls                         uint64
	setTID, setTIDSize, cgroup                    uint64
}

// Spawn clones a child that makes calls, the last of which is an execve. It
// shares this process's memory until then, and the caller's thread waits. flags
// are those of clone3(2), of which namespaces are meant; cgroup is a descriptor
// of a version 2 cgroup to be born in, or -1. All signals are blocked in the
// child, and after its execve.
//
// If tid is not 0 the child is cloned by the thread of that number or, if that is
// not the caller's, not at all: index -1, ESRCH. A child with a parent death
// signal (PR_SET_PDEATHSIG, prctl(2)) lives as long as the thread that cloned it,
// and the main thread, whose number is that of the process, lives longest.
//
// The child is gone if a call failed; its index is returned with its error, and
// the pid, which is still to be waited for. An error of clone3 has index -1.
func Spawn(flags uint64, cgroup int, tid int, calls []Call) (pid, index int, err Errno) {
	pid, err = clone(flags|cloneVfork, cgroup, tid, calls)
	if err != 0 {
		return 0, -1, err
	}
	index, err = failed(calls)
	return pid, index, err
}

// Child is a child that makes calls while its parent goes on.
type Child struct{ calls []Call }

// Begin is Spawn without the wait: only an error of clone3 is returned. What the calls
// point to must stay reachable until the child has made them.
func Begin(flags uint64, cgroup int, tid int, calls []Call) (pid int, c *Child, err Errno) {
	c = &Child{calls}
	children = append(children, c) // the child reads and writes them: they must be on the heap
	pid, err = clone(flags, cgroup, tid, calls)
	if err != 0 {
		children = children[:len(children)-1]
		return 0, nil, err
	}
	return pid, c, 0
}

// children keeps what they use from being collected.
var children []*Child

// Failed returns which call of a child that has ended has failed, -1 if none has, and why.
func (c *Child) Failed() (int, Errno) { return failed(c.calls) }

func clone(flags uint64, cgroup int, tid int, calls []Call) (pid int, err Errno) {
	pend(calls)
	args := &cloneArgs{flags: flags | cloneVM, exitSignal: sigchld}
	if cgroup >= 0 {
		args.flags |= cloneIntoCgroup
		args.cgroup = uint64(cgroup)
	}
	m := &masks{all: ^uint64(0)}
	for {
		r := spawn(args, unsafe.Sizeof(*args), &calls[0], uintptr(len(calls)), m, uintptr(tid))
		switch e := errno(r); e {
		case 0:
			return int(r), 0
		case eintr:
		default:
			return 0, e
		}
	}
}

// Limit is a resource limit: soft and hard, getrlimit(2).
type Limit struct{ Soft, Hard uint64 }

// Files is the limit of open files with which this process was started. Package
// syscall raises the soft one to the hard one for the process itself, and lowers
// it again only in children that it starts itself.
var Files Limit

func init() {
	c := Call{NR: sysPrlimit64, Args: [6]uintptr{0, rlimitNofile, 0, uintptr(unsafe.Pointer(&Files))}}
	one(&c)
}

// Memory keeps what calls point to from being collected, and off the stack,
// which moves.
type Memory struct {
	bytes [][]byte
	lists [][]uintptr
}

// String stores s with a NUL behind it and returns its address.
func (m *Memory) String(s string) uintptr {
	b := make([]byte, len(s)+1)
	copy(b, s)
	m.bytes = append(m.bytes, b)
	return uintptr(unsafe.Pointer(&b[0]))
}

// List stores the addresses of strings and a null pointer, as execve(2) wants
// its arguments, and returns where.
func (m *Memory) List(words ...string) uintptr {
	v := make([]uintptr, len(words)+1)
	for i, w := range words {
		v[i] = m.String(w)
	}
	m.lists = append(m.lists, v)
	return uintptr(unsafe.Pointer(&v[0]))
}
