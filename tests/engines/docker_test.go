package engines

import (
	"os/exec"
	"testing"
)

// TestDocker runs the scripts for Docker.
func TestDocker(t *testing.T) {
	dockerd.need(t)
	if out, err := exec.Command("docker", "import", "--change", `CMD ["/bin/sh"]`, images+"/box.tar", "box").CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
	runScripts(t, "docker")
}
