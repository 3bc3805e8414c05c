package initc

import (
	"os/exec"
	"testing"
)

// TestListenerThread makes the init's one other thread, on this machine and in
// emulation: its beginning is a few lines for each machine.
func TestListenerThread(t *testing.T) {
	flags := []string{"-std=gnu17", "-g", "-O1", "-Wall", "-Wextra", "-Werror", "-I" + initDir, "-DTARE_HOSTED", "-fno-builtin", "-static"}
	for _, c := range []struct{ name, cc, qemu string }{{"thread", "gcc", ""}, {"thread-arm64", "aarch64-linux-gnu-gcc", "qemu-aarch64-static"}} {
		t.Run(c.name, func(t *testing.T) {
			program := build(t, c.name, c.cc, flags, "testdata/thread_driver.c", initDir+"/lib.c")
			cmd := exec.Command(program)
			if c.qemu != "" {
				if _, err := exec.LookPath(c.qemu); err != nil {
					t.Skipf("this host lacks qemu-user: %v", err)
				}
				cmd = exec.Command(c.qemu, program)
			}
			if out, err := cmd.CombinedOutput(); err != nil {
				t.Errorf("%v\n%s", err, out)
			}
		})
	}
}
