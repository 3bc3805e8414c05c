package cgroupview

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

func TestRemoveTreeTakesOnlyDirectories(t *testing.T) {
	root := filepath.Join(t.TempDir(), "cgroup")
	if err := os.MkdirAll(filepath.Join(root, "a/b"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := RemoveTree(root); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(root); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("stat: %v, want it gone", err)
	}
	if err := RemoveTree(root); err != nil {
		t.Errorf("removing nothing: %v", err)
	}
	file := filepath.Join(root, "a/file")
	if err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, nil, 0o644)); err != nil {
		t.Fatal(err)
	}
	if err := RemoveTree(root); err == nil {
		t.Error("a directory with a file that is no cgroup's was removed")
	}
}
