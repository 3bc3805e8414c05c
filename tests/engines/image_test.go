package engines

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// makeImages makes the one root file system, busybox with a few users, as a tar
// for Docker and as an OCI layout for the others. There is no registry.
func makeImages() error {
	root := images + "/root"
	for _, dir := range []string{"bin", "dev", "etc", "proc", "sys", "tmp", "root", "home", "var", "run", "mnt", "usr"} {
		if err := os.MkdirAll(filepath.Join(root, dir), 0o755); err != nil {
			return err
		}
	}
	if err := os.Chmod(root+"/tmp", 0o1777); err != nil {
		return err
	}
	files := map[string]string{
		"/etc/passwd": "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home:/bin/sh\n",
		"/etc/group":  "root:x:0:\nuser:x:1000:\nextra:x:2000:user\n",
		"/noexec":     "not executable\n",
	}
	for name, text := range files {
		if err := os.WriteFile(root+name, []byte(text), 0o644); err != nil {
			return err
		}
	}
	steps := [][]string{
		{"cp", "/bin/busybox", root + "/bin/busybox"},
		{"chroot", root, "/bin/busybox", "--install", "-s", "/bin"},
		{"tar", "-C", root, "-cf", images + "/box.tar", "."},
		{"umoci", "init", "--layout", images + "/layout"},
		{"umoci", "new", "--image", images + "/layout:box"},
		{"umoci", "insert", "--image", images + "/layout:box", root, "/"},
		{"umoci", "config", "--image", images + "/layout:box", "--config.cmd", "/bin/sh", "--config.env", "PATH=/usr/sbin:/usr/bin:/sbin:/bin"},
		// The sandbox image of CRI and of pods: nothing but a wait.
		{"umoci", "tag", "--image", images + "/layout:box", "pause"},
		{"umoci", "config", "--image", images + "/layout:pause", "--config.cmd", "/bin/sleep", "--config.cmd", "2147483647"},
		{"tar", "-C", images + "/layout", "-cf", images + "/layout.tar", "."},
	}
	for _, words := range steps {
		if out, err := exec.Command(words[0], words[1:]...).CombinedOutput(); err != nil {
			return fmt.Errorf("%s: %w\n%s", strings.Join(words, " "), err, out)
		}
	}
	return nil
}
