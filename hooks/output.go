package hooks

import (
	"errors"
	"io"
	"os"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// output is what a hook prints, of which the end is kept. Nobody waits for a child of
// the hook that has the pipe open after the hook's end, and nothing that was printed
// before that is lost, however late this program gets a processor.
type output struct {
	tail
	r, w *os.File // the hook's end is w
	done chan struct{}
}

func newOutput() (*output, error) {
	r, w, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	return &output{r: r, w: w, done: make(chan struct{})}, nil
}

// close is for a hook that was not started.
func (o *output) close() {
	if o != nil {
		_ = errors.Join(o.r.Close(), o.w.Close()) // nothing is in it
	}
}

// collect reads, so that a hook can print more than a pipe holds.
func (o *output) collect() {
	if o == nil {
		return
	}
	_ = o.w.Close() // the hook has its own
	go func() {
		defer close(o.done)
		_, _ = io.Copy(&o.tail, o.r) // to the end, or until finish is called
	}()
}

// finish is called when the hook has ended: it reads what there is, and waits for no more.
func (o *output) finish() string {
	if o == nil {
		return ""
	}
	_ = o.r.SetReadDeadline(time.Now())
	<-o.done
	_ = o.r.SetReadDeadline(time.Time{})
	if conn, err := o.r.SyscallConn(); err == nil {
		_ = conn.Read(func(fd uintptr) bool { o.rest(int(fd)); return true })
	}
	_ = o.r.Close()
	return strings.TrimSpace(string(o.b))
}

// rest reads what lies in the pipe now, and not what others go on writing.
func (o *output) rest(fd int) {
	left, err := unix.IoctlGetInt(fd, unix.TIOCINQ) // FIONREAD by its other name
	for buf := make([]byte, 4096); err == nil && left > 0; {
		var n int
		n, err = syscall.Read(fd, buf[:min(left, len(buf))])
		if err == syscall.EINTR {
			err = nil
			continue
		}
		if n <= 0 {
			return
		}
		_, _ = o.tail.Write(buf[:n]) // never fails
		left -= n
	}
}

// tail keeps the last bytes written to it; that is where the reason stands.
type tail struct{ b []byte }

const tailSize = 2048

func (t *tail) Write(p []byte) (int, error) {
	t.b = append(t.b, p...)
	if len(t.b) > tailSize {
		t.b = append(t.b[:0], t.b[len(t.b)-tailSize:]...)
	}
	return len(p), nil
}
