package catch

import (
	"os"
	"os/exec"
	"regexp"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// read waits for n bytes of the pipe.
func read(t *testing.T, fd, n int) []byte {
	t.Helper()
	var got []byte
	for len(got) < n {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		if k, err := unix.Poll(p, 5000); k == 0 || err != nil && err != unix.EINTR {
			t.Fatalf("after % d: poll: %d, %v", got, k, err)
		}
		buf := make([]byte, 64)
		k, err := unix.Read(fd, buf)
		if err != nil && err != unix.EAGAIN && err != unix.EINTR {
			t.Fatal(err)
		}
		got = append(got, buf[:max(k, 0)]...)
	}
	return got
}

func TestEach(t *testing.T) {
	fd, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := Each(syscall.SIGUSR1, syscall.SIGUSR2, 64); err != nil {
		t.Fatal(err)
	}
	// Busy goroutines on small stacks: the handler must not use them.
	stop := make(chan struct{})
	defer close(stop)
	for range 8 {
		go func() {
			for n := 0; ; n++ {
				select {
				case <-stop:
					return
				default:
					grow(n % 200)
				}
			}
		}()
	}
	for range 500 {
		for _, s := range []syscall.Signal{syscall.SIGUSR1, syscall.SIGUSR2, 64} {
			if err := syscall.Kill(os.Getpid(), s); err != nil {
				t.Fatal(err)
			}
			if got := read(t, fd, 1); len(got) != 1 || got[0] != byte(s) {
				t.Fatalf("sent %d, caught % d", s, got)
			}
		}
	}
}

func grow(n int) byte {
	var b [256]byte
	if n == 0 {
		return b[0]
	}
	return grow(n-1) + b[n%256]
}

// A signal that is caught once ends the program the second time.
func TestOnce(t *testing.T) {
	if os.Getenv("CATCH_ONCE") != "" {
		fd, err := Open()
		if err == nil {
			err = Once(syscall.SIGTERM)
		}
		if err != nil {
			os.Exit(3)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		if got := read(t, fd, 1); got[0] != byte(syscall.SIGTERM) {
			os.Exit(4)
		}
		_ = syscall.Kill(os.Getpid(), syscall.SIGTERM)
		time.Sleep(5 * time.Second)
		os.Exit(5)
	}
	c := exec.Command("/proc/self/exe", "-test.run=^TestOnce$")
	c.Env = append(os.Environ(), "CATCH_ONCE=1")
	out, err := c.CombinedOutput()
	if ws, ok := c.ProcessState.Sys().(syscall.WaitStatus); !ok || !ws.Signaled() || ws.Signal() != syscall.SIGTERM {
		t.Fatalf("ended with %v, want SIGTERM: %s", err, out)
	}
}

// A child has the usual handlers, and its signals do not come to this process.
func TestChild(t *testing.T) {
	fd, err := Open()
	if err != nil {
		t.Fatal(err)
	}
	if err := Each(syscall.SIGUSR1); err != nil {
		t.Fatal(err)
	}
	c := exec.Command("sh", "-c", "kill -USR1 $$; exit 0")
	_ = c.Run()
	if ws := c.ProcessState.Sys().(syscall.WaitStatus); !ws.Signaled() || ws.Signal() != syscall.SIGUSR1 {
		t.Fatalf("the child ended with %v", c.ProcessState)
	}
	if n, err := unix.Read(fd, make([]byte, 1)); err != unix.EAGAIN {
		t.Fatalf("read: %d, %v", n, err)
	}
}

func TestIgnore(t *testing.T) {
	if err := Ignore(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(os.Getpid(), syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	status, err := os.ReadFile("/proc/thread-self/status") // which is also where this gets if it is alive
	if err != nil || !regexp.MustCompile(`(?m)^SigIgn:\t[0-9a-f]*[13579bdf]$`).Match(status) {
		t.Errorf("signal 1 is not ignored: %v\n%s", err, status)
	}
}

func TestIgnored(t *testing.T) {
	const s = syscall.SIGUSR2
	if Ignored(s) {
		t.Error("ignored from the beginning")
	}
	if err := Ignore(s); err != nil {
		t.Fatal(err)
	}
	if !Ignored(s) {
		t.Error("ignored, and not seen to be")
	}
	if _, err := Open(); err != nil {
		t.Fatal(err)
	}
	if err := Each(s); err != nil {
		t.Fatal(err)
	}
	if Ignored(s) {
		t.Error("caught, and seen as ignored")
	}
}
