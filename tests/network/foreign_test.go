package network

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/hooks/network/record"
)

// N-34: beside a Docker daemon, whose rules drop what they do not know.
func TestN34Docker(t *testing.T) {
	need(t, "dockerd", "containerd", "docker", "iptables")
	l := newLab(t)
	dir := l.dir + "/docker"
	l.must(os.MkdirAll(dir, 0o755))
	log, err := os.Create(filepath.Join(l.dir, "dockerd.log"))
	l.must(err)
	defer log.Close()
	host := "unix://" + dir + "/docker.sock"
	cmd := exec.Command("nsenter", "--net=/run/netns/"+l.h, "dockerd", "--data-root", dir+"/data", "--exec-root", dir+"/exec", "--pidfile", dir+"/pid",
		"--host", host, "--storage-driver", "vfs", "--group", "root")
	cmd.Stdout, cmd.Stderr = log, log
	l.must(cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM) // it ends its containerd too
		_ = cmd.Wait()
	})
	docker := func(args ...string) result { return run(nil, append([]string{"docker", "--host", host}, args...)...) }
	l.waitFor("dockerd", func() bool {
		if syscall.Kill(cmd.Process.Pid, 0) != nil || docker("info").code == 0 {
			return true
		}
		return false
	})
	// A network of its own with isolation between bridges, as compose makes one.
	if r := docker("network", "create", "--subnet", "10.201.0.0/24", "other"); r.code != 0 {
		said, _ := os.ReadFile(log.Name())
		t.Fatalf("docker: %s\n%s", r.err, said)
	}
	l.server(l.w, "80")
	rules := func() string {
		r := l.in(l.h, "iptables-save")
		return counters.ReplaceAllString(r.out, "") + r.err
	}
	before := rules()
	for _, part := range []string{":FORWARD DROP", "-A FORWARD -j DOCKER-USER", "DOCKER-ISOLATION-STAGE-1"} {
		if !strings.Contains(before, part) {
			t.Fatalf("dockerd has made other rules than expected, %q is missing:\n%s", part, before)
		}
	}
	l.before = l.picture()
	l.web("")
	c := l.box("c1", "networks=web", "ports=8080:80").up()
	l.works(c, "beside dockerd")
	var more []string
	for _, line := range lines(difference(before, rules())) {
		if !strings.Contains(line, "+ -A DOCKER-USER ") || !strings.Contains(line, "tare-net:forward:brweb") {
			more = append(more, line)
		}
	}
	if len(more) > 0 {
		t.Errorf("Docker's rules have changed:\n%s", strings.Join(more, "\n"))
	}
	// Docker goes on with its own, and takes nothing of ours with it.
	if r := docker("network", "rm", "other"); r.code != 0 {
		t.Errorf("docker network rm: %s", r.err)
	}
	l.works(c, "after a network of Docker has gone")
	if r := docker("network", "create", "--subnet", "10.201.0.0/24", "--opt", "com.docker.network.bridge.name=br-again", "other"); r.code != 0 {
		t.Errorf("docker network create: %s", r.err)
	}
	l.works(c, "after another one has come")
	docker("network", "rm", "other")
	c.down()
	l.tn("net", "rm", "web")
	if after := rules(); strings.Contains(after, "tare-net") {
		t.Errorf("left in Docker's rules:\n%s", after)
	}
	l.before = l.picture()
}

// N-34: ufw is left alone, and what it would drop passes.
func TestN34Ufw(t *testing.T) {
	need(t, "ufw")
	l := newLab(t)
	// Its configuration as it was installed; what it writes is seen by nobody else.
	l.must(os.MkdirAll(l.dir+"/ufw", 0o755))
	l.must(os.MkdirAll(l.dir+"/ufw-work", 0o755))
	l.must(unix.Mount("overlay", "/etc/ufw", "overlay", 0, fmt.Sprintf("lowerdir=/etc/ufw,upperdir=%[1]s/ufw,workdir=%[1]s/ufw-work", l.dir)))
	_, there := os.Stat("/run/ufw.lock")
	t.Cleanup(func() {
		if err := unix.Unmount("/etc/ufw", 0); err != nil {
			t.Error(err)
		}
		if there != nil {
			_ = os.Remove("/run/ufw.lock") // made by ufw, if at all
		}
	})
	ufw := func(args ...string) string {
		t.Helper()
		r := l.in(l.h, append([]string{"ufw"}, args...)...)
		if r.code != 0 {
			t.Fatalf("ufw %s: %s%s", strings.Join(args, " "), r.out, r.err)
		}
		return r.out
	}
	ufw("--force", "enable")
	ufw("reload") // which makes more rules than enable
	l.server(l.w, "80")
	rules := func() string {
		return l.in(l.h, "iptables", "-S").out + l.in(l.h, "ip6tables", "-S").out + l.in(l.h, "iptables", "-t", "nat", "-S").out
	}
	if !strings.Contains(rules(), "-P FORWARD DROP") {
		t.Fatalf("ufw drops nothing:\n%s", rules())
	}
	before := rules()
	l.before = l.picture()
	l.web("")
	c := l.box("c1", "networks=web", "ports=8080:80").up()
	l.works(c, "with ufw")
	ufw("reload")
	l.works(c, "after ufw reload")
	if r := l.net("check"); r.code != 0 {
		t.Errorf("check: %s", r.err)
	}
	if now := ufw("status"); !strings.Contains(now, "Status: active") {
		t.Errorf("ufw says: %s", now)
	}
	c.down()
	l.tn("net", "rm", "web")
	if after := rules(); after != before {
		t.Errorf("left in ufw's rules:\n%s", difference(before, after))
	}
	// Enabled later, it cuts off what was there; that is found, and mended.
	ufw("disable")
	l.web("")
	c = l.box("c2", "networks=web", "ports=8080:80").up()
	l.works(c, "without ufw")
	ufw("--force", "enable")
	if r := l.net("check"); r.code != 1 || !strings.Contains(r.err, "policy DROP") {
		t.Errorf("check: %d %s", r.code, r.err)
	}
	l.tn("reload")
	l.works(c, "after reload")
	c.down()
	l.tn("net", "rm", "web")
	l.before = l.picture()
}

// Links of others that have such a name as ours are not removed, whatever they are.
func TestN34ForeignLinks(t *testing.T) {
	l := newLab(t)
	l.web("")
	l.tn("attach", "c", itoa(l.sleeper()), "networks=web")
	foreign := []string{"tvaaaaaaaaaaaaa", "tvbbbbbbbbbbbbb", "tvccccccccccccc", "tiddddddddddddd", "tieeeeeeeeeeeee"}
	l.ip("-n", l.h, "link", "add", foreign[0], "type", "veth", "peer", "name", "peer0")
	l.ip("-n", l.h, "link", "add", foreign[1], "type", "bridge")
	l.ip("-n", l.h, "link", "add", foreign[2], "type", "ifb")
	l.ip("-n", l.h, "link", "add", foreign[3], "type", "ifb")
	l.ip("-n", l.h, "link", "add", foreign[4], "type", "veth", "peer", "name", "peer1")
	if out := l.tn("gc"); out != "" {
		t.Errorf("gc: %s", out)
	}
	// The name that a container's link is to have is taken.
	name := record.LinkName(record.Key("web", "d", "eth0"))
	l.ip("-n", l.h, "link", "add", name, "type", "bridge")
	if r := l.net("attach", "d", itoa(l.sleeper()), "networks=web"); r.code == 0 || !strings.Contains(r.err, name) {
		t.Errorf("attach: %d %s", r.code, r.err)
	}
	l.tn("detach", "c")
	for _, name := range append(foreign, name) {
		if l.in(l.h, "ip", "link", "del", name).code != 0 {
			t.Errorf("%s has gone", name)
		}
	}
}
