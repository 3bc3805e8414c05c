package criu

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
)

// The words that a user reads where CRIU is missing, or ends before it answers.
func TestNoCriu(t *testing.T) {
	if _, err := Start(Program{Path: "/nowhere/criu"}); !errors.Is(err, ErrMissing) || !strings.Contains(err.Error(), "package criu") {
		t.Errorf("%v", err)
	}
	s, err := Start(Program{Path: "false"})
	if err != nil {
		t.Fatal(err)
	}
	err = s.Do(Dump, &Options{ImagesDirFd: new(int32(0))}, Events{})
	if !errors.Is(err, errGone) || !strings.Contains(err.Error(), "exit status 1") {
		t.Errorf("%v", err)
	}
	if err := s.Close(); err != nil {
		t.Errorf("closed again: %v", err)
	}
}

func TestExplain(t *testing.T) {
	log := filepath.Join(t.TempDir(), "dump.log")
	if err := os.WriteFile(log, []byte("(00.000001) Version: 3.17.1\n(00.2)     12: Error (criu/x.c:1): first\n"+
		"Warn  (criu/y.c:2): not this\n(00.3) Error (criu/x.c:2): 2\n(00.3) Error (criu/x.c:3): 3\n(00.3) Error (criu/x.c:4): 4\n(00.3) Error (criu/x.c:5): 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	err := Explain(&Error{Kind: PreDump, Errno: syscall.EBUSY, Message: "first"}, log)
	want := "criu pre-dump: device or resource busy: Error (criu/x.c:2): 2; Error (criu/x.c:3): 3; Error (criu/x.c:4): 4; Error (criu/x.c:5): 5 (all of it in " + log + ")"
	if err.Error() != want || !errors.Is(err, syscall.EBUSY) {
		t.Errorf("%v", err)
	}
	for _, other := range []error{nil, os.ErrExist} {
		if got := Explain(other, log); got != other { //nolint:errorlint // the same one
			t.Errorf("%v became %v", other, got)
		}
	}
	gone := Explain(errGone, log)
	if !errors.Is(gone, errGone) || !strings.Contains(gone.Error(), "x.c:5") {
		t.Errorf("%v", gone)
	}
	if err := Explain(&Error{Kind: Restore, Message: "said"}, log+"x"); err.Error() != "criu restore: said" {
		t.Errorf("%v", err)
	}
}
