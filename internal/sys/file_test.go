package sys

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
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
