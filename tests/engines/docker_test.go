package engines

import (
	"os"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
)

// needDocker starts the daemon and imports the image.
func needDocker(t *testing.T) {
	t.Helper()
	dockerd.need(t)
	if exec.Command("docker", "image", "inspect", "box").Run() == nil {
		return
	}
	if out, err := exec.Command("docker", "import", "--change", `CMD ["/bin/sh"]`, images+"/box.tar", "box").CombinedOutput(); err != nil {
		t.Fatalf("docker import: %v\n%s", err, out)
	}
}

// TestDocker runs the scripts for Docker.
func TestDocker(t *testing.T) {
	needDocker(t)
	runScripts(t, "docker")
}

// TestDockerLiveRestore kills the daemon under running containers.
func TestDockerLiveRestore(t *testing.T) {
	needDocker(t)
	var before, after [len(runtimes)]string
	for i, rt := range runtimes {
		before[i] = transcript("docker-restore", "before", rt)
	}
	if err := dockerd.end(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	for _, rt := range runtimes {
		pid, err := os.ReadFile(scratch + "/" + rt + "-ends")
		if err == nil {
			err = os.WriteFile("/proc/"+strings.TrimSpace(string(pid))+"/root"+"/tmp/go", nil, 0o644)
		}
		if err != nil {
			t.Error(err)
		}
	}
	if err := dockerd.start(); err != nil {
		t.Fatal(err)
	}
	for i, rt := range runtimes {
		after[i] = transcript("docker-restore", "after", rt)
	}
	judge(t, "docker-restore", "before", before)
	judge(t, "docker-restore", "after", after)
}

// TestDockerBuild builds images, with the daemon's default runtime, and with
// buildkit, which runs the program called runc that it finds.
func TestDockerBuild(t *testing.T) {
	needDocker(t)
	words := slices.Clone(dockerd.words)
	defer func() {
		dockerd.words, dockerd.env = words, nil
		restart(t, dockerd)
	}()
	if err := os.MkdirAll("/run/engines/named", 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("/usr/local/sbin/tare", "/run/engines/named/runc"); err != nil {
		t.Fatal(err)
	}
	var transcripts [len(runtimes)]string
	for i, rt := range runtimes {
		dockerd.words = append(slices.Clone(words), "--default-runtime="+rt)
		dockerd.env = nil
		if rt == "tare" {
			dockerd.env = []string{"PATH=/run/engines/named:" + os.Getenv("PATH")}
		}
		restart(t, dockerd)
		transcripts[i] = transcript("docker-build", "build", rt)
	}
	judge(t, "docker-build", "build", transcripts)
}

func restart(t *testing.T, d *daemon) {
	t.Helper()
	if err := d.end(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	if err := d.start(); err != nil {
		t.Fatal(err)
	}
}
