package console

import (
	"bytes"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

const patience = 20 * time.Second

// pair makes a pseudo terminal.
func pair(t *testing.T) (master, slave *os.File) {
	t.Helper()
	m, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		t.Skip("this host lacks pseudo terminals:", err)
	}
	master = os.NewFile(uintptr(m), "master")
	t.Cleanup(func() { master.Close() })
	if err := unix.IoctlSetPointerInt(m, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	s, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(m), unix.TIOCGPTPEER, unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC)
	if errno != 0 {
		t.Fatal(errno)
	}
	slave = os.NewFile(uintptr(s), "slave")
	t.Cleanup(func() { slave.Close() })
	return master, slave
}

func pipe(t *testing.T) (r, w *os.File) {
	t.Helper()
	r, w, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { r.Close(); w.Close() })
	return r, w
}

func raw(t *testing.T, f *os.File) {
	t.Helper()
	if _, err := makeRaw(int(f.Fd())); err != nil {
		t.Fatal(err)
	}
}

// finish is Finish within a time.
func finish(t *testing.T, l *Link) {
	t.Helper()
	done := make(chan struct{})
	go func() { l.Finish(); close(done) }()
	select {
	case <-done:
	case <-time.After(patience):
		t.Fatal("Finish does not come back")
	}
}

func TestLinkCopiesBothWaysToTheLastByte(t *testing.T) {
	master, slave := pair(t)
	raw(t, slave)
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	l, err := Connect(master, int(inR.Fd()), int(outW.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := inW.WriteString("typed"); err != nil {
		t.Fatal(err)
	}
	buf := make([]byte, 5)
	if _, err := slave.Read(buf); err != nil || string(buf) != "typed" {
		t.Fatalf("%q, %v", buf, err)
	}
	// More than a pipe and a terminal hold, to a reader that comes late; another
	// descriptor keeps the terminal open.
	want := bytes.Repeat([]byte("0123456789abcdef"), 20000)
	held, err := unix.Dup(int(slave.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(held)
	got := make(chan []byte)
	go func() {
		time.Sleep(50 * time.Millisecond)
		var all []byte
		chunk := make([]byte, 1000)
		for len(all) < len(want) {
			n, err := outR.Read(chunk)
			if err != nil {
				break
			}
			all = append(all, chunk[:n]...)
		}
		got <- all
	}()
	if _, err := slave.Write(want); err != nil {
		t.Fatal(err)
	}
	slave.Close()
	finish(t, l)
	if all := <-got; !bytes.Equal(all, want) {
		t.Errorf("%d of %d bytes", len(all), len(want))
	}
	l.Finish() // once more is nothing
}

// The reader may go, and the input may end: the program is not held up.
func TestLinkWithoutStreams(t *testing.T) {
	master, slave := pair(t)
	raw(t, slave)
	inR, inW := pipe(t)
	outR, outW := pipe(t)
	inW.Close()
	outR.Close()
	l, err := Connect(master, int(inR.Fd()), int(outW.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := slave.Write(make([]byte, 100000)); err != nil {
		t.Fatal(err)
	}
	finish(t, l)
}

// A program that does not read what is typed cannot keep Finish from returning.
func TestLinkWithFullInput(t *testing.T) {
	master, slave := pair(t)
	raw(t, slave)
	inR, inW := pipe(t)
	_, outW := pipe(t)
	l, err := Connect(master, int(inR.Fd()), int(outW.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	go func() { _, _ = inW.Write(make([]byte, 60000)) }()
	time.Sleep(50 * time.Millisecond)
	finish(t, l)
}

func TestRawAndBack(t *testing.T) {
	_, tty := pair(t)
	before, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	master, _ := pair(t)
	l, err := Connect(master, int(tty.Fd()), int(tty.Fd()))
	if err != nil {
		t.Fatal(err)
	}
	during, _ := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
	if during.Lflag&(unix.ICANON|unix.ECHO|unix.ISIG|unix.IEXTEN) != 0 || during.Oflag&unix.OPOST != 0 || during.Iflag&unix.ICRNL != 0 {
		t.Errorf("not raw: %+v", during)
	}
	finish(t, l)
	if after, _ := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS); *after != *before {
		t.Errorf("%+v, was %+v", after, before)
	}
}

func TestDial(t *testing.T) {
	deep := filepath.Join(t.TempDir(), strings.Repeat("d", 100))
	if err := os.Mkdir(deep, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{filepath.Join(t.TempDir(), "s"), filepath.Join(deep, "s")} {
		dir, err := unix.Open(filepath.Dir(path), unix.O_PATH|unix.O_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		l, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		if err := unix.Bind(l, &unix.SockaddrUnix{Name: "/proc/self/fd/" + strconv.Itoa(dir) + "/s"}); err != nil {
			t.Fatal(err)
		}
		if err := unix.Listen(l, 1); err != nil {
			t.Fatal(err)
		}
		c, err := Dial(path)
		if err != nil {
			t.Fatal(err)
		}
		s, _, err := unix.Accept4(l, unix.SOCK_CLOEXEC)
		if err != nil {
			t.Fatal(err)
		}
		// Nothing is there yet, and is not waited for.
		if _, _, err := Receive(s); err == nil {
			t.Error("received what was never sent")
		}
		if err := Send(c, "name", int(os.Stderr.Fd())); err != nil {
			t.Fatal(err)
		}
		name, fd, err := Receive(s)
		if err != nil || name != "name" || fd < 0 {
			t.Errorf("%q, %d, %v", name, fd, err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("descriptor flags %#x, %v", flags, err)
		}
		// A message without a descriptor is none.
		if _, err := unix.Write(c, []byte("x")); err != nil {
			t.Fatal(err)
		}
		if _, _, err := Receive(s); err == nil || !strings.Contains(err.Error(), "0 descriptors") {
			t.Errorf("%v", err)
		}
		for _, fd := range []int{dir, l, c, s, fd} {
			unix.Close(fd)
		}
	}
	if _, err := Dial(filepath.Join(t.TempDir(), "none")); !os.IsNotExist(err) {
		t.Errorf("%v", err)
	}
}
