package cli

import (
	"os"
	"syscall"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/catch"
	"github.com/tare-oci/tare/internal/console"
	"github.com/tare-oci/tare/internal/sys"
)

// first are the signals that a program is likely to be sent as soon as it runs,
// and that would end tare.
var first = [...]syscall.Signal{syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT, syscall.SIGTERM, syscall.SIGUSR1, syscall.SIGUSR2}

// others a person or a program sends on purpose too; so are the real-time
// signals. Not among them: those that cannot be caught, those that a fault
// raises, and SIGPIPE and SIGURG, which are about this process.
var others = [...]syscall.Signal{
	syscall.SIGCONT, syscall.SIGTSTP, syscall.SIGTTIN, syscall.SIGTTOU, syscall.SIGALRM,
	syscall.SIGVTALRM, syscall.SIGPROF, syscall.SIGIO, syscall.SIGPWR, syscall.SIGXCPU, syscall.SIGXFSZ,
	// The last to be caught does no harm before: a test that must know sends it
	// until it arrives.
	syscall.SIGWINCH,
}

// keeper stands in for a program in the foreground.
type keeper struct {
	signals int // one byte for each that came (package catch)
}

// newKeeper is called before there is anything to keep.
func newKeeper() (*keeper, error) {
	fd, err := catch.Open()
	return &keeper{fd}, err
}

// begin catches the signals that come first: a program that says it is ready may
// be sent one at once. They are kept until the program runs. One that comes for
// the second time by then has its usual effect: somebody is tired of waiting, for
// a hook perhaps. What ends tare while it makes a container ends that too.
func (k *keeper) begin() { _ = catch.Once(first[:]...) }

// attend is called when the program runs, and returns its exit code when it has
// ended. Signals that come to tare go to it, and if it has a terminal, what is
// typed does, and what it prints comes back. ended says whether it has.
func (k *keeper) attend(stdout, terminal *os.File, send func(syscall.Signal), ended func() (int, bool, error)) (int, error) {
	// SIGCHLD says when to look.
	signals := append([]syscall.Signal{syscall.SIGCHLD}, first[:]...)
	signals = append(signals, others[:]...)
	for n := rtMin; n <= rtMax; n++ {
		signals = append(signals, syscall.Signal(n))
	}
	err := catch.Each(signals...)
	var link *console.Link
	if err == nil && terminal != nil {
		// Whatever happens, the caller's terminal is left as it was.
		if link, err = console.Connect(terminal, int(os.Stdin.Fd()), int(stdout.Fd())); err == nil {
			defer link.Finish()
			link.Resize() // it may have changed since the program's was made
		}
	}
	if err != nil {
		send(syscall.SIGKILL)
	}
	for brief := terminal == nil; ; brief = false {
		code, done, e := ended()
		if done || e != nil {
			if err == nil {
				err = e
			}
			return code, err
		}
		for _, s := range k.next(brief) {
			switch sig := syscall.Signal(s); {
			case sig == syscall.SIGCHLD:
			case sig == syscall.SIGWINCH && link != nil:
				link.Resize() // the kernel tells the program
			default:
				send(sig) // fails when it has just ended: then there is nobody to tell
			}
		}
	}
}

// brief is how long a program may run before tare becomes a patient waiter.
const brief = 20 * time.Millisecond

// next waits for signals, and is patient unless there is hope that it will be
// short: see sys.Ready.
func (k *keeper) next(short bool) []byte {
	if !short || !sys.Ready(k.signals, brief) {
		_, _ = unix.Poll([]unix.PollFd{{Fd: int32(k.signals), Events: unix.POLLIN}}, -1)
	}
	var buf [64]byte
	n, _ := unix.Read(k.signals, buf[:])
	return buf[:max(n, 0)]
}

// ownSize is the size of the caller's terminal, for that of the program.
func ownSize() *specs.Box {
	size := console.OwnSize()
	if size == nil || size.Row == 0 && size.Col == 0 {
		return nil
	}
	return &specs.Box{Height: uint(size.Row), Width: uint(size.Col)}
}
