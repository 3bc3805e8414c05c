package initc

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
)

// The directory of the built programs; TestMain removes it.
var buildDir string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "init-test")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	buildDir = dir
	code := m.Run()
	os.RemoveAll(dir)
	os.Exit(code)
}

const (
	initDir = "../../init"
	driver  = "testdata/reader_driver.c"
)

// hosted are the flags of the sanitizer build. Every finding ends the program.
var hosted = []string{"-std=gnu17", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-I" + initDir, "-DTARE_HOSTED", "-fno-builtin", "-fno-omit-frame-pointer",
	"-fsanitize=address,undefined", "-fno-sanitize-recover=all"}

// build compiles C files once for a test binary and returns the program.
func build(t testing.TB, name, cc string, flags []string, sources ...string) string {
	t.Helper()
	if _, err := exec.LookPath(cc); err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	program := filepath.Join(buildDir, name)
	if _, err := os.Stat(program); err == nil {
		return program
	}
	args := append(append([]string{}, flags...), "-o", program)
	if out, err := exec.Command(cc, append(args, sources...)...).CombinedOutput(); err != nil {
		t.Fatalf("%s: %v\n%s", name, err, out)
	}
	return program
}

// reader is a running reader_driver. One that ends early has been stopped by a
// sanitizer, and its words are the failure.
type reader struct {
	name   string
	in     io.WriteCloser
	out    io.Reader
	cmd    *exec.Cmd
	stderr bytes.Buffer
	mu     sync.Mutex
}

func sanitizedReader(t testing.TB) *reader {
	t.Helper()
	program := build(t, "reader", "gcc", hosted, driver, initDir+"/reader.c", initDir+"/lib.c")
	return startReader(t, "the init's reader", program)
}

func startReader(t testing.TB, name string, words ...string) *reader {
	t.Helper()
	r := &reader{name: name, cmd: exec.Command(words[0], words[1:]...)}
	r.cmd.Stderr = &r.stderr
	r.cmd.Env = append(os.Environ(), "ASAN_OPTIONS=detect_leaks=0")
	var err error
	if r.in, err = r.cmd.StdinPipe(); err != nil {
		t.Fatal(err)
	}
	if r.out, err = r.cmd.StdoutPipe(); err != nil {
		t.Fatal(err)
	}
	if err = r.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		r.in.Close()
		if err := r.cmd.Wait(); err != nil {
			t.Errorf("%s: %v\n%s", r.name, err, r.stderr.String())
		}
	})
	return r
}

// verdict is 0 where the plan is accepted.
func (r *reader) verdict(t testing.TB, plan []byte) byte {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	n := uint32(len(plan))
	frame := append([]byte{byte(n), byte(n >> 8), byte(n >> 16), byte(n >> 24)}, plan...)
	if _, err := r.in.Write(frame); err != nil {
		t.Fatalf("%s has died: %v\n%s", r.name, err, r.stderr.String())
	}
	var v [1]byte
	if _, err := io.ReadFull(r.out, v[:]); err != nil {
		r.cmd.Wait()
		t.Fatalf("%s has died on a plan of %d bytes: %v\n%s", r.name, len(plan), err, r.stderr.String())
	}
	return v[0]
}

func initSources(t testing.TB) []string {
	t.Helper()
	files, err := filepath.Glob(initDir + "/*.c")
	if err != nil || len(files) < 10 {
		t.Fatalf("%d C files in %s (%v)", len(files), initDir, err)
	}
	return files
}

func lines(s string) []string { return strings.Split(strings.TrimSpace(s), "\n") }
