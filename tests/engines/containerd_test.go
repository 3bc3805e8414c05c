package engines

import (
	"os"
	"os/exec"
	"strings"
	"testing"
)

// network is what pods get: a bridge of their own, without a way out.
const network = `{"cniVersion": "0.4.0", "name": "pods", "plugins": [
 {"type": "bridge", "bridge": "cni0", "isGateway": true, "ipMasq": false, "ipam": {"type": "host-local", "ranges": [[{"subnet": "10.77.0.0/16"}]]}}]}`

// needContainerd starts the daemon and imports the images.
func needContainerd(t *testing.T) {
	t.Helper()
	containerd.need(t)
	for _, words := range [][]string{
		{"ctr", "images", "import", "--base-name", "docker.io/library/box", images + "/layout.tar"},
		{"ctr", "-n", "k8s.io", "images", "import", "--base-name", "docker.io/library/box", images + "/layout.tar"},
		{"ctr", "-n", "k8s.io", "images", "tag", "--force", "docker.io/library/box:pause", "registry.k8s.io/pause:3.6"},
	} {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", strings.Join(words, " "), err, out)
		}
	}
}

// TestContainerd runs the scripts for ctr.
func TestContainerd(t *testing.T) {
	needContainerd(t)
	runScripts(t, "containerd")
}

// TestCRI runs pods through containerd's interface for Kubernetes.
func TestCRI(t *testing.T) {
	needContainerd(t)
	runScripts(t, "cri")
}

// prepareContainerd is what a host of pods has beside the daemon's configuration.
func prepareContainerd() error {
	if err := os.MkdirAll("/etc/cni/net.d", 0o755); err != nil {
		return err
	}
	if err := os.WriteFile("/etc/cni/net.d/10-pods.conflist", []byte(network), 0o644); err != nil || resources() {
		return err
	}
	// The sandbox asks for a lower OOM score than this host lets anybody have.
	const file, section = "/etc/containerd/config.toml", "[plugins.\"io.containerd.grpc.v1.cri\"]\n"
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	return os.WriteFile(file, []byte(strings.Replace(string(data), section, section+"  restrict_oom_score_adj = true\n", 1)), 0o644)
}
