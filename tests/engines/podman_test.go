package engines

import (
	"os"
	"os/exec"
	"sync"
	"testing"
)

// forTests is what podman needs to know of this machine, beside contrib's file.
const forTests = `[containers]
log_driver = "k8s-file"
default_ulimits = ["nofile=1024:1024", "nproc=1024:1024"] # not above what this host allows
[engine]
cgroup_manager = "cgroupfs"
events_logger = "file"
[network]
network_backend = "cni"
`

var podmanOnce = sync.OnceValue(func() error {
	if err := installFiles([][2]string{{"podman/tare.conf", "/etc/containers/containers.conf.d/tare.conf"}}); err != nil {
		return err
	}
	return os.WriteFile("/etc/containers/containers.conf.d/tests.conf", []byte(forTests), 0o644)
})

// needPodman configures podman and imports the image, for root.
func needPodman(t *testing.T) {
	t.Helper()
	needEngines(t)
	if err := podmanOnce(); err != nil {
		t.Fatal(err)
	}
	if exec.Command("podman", "image", "exists", "box").Run() == nil {
		return
	}
	if out, err := exec.Command("podman", "import", "--change", "CMD=/bin/sh", "--change", "ENV=PATH=/usr/sbin:/usr/bin:/sbin:/bin", images+"/box.tar", "box").CombinedOutput(); err != nil {
		t.Fatalf("podman import: %v\n%s", err, out)
	}
}

// TestPodman runs the scripts for podman and buildah.
func TestPodman(t *testing.T) {
	needPodman(t)
	runScripts(t, "podman")
}
