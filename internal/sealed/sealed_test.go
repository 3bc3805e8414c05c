package sealed_test

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/sealed"
)

func TestOpen(t *testing.T) {
	data, err := os.ReadFile("/bin/true")
	if err != nil {
		t.Skip("the host has no /bin/true")
	}
	fd, err := sealed.Open("test", bytes.NewReader(data))
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(fd)
	path := "/proc/self/fd/" + strconv.Itoa(fd)
	if out, err := exec.Command(path).CombinedOutput(); err != nil {
		t.Errorf("does not run: %v: %s", err, out)
	}
	// Neither by the descriptor nor by opening it again, not even as root.
	if _, err := unix.Write(fd, []byte("x")); err != unix.EPERM && err != unix.EBADF {
		t.Errorf("write: %v", err)
	}
	if w, err := unix.Open(path, unix.O_RDWR, 0); err == nil {
		if _, err := unix.Write(w, []byte("x")); err != unix.EPERM {
			t.Errorf("write after opening again: %v", err)
		}
		if err := unix.Ftruncate(w, 0); err != unix.EPERM {
			t.Errorf("truncate after opening again: %v", err)
		}
		unix.Close(w)
	}
	if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
		t.Errorf("flags %d, %v: not close-on-exec", flags, err)
	}
}
