package integration

import (
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// link is what ip(8) says of a network device.
type link struct {
	Name    string `json:"ifname"`
	MTU     int
	Address string
	Flags   []string
	Addrs   []struct {
		Local  string
		Prefix int `json:"prefixlen"`
		Scope  string
	} `json:"addr_info"`
}

// ip runs ip(8), in the network namespace of a process unless pid is 0.
func ip(b *box, pid int, args string) string {
	b.t.Helper()
	argv := append([]string{"ip"}, strings.Fields(args)...)
	if pid != 0 {
		argv = append([]string{"nsenter", "--net=" + procPath(pid, "ns/net")}, argv...)
	}
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		b.t.Fatalf("%v: %v\n%s", argv, err, out)
	}
	return string(out)
}

func links(b *box, pid int) map[string]link {
	b.t.Helper()
	var list []link
	b.must(json.Unmarshal([]byte(ip(b, pid, "-json address")), &list))
	out := map[string]link{}
	for _, l := range list {
		out[l.Name] = l
	}
	return out
}

// veth makes a device with an address, and its peer; both are gone when the test is.
func veth(b *box, name string) link {
	b.t.Helper()
	ip(b, 0, "link add "+name+" type veth peer name p"+name)
	b.t.Cleanup(func() { unlink(name) })
	ip(b, 0, "link set "+name+" mtu 1390 up")
	ip(b, 0, "address add 192.0.2.77/24 dev "+name)
	ip(b, 0, "-6 address add 2001:db8::77/64 dev "+name+" nodad")
	return links(b, 0)[name]
}

// unlink deletes a pair by its second end, which the kernel may have destroyed
// already, or is destroying, with the namespace of the first.
func unlink(name string) { _ = exec.Command("ip", "link", "delete", "p"+name).Run() }

func netDevices(d map[string]string) func(*specs.Spec) {
	return func(s *specs.Spec) {
		s.Linux.NetDevices = map[string]specs.LinuxNetDevice{}
		for name, to := range d {
			s.Linux.NetDevices[name] = specs.LinuxNetDevice{Name: to}
		}
	}
}

func hasAddress(l link, text string) bool {
	for _, a := range l.Addrs {
		if a.Local == text && a.Scope == "global" {
			return true
		}
	}
	return false
}

// TestNetDevices moves a device into a new namespace, into one of a user
// namespace, and into one that is joined. A createRuntime hook finds it there.
func TestNetDevices(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no network devices")
	}
	for _, kind := range []string{"new", "user", "joined"} {
		t.Run(kind, func(t *testing.T) {
			b := newBox(t, prober("quiet", "pause"), netDevices(map[string]string{"itv0": "eth7"}))
			was := veth(b, "itv0")
			seenByHook := b.dir + "/seen"
			b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Env: []string{"PATH=/bin:/usr/bin:/usr/sbin:/sbin"}, Args: []string{"sh", "-c",
				`pid=$(sed 's/.*"pid":\([0-9]*\).*/\1/') && nsenter --net=/proc/$pid/ns/net ip -oneline link show eth7 >` + seenByHook}}}}
			var h holder
			switch kind {
			case "user":
				b.edit(userNamespace(100000))
				b.own(100000)
			case "joined":
				h = hold(b, unix.CLONE_NEWNET)
				b.edit(withNamespace(specs.NetworkNamespace, h.path(specs.NetworkNamespace)))
			}
			b.create()
			if text := readText(t, seenByHook); !strings.Contains(text, "eth7") || !strings.Contains(text, "UP") {
				t.Errorf("the hook saw %q", text)
			}
			got := links(b, b.pid)["eth7"]
			expect(t, "MTU", got.MTU, 1390)
			expect(t, "hardware address", got.Address, was.Address)
			if !hasAddress(got, "192.0.2.77") || !hasAddress(got, "2001:db8::77") {
				t.Errorf("addresses are %v", got.Addrs)
			}
			if l, ok := links(b, 0)["itv0"]; ok {
				t.Errorf("the host still has %v", l)
			}
			b.start()
			b.kill("KILL")
			b.remove()
			if kind == "joined" {
				// It is the namespace's own, which lives on (config-linux.md).
				if _, ok := links(b, h.pid)["eth7"]; !ok {
					t.Error("delete took the device out of a namespace that is not its own")
				}
			}
		})
	}
}

func TestNetDeviceTemplate(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no network devices")
	}
	b := newBox(t, prober("quiet", "pause"), netDevices(map[string]string{"itv1": "net%d", "itv2": "net%d", "itv3": ""}))
	for _, n := range []string{"itv1", "itv2", "itv3"} {
		ip(b, 0, "link add "+n+" type veth peer name p"+n)
		t.Cleanup(func() { unlink(n) })
	}
	b.create()
	l := links(b, b.pid)
	for _, n := range []string{"net0", "net1", "itv3", "lo"} {
		if _, ok := l[n]; !ok {
			t.Errorf("no %s among %v", n, l)
		}
	}
	b.remove("--force")
	b.until("the kernel to destroy the devices with their namespace", func() bool { _, ok := links(b, 0)["pitv1"]; return !ok })
}

// TestNetDeviceGivenBack: whatever makes create fail, the device is where and what
// it was.
func TestNetDeviceGivenBack(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no network devices")
	}
	b := newBox(t)
	was := veth(b, "itv4")
	back := func(why string) {
		t.Helper()
		got, ok := links(b, 0)["itv4"]
		if !ok {
			t.Fatalf("%s: the device is gone", why)
		}
		if got.Address != was.Address || got.MTU != was.MTU || !hasAddress(got, "192.0.2.77") || !hasAddress(got, "2001:db8::77") || strings.Contains(strings.Join(got.Flags, " "), "UP") == false {
			t.Errorf("%s: came back as %+v, was %+v", why, got, was)
		}
	}
	b.edit(netDevices(map[string]string{"itv4": "eth0", "nosuch": "eth1"}))
	b.createFails(`linux.netDevices["nosuch"]`, "no such device", "netdev-move")
	back("another device is missing")

	b.edit(netDevices(map[string]string{"itv4": "lo"}))
	b.createFails(`linux.netDevices["itv4"] "itv4": the name "lo" is taken in the container's network namespace`)
	back("the name is taken")

	b.edit(netDevices(map[string]string{"itv4": "eth0"}))
	b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/false"}}}
	b.createFails("hooks.createRuntime[0]")
	back("a hook fails")

	b.spec.Hooks = nil
	b.edit(args("/not/there"))
	b.createFails("/not/there")
	back("the program is missing")
	b.runFails("/not/there")
	back("run: the program is missing")

	b.edit(withNamespace(specs.NetworkNamespace, "/proc/self/ns/net"))
	b.createFails("linux.namespaces[1].path", "is the runtime's own namespace")
	back("the namespace is the host's")
	b.edit(withoutNamespace(specs.NetworkNamespace))
	b.createFails("linux.netDevices: needs a network namespace")
}

// TestNetDeviceOfAKilledCreate: what a create that was killed has moved goes with
// the namespace, as the kernel does it, and nothing else stays.
func TestNetDeviceOfAKilledCreate(t *testing.T) {
	if !isTare {
		t.Skip("runc 1.1 has no network devices")
	}
	b := newBox(t, netDevices(map[string]string{"itv5": "eth0"}))
	veth(b, "itv5")
	b.spec.Hooks = &specs.Hooks{CreateRuntime: []specs.Hook{{Path: "/bin/sh", Args: []string{"sh", "-c", "kill -9 $PPID"}}}}
	b.writeConfig()
	expect(t, "exit code", b.call("create", "--bundle", b.bundle, b.id).Code, 128+9)
	if _, ok := links(b, 0)["itv5"]; ok {
		t.Error("the device had not been moved")
	}
	b.ok("delete", "--force", b.id)
	b.until("the kernel to destroy the device with its namespace", func() bool { _, ok := links(b, 0)["pitv5"]; return !ok })
}
