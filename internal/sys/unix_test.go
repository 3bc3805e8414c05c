package sys

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestDialUnix connects to sockets whose paths are short, just long enough, and too
// long for an address.
func TestDialUnix(t *testing.T) {
	top := t.TempDir()
	for _, dir := range []string{"a", strings.Repeat("b", 107-len(top)-3), strings.Repeat("c", 120), strings.Repeat("d", 200) + "/" + strings.Repeat("e", 200)} {
		at := filepath.Join(top, dir)
		if err := os.MkdirAll(at, 0o700); err != nil {
			t.Fatal(err)
		}
		here, err := os.Getwd()
		if err != nil {
			t.Fatal(err)
		}
		listen, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(listen)
		if err := os.Chdir(at); err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(unix.Bind(listen, &unix.SockaddrUnix{Name: "s"}), unix.Listen(listen, 1), os.Chdir(here)); err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(at, "s")
		fd, err := DialUnix(path, unix.SOCK_STREAM, time.Second)
		if err != nil {
			t.Errorf("%d bytes: %v", len(path), err)
			continue
		}
		peer, _, err := unix.Accept(listen)
		if err != nil {
			t.Fatal(err)
		}
		if flags, err := unix.FcntlInt(uintptr(fd), unix.F_GETFD, 0); err != nil || flags&unix.FD_CLOEXEC == 0 {
			t.Errorf("the socket is not close-on-exec: %v", err)
		}
		unix.Close(peer)
		unix.Close(fd)
	}
}

func TestDialUnixErrors(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/file", nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]error{
		dir + "/none": unix.ENOENT, dir + "/file": unix.ECONNREFUSED, dir + "/" + strings.Repeat("x/", 100) + "s": unix.ENOENT,
	} {
		if _, err := DialUnix(path, unix.SOCK_STREAM, time.Second); !errors.Is(err, want) || !strings.Contains(err.Error(), path) {
			t.Errorf("%s: %v, want %v", path, err, want)
		}
	}
}

// TestDialUnixTimeout: a server that accepts nobody does not hold us for ever.
func TestDialUnixTimeout(t *testing.T) {
	path := t.TempDir() + "/s"
	listen, err := unix.Socket(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer unix.Close(listen)
	if err := errors.Join(unix.Bind(listen, &unix.SockaddrUnix{Name: path}), unix.Listen(listen, 0)); err != nil {
		t.Fatal(err)
	}
	for range 5 {
		fd, err := DialUnix(path, unix.SOCK_STREAM, 50*time.Millisecond)
		if errors.Is(err, unix.EAGAIN) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		defer unix.Close(fd)
	}
	t.Error("five connections to a server with room for one")
}
