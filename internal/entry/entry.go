// Package entry holds the first instructions of tare's front, which run before
// the Go runtime's own: the linker is told to begin the program with them
// (-E tare_entry, see the Makefile). They make the runtime start for a program
// that ends a few milliseconds later:
//
//   - GOMAXPROCS=1 is put behind the environment, unless it has one. With one
//     processor to schedule, the runtime starts no threads to look for work that
//     is not there.
//   - The limit of open files is 3. The runtime reads the files of its own
//     control group to learn how many processors it may use (five files, of which
//     mountinfo is as long as the host has mounts), and goes on without when they
//     cannot be opened. No program is asked for its limit before package
//     initialization, and no descriptor is needed before it: a closed one of the
//     first three is still replaced by /dev/null.
//   - The process is tied to the processor on which it begins. The runtime starts two
//     or three threads before the first package is initialised, and hands over to them
//     and back: on another processor, which sleeps, each of these takes longer than
//     all that is done in between.
//   - The timers of threads are given 50 milliseconds of slack. The first thread
//     that the runtime starts looks around every 20 microseconds, on the other
//     processor, which it keeps from sleep.
//
// Together they take half off the time that an empty Go program takes. All
// is put back before the first package that does anything is initialised: this
// one imports only the runtime, and packages are initialised in the order of their import
// paths (The Go Programming Language Specification, "Program initialization").
// What is not put back is the environment, which os.Unsetenv is for: see Added;
// the number of processors, see Parallel; and the slack of threads other than the
// main one, see Slack.
//
// A program that is linked without that option starts as any other, and this
// package does nothing: so do the library, the tests and the whole program.
package entry

import "runtime"

// Env is the variable that has been added to the environment, if Added says so.
const Env = "GOMAXPROCS"

// slack is the timer slack that the program was started with, in nanoseconds
// (PR_SET_TIMERSLACK, prctl(2)); files is its limit of open files, soft and hard
// (RLIMIT_NOFILE, getrlimit(2)). The assembly fills them and puts them back.
var (
	began bool
	added bool
	slack int64
	files [2]uint64
)

// restore puts the limit of open files and the timer slack of the calling thread
// back, which is the main one: package initialization runs there.
//
//go:noescape
func restore(slack int64, files *[2]uint64)

// stack needs a stack of 16 KiB and does nothing. A goroutine begins with 2 KiB,
// and each doubling takes a span of its own, all of whose pages are touched, and
// looks up the frames of all callers: here there are none yet.
func stack()

func init() {
	if began {
		restore(slack, &files)
		unpin()
		stack()
	}
}

// Added tells whether Env is in the environment only because this package has
// put it there. It must not be handed on to other programs.
func Added() bool { return added }

// Slack is the timer slack, in nanoseconds, that the program was started with, and
// whether threads other than the main one have another: a program that is started from
// one of them would inherit it.
func Slack() (nanoseconds int64, changed bool) { return slack, began }

// dropCode and dropConstants take pages of the program out of the process
// (MADV_DONTNEED, madvise(2)). They stay in the page cache.
func dropCode()
func dropConstants()

// Drop is called where this process is going to wait, and, if it is the last time, to
// end soon after. What it still needs is mapped again, a few pages at a time; the end,
// where each page that is mapped takes its time, comes the sooner. A process that has
// more to do keeps its code.
func Drop(last bool) {
	if !began {
		return
	}
	dropConstants()
	if last {
		dropCode()
	}
}

// Parallel gives the scheduler all processors, for goroutines that are to run
// while others wait in system calls for long. It takes what stopping the world
// takes, some ten microseconds.
func Parallel() {
	if added {
		runtime.GOMAXPROCS(max(processors(), runtime.NumCPU()))
	}
}
