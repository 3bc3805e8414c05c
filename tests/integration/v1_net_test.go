//go:build vm

package integration

import (
	"fmt"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestV1NetClass: the traffic of a container with a class id is held to a class
// of the kernel's traffic control, by the classifier that reads the id; that of a
// container without one is not.
func TestV1NetClass(t *testing.T) {
	const rate, size = 1 << 20, 512 << 10 // bits per second, bytes
	peer := "tare-peer"
	hostRun(t, "modprobe", "cls_cgroup")
	hostRun(t, "ip", "netns", "add", peer)
	t.Cleanup(func() { // after the containers have been looked at
		hostRun(t, "ip", "netns", "del", peer)
		hostRun(t, "umount", "/run/netns")
	})
	for _, line := range []string{
		"ip link add tare0 type veth peer name eth0 netns " + peer,
		"ip addr add 10.9.8.1/24 dev tare0", "ip link set tare0 up",
		"ip -n " + peer + " addr add 10.9.8.2/24 dev eth0", "ip -n " + peer + " link set eth0 up",
		"tc qdisc add dev tare0 root handle 1: htb default 20",
		fmt.Sprintf("tc class add dev tare0 parent 1: classid 1:10 htb rate %dbit burst 16k", rate),
		"tc class add dev tare0 parent 1: classid 1:20 htb rate 1gbit",
		"tc filter add dev tare0 parent 1: protocol ip prio 10 handle 1: cgroup",
	} {
		hostRun(t, strings.Fields(line)...)
	}
	send := func(class uint32, port int) (seconds float64) {
		sink := exec.Command("ip", "netns", "exec", peer, "busybox", "nc", "-l", "-p", strconv.Itoa(port))
		var got strings.Builder
		sink.Stdout = &got
		open, err := sink.StdinPipe() // at its end the listener would hang up
		if err != nil {
			t.Fatal(err)
		}
		defer open.Close()
		if err := sink.Start(); err != nil {
			t.Fatal(err)
		}
		timer := time.AfterFunc(patience, func() { _ = sink.Process.Kill() })
		defer timer.Stop()
		b := newBox(t, withoutNamespace(specs.NetworkNamespace))
		b.spec.Mounts = b.spec.Mounts[:len(b.spec.Mounts)-1] // sysfs wants the network namespace
		if class != 0 {
			b.spec.Linux.Resources.Network = &specs.LinuxNetwork{ClassID: &class}
		}
		b.shellOf(fmt.Sprintf("cat </data | busybox nc 10.9.8.2 %d", port))
		b.put("data", strings.Repeat("x", size), 0o644)
		b.until("the listener", func() bool {
			out, err := hostCommand("ip", "netns", "exec", peer, "cat", "/proc/net/tcp6", "/proc/net/tcp")
			return err == nil && strings.Contains(out, fmt.Sprintf(":%04X ", port))
		})
		began := time.Now()
		if r := b.run(); r.Code != 0 {
			t.Fatalf("exit code %d\n%s", r.Code, r.Stderr)
		}
		// What the container has left to the kernel still has to arrive.
		if err := sink.Wait(); err != nil || got.Len() != size {
			t.Errorf("%d bytes have arrived, expected %d; %v", got.Len(), size, err)
		}
		return time.Since(began).Seconds()
	}
	sent := func(class string) int64 {
		out := hostRun(t, "tc", "-s", "class", "show", "dev", "tare0", "classid", class)
		_, rest, _ := strings.Cut(out, "Sent ")
		n, err := strconv.ParseInt(strings.Fields(rest + " x")[0], 10, 64)
		if err != nil {
			t.Fatalf("tc printed %q", out)
		}
		return n
	}
	free := send(0, 9001)
	if n := sent("1:10"); n != 0 {
		t.Errorf("%d bytes without a class id went to the class", n)
	}
	held := send(0x00010010, 9002)
	if n := sent("1:10"); n < size {
		t.Errorf("%d bytes went to the class, expected %d and more", n, size)
	}
	if held < 3 || held < free { // 512 KiB at 128 KiB per second, but for a burst
		t.Errorf("sending took %.1f s with the class and %.1f s without, expected 4 s and little", held, free)
	}
}
