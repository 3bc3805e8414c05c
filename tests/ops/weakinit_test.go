package ops

import (
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/initbin"
)

// open opens the init that runs the plan.
func (b *box) open() (int, error) {
	if b.weak == "" {
		return initbin.Open()
	}
	return unix.Open(b.weak, unix.O_RDONLY|unix.O_CLOEXEC, 0)
}

// weakened builds an init without one of its protections, by the flags of the real one:
// in one of its files, old becomes replacement, and so on in pairs. The same plan, run by it, has to succumb
// to the attack that the real one withstands; so it is the protection that holds, and a
// test would notice its loss. Where the source says something else by now, the test
// fails, and has to be thought about.
func weakened(t *testing.T, file string, pairs ...string) string {
	t.Helper()
	dir := t.TempDir()
	sources, err := filepath.Glob("../../init/*.[ch]")
	if err != nil || len(sources) == 0 {
		t.Fatalf("no sources of the init: %v", err)
	}
	for _, s := range sources {
		data, err := os.ReadFile(s)
		if err != nil {
			t.Fatal(err)
		}
		text := string(data)
		if filepath.Base(s) == file {
			for i := 0; i < len(pairs); i += 2 {
				if n := strings.Count(text, pairs[i]); n != 1 {
					t.Fatalf("init/%s has the protection %d times:\n%s", file, n, pairs[i])
				}
				text = strings.Replace(text, pairs[i], pairs[i+1], 1)
			}
		}
		if err := os.WriteFile(dir+"/"+filepath.Base(s), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	c, err := filepath.Glob(dir + "/*.c")
	if err != nil {
		t.Fatal(err)
	}
	program := dir + "/" + runtime.GOARCH + "/init"
	out, err := exec.Command("make", "-s", "-C", "../..", "INIT_BIN="+dir, "INIT_SRC="+strings.Join(c, " "), "INIT_HDR=", program).CombinedOutput()
	if err != nil {
		t.Fatalf("a weakened init: %v\n%s", err, out)
	}
	return program
}
