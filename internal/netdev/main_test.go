package netdev

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"golang.org/x/sys/unix"
)

const insideEnv = "TARE_NETDEV_TEST_INSIDE"

// The tests run in a network namespace of their own, which stands for the host's.
func TestMain(m *testing.M) {
	if os.Geteuid() != 0 {
		fmt.Println("the tests of network devices need root: skipped")
		return
	}
	if os.Getenv(insideEnv) != "" {
		os.Exit(m.Run())
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdout, os.Stderr, append(os.Environ(), insideEnv+"=1")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET}
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// ip runs ip(8) here.
func ip(t *testing.T, args string) string {
	t.Helper()
	out, err := exec.Command("ip", strings.Fields(args)...).CombinedOutput()
	if err != nil {
		t.Fatalf("ip %s: %v\n%s", args, err, out)
	}
	return string(out)
}

// namespace is the container's side: a process that keeps one open.
type namespace struct {
	t   *testing.T
	pid int
}

func newNamespace(t *testing.T, flags uintptr) *namespace {
	t.Helper()
	cmd := exec.Command("sleep", "600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: unix.CLONE_NEWNET | flags}
	if flags&unix.CLONE_NEWUSER != 0 {
		ids := []syscall.SysProcIDMap{{ContainerID: 0, HostID: 100000, Size: 65536}}
		cmd.SysProcAttr.UidMappings, cmd.SysProcAttr.GidMappings = ids, ids
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	n := &namespace{t: t, pid: cmd.Process.Pid}
	t.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	return n
}

func (n *namespace) path() string { return fmt.Sprintf("/proc/%d/ns/net", n.pid) }

// ip runs ip(8) there.
func (n *namespace) ip(args string) string {
	n.t.Helper()
	out, err := exec.Command("nsenter", append([]string{"--net=" + n.path(), "ip"}, strings.Fields(args)...)...).CombinedOutput()
	if err != nil {
		n.t.Fatalf("ip %s in the namespace: %v\n%s", args, err, out)
	}
	return string(out)
}

// device is what ip -json address says.
type device struct {
	Name    string   `json:"ifname"`
	Index   int      `json:"ifindex"`
	Flags   []string `json:"flags"`
	MTU     int      `json:"mtu"`
	Address string   `json:"address"`
	Addrs   []struct {
		Local   string `json:"local"`
		Peer    string `json:"address"`
		Prefix  int    `json:"prefixlen"`
		Scope   string `json:"scope"`
		Label   string `json:"label"`
		Bcast   string `json:"broadcast"`
		Metric  int    `json:"metric"`
		NoRoute bool   `json:"noprefixroute"`
		Dynamic bool   `json:"dynamic"`
	} `json:"addr_info"`
}

func devices(t *testing.T, text string) map[string]device {
	t.Helper()
	var list []device
	if err := json.Unmarshal([]byte(text), &list); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	out := map[string]device{}
	for _, d := range list {
		out[d.Name] = d
	}
	return out
}

func here(t *testing.T) map[string]device { t.Helper(); return devices(t, ip(t, "-json address")) }

func (n *namespace) devices() map[string]device {
	n.t.Helper()
	return devices(n.t, n.ip("-json address"))
}

// global lists the addresses of global scope.
func (d device) global() string {
	var out []string
	for _, a := range d.Addrs {
		if a.Scope == "global" {
			s := fmt.Sprintf("%s/%d", a.Local, a.Prefix)
			if a.Peer != "" {
				s += " peer " + a.Peer
			}
			if a.Bcast != "" {
				s += " brd " + a.Bcast
			}
			if a.Label != "" && a.Label != d.Name {
				s += " label " + a.Label
			}
			if a.Metric != 0 {
				s += fmt.Sprintf(" metric %d", a.Metric)
			}
			if a.NoRoute {
				s += " noprefixroute"
			}
			out = append(out, s)
		}
	}
	return strings.Join(out, ", ")
}

func (d device) up() bool {
	for _, f := range d.Flags {
		if f == "UP" {
			return true
		}
	}
	return false
}
