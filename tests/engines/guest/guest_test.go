//go:build vm

package guest

import (
	"embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"
)

//go:embed scripts
var scripts embed.FS

// patience is how long an engine may take to serve, in emulation.
const patience = 6 * time.Minute

var paths = map[string]string{"runc": "/usr/sbin/runc", "tare": "/usr/local/sbin/tare"}

// machine is what all engines need, box the root file system of their images.
const machine = `
cp "$TARE" /usr/local/sbin/tare && chmod 755 /usr/local/sbin/tare
ip link set lo up
modprobe -a overlay veth
mkdir -p /srv/engines /box/bin /box/dev /box/etc /box/proc /box/sys /box/tmp /box/mnt
cp /bin/busybox /box/bin && chroot /box /bin/busybox --install -s /bin
echo root:x:0:0:root:/:/bin/sh >/box/etc/passwd
tar -C /box -cf /srv/engines/box.tar .
`

// daemons are Docker's and containerd's. The sandbox image of the CRI is the same
// one with another command.
const daemons = `
mkdir -p /etc/docker /etc/containerd
cat >/etc/docker/daemon.json <<END
{"runtimes": {"tare": {"path": "/usr/local/sbin/tare"}}, "exec-opts": ["native.cgroupdriver=systemd"], "experimental": true}
END
sed 's/SystemdCgroup = false/SystemdCgroup = true/' /srv/engines/containerd.toml >/etc/containerd/config.toml
cat >>/etc/containerd/config.toml <<END
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc.options]
      SystemdCgroup = true
END
systemd-run --quiet --unit containerd containerd
systemd-run --quiet --unit dockerd dockerd --bridge=none --iptables=false
until docker version && ctr version; do sleep 0.3; done
docker import /srv/engines/box.tar box
docker import --change 'CMD ["/bin/sleep", "2147483647"]' /srv/engines/box.tar registry.k8s.io/pause:3.6
docker save box | ctr images import -
docker save box registry.k8s.io/pause:3.6 | ctr -n k8s.io images import -
`

// podmans is podman of root and of a user, who has a manager of his own.
const podmans = `
podman import --quiet --change CMD=/bin/sh /srv/engines/box.tar box
useradd --create-home --uid 4321 --shell /bin/sh tester
for f in /etc/subuid /etc/subgid; do grep -q ^tester: $f || echo tester:500000:65536 >>$f; done
systemctl start user@4321.service
setpriv --reuid=4321 --regid=4321 --clear-groups env -i HOME=/home/tester USER=tester XDG_RUNTIME_DIR=/run/user/4321 PATH="$PATH" \
	podman import --quiet --change CMD=/bin/sh /srv/engines/box.tar box
`

// TestMain makes the machine.
func TestMain(m *testing.M) {
	if err := sh(machine); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(m.Run())
}

// prepare is what the scripts of an engine need, made once.
var prepare = map[bool]func() error{
	false: sync.OnceValue(func() error { return sh(daemons) }),
	true:  sync.OnceValue(func() error { return sh(podmans) }),
}

// usesPodman says which of them that is.
func usesPodman(script string) bool { return script == "podman" || script == "rootless" }

// sh runs a script that has to succeed.
func sh(script string) error {
	cmd := exec.Command("timeout", fmt.Sprint(patience.Seconds()), "sh", "-ec", script)
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("%w\n%s", err, out)
	}
	return nil
}

// TestEngines runs each script with both runtimes.
func TestEngines(t *testing.T) {
	if err := os.CopyFS("/srv/engines/run", scripts); err != nil {
		t.Fatal(err)
	}
	files, err := filepath.Glob("/srv/engines/run/scripts/*.sh")
	if err != nil || len(files) == 0 {
		t.Fatalf("no scripts: %v", err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sh")
		want, err := os.ReadFile(strings.TrimSuffix(file, ".sh") + ".want")
		if err != nil {
			t.Fatal(err)
		}
		for rt, path := range paths {
			t.Run(name+"-"+rt, func(t *testing.T) {
				if err := prepare[usesPodman(name)](); err != nil {
					t.Fatal(err)
				}
				before, start := left(t), time.Now()
				defer func() { t.Logf("%.0f s", time.Since(start).Seconds()) }()
				cmd := exec.Command("timeout", fmt.Sprint(patience.Seconds()), "sh", file)
				cmd.Env = append(os.Environ(), "RT="+rt, "RTPATH="+path, "N="+name+"-"+rt)
				out, err := cmd.CombinedOutput()
				if err != nil {
					t.Error(err)
				}
				if got := normal(string(out), rt, name+"-"+rt); got != string(want) {
					t.Errorf("printed\n%s\nand not\n%s", got, want)
				}
				if after := left(t); after != before {
					t.Errorf("left behind: before\n%s\nand after\n%s", before, after)
				}
			})
		}
	}
}

// left is what a container could leave in the machine: units, mounts, states.
func left(t *testing.T) string {
	t.Helper()
	out, err := exec.Command("sh", "-c", "systemctl list-units --all --plain --no-legend --type scope | cut -d ' ' -f 1; "+
		"cut -d ' ' -f 2 /proc/mounts | sort; find /run/tare /run/docker/runtime-tare /run/containerd/runc -name '*.json' 2>/dev/null || :").Output()
	if err != nil {
		t.Fatal(err)
	}
	return string(out)
}

var longID = regexp.MustCompile(`\b[0-9a-f]{64}\b`)

// normal replaces what differs in every run.
func normal(text, rt, name string) string {
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), name, "NAME")
	return regexp.MustCompile(`\b`+rt+`\b`).ReplaceAllString(longID.ReplaceAllString(text, "ID"), "RUNTIME")
}
