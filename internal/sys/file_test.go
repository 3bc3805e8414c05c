package sys

import (
	"bytes"
	"errors"
	"io/fs"
	"math/bits"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
)

func TestReadFileReadsWholeFilesUpToTheLimit(t *testing.T) {
	path := filepath.Join(t.TempDir(), "f")
	for _, n := range []int{0, 1, 4095, 4096, 4097, 100000} {
		want := bytes.Repeat([]byte("x"), n)
		if err := os.WriteFile(path, want, 0o600); err != nil {
			t.Fatal(err)
		}
		got, err := ReadFile(path, 100000)
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%d bytes: got %d, %v", n, len(got), err)
		}
	}
	if _, err := ReadFile(path, 99999); !errors.Is(err, syscall.EFBIG) {
		t.Errorf("a file over the limit: %v", err)
	}
}

func TestErrorsNameThePath(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "missing")
	_, err := ReadFile(missing, 10)
	var pe *fs.PathError
	if !errors.As(err, &pe) || pe.Path != missing || !errors.Is(err, syscall.ENOENT) {
		t.Errorf("read: %v", err)
	}
	if err := WriteFile(missing, "x"); !errors.Is(err, syscall.ENOENT) {
		t.Errorf("write: %v", err)
	}
	if got := Text(missing); got != "" {
		t.Errorf("Text of a missing file: %q", got)
	}
}

func TestTextReadsKernelFiles(t *testing.T) {
	if got := Text("/proc/self/status"); !strings.HasPrefix(got, "Name:") {
		t.Errorf("got %q", got)
	}
}

// What stands behind the first newline is not read into the line, however the
// two lie in the buffer.
func TestReadLine(t *testing.T) {
	for _, c := range []struct{ text, want string }{
		{"", ""}, {"a", "a"}, {"\n", ""}, {"a\n", "a"}, {"a\nb\n", "a"},
		{strings.Repeat("x", 4095) + "\nrest", strings.Repeat("x", 4095)}, {strings.Repeat("x", 4096) + "\nrest", strings.Repeat("x", 4096)},
		{strings.Repeat("x", 20000) + "\n" + strings.Repeat("y\n", 9000), strings.Repeat("x", 20000)},
	} {
		path := filepath.Join(t.TempDir(), "f")
		if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
			t.Fatal(err)
		}
		fd, err := Open(path, syscall.O_RDONLY, 0)
		if err != nil {
			t.Fatal(err)
		}
		got, err := ReadLine(fd, 30000)
		syscall.Close(fd)
		if err != nil || string(got) != c.want {
			t.Errorf("%d bytes: got %d, %v, want %d", len(c.text), len(got), err, len(c.want))
		}
	}
}

func TestAffinity(t *testing.T) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	old, err := Affinity()
	if err != nil || len(old) < 8 || old[0]|old[1]|old[2]|old[3] == 0 {
		t.Fatalf("%x, %v", old, err)
	}
	defer func() { _ = SetAffinity(old) }()
	one := make([]byte, 200) // longer than unix.CPUSet
	for i, b := range old {
		if b != 0 {
			one[i] = b & -b
			break
		}
	}
	if err := SetAffinity(one); err != nil {
		t.Fatal(err)
	}
	now, err := Affinity()
	if err != nil || bits.OnesCount8(now[0])+bits.OnesCount8(now[1]) > 1 {
		t.Errorf("%x, %v", now, err)
	}
	if err := SetAffinity(make([]byte, 8)); err != syscall.EINVAL {
		t.Errorf("no CPU at all: %v", err)
	}
	if err := SetAffinity(nil); err != syscall.EINVAL {
		t.Errorf("an empty mask: %v", err)
	}
}
