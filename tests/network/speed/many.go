package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// host is a network namespace that plays a host, and the hook's state there.
type host struct {
	ns    int // descriptor of the namespace, -1 for the one of this program
	state string
}

// in runs a command in a namespace, -1 for the one of this program, and returns
// what it took.
func in(ns int, cmd *exec.Cmd) (time.Duration, error) {
	start := time.Now
	if ns < 0 {
		begin := start()
		err := cmd.Run()
		return time.Since(begin), err
	}
	// A child has the namespace of the thread that starts it.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	own, err := unix.Open("/proc/thread-self/ns/net", unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(own)
	if err := unix.Setns(ns, unix.CLONE_NEWNET); err != nil {
		return 0, err
	}
	begin := start()
	err = cmd.Run()
	took := time.Since(begin)
	if back := unix.Setns(own, unix.CLONE_NEWNET); back != nil {
		panic(back) // the thread would be taken for one of the host
	}
	return took, err
}

// crowd is what attaches take on a host without other containers and on one with
// many, by turns: a shared machine drifts by more than the difference.
type crowd struct {
	alone, beside       series // one attach
	ipAlone, ipBeside   series // the kernel's part of it by iproute2: a veth pair, a port of the bridge, both ends up
	ratios              []float64
	cpuAlone, cpuBeside time.Duration // of all attaches
}

func (c *crowd) rounds() int { return len(c.alone) }

const crowdRounds = 30

// many attaches n containers to one host and then, by turns, one to an empty host
// and one more to this one.
func (b *bench) many(n int) (*crowd, error) {
	defer b.drop()
	pid, err := b.holder()
	if err != nil {
		return nil, err
	}
	ns, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, err
	}
	defer unix.Close(ns)
	full, empty := host{-1, b.dir + "/state"}, host{ns, b.dir + "/empty"}
	if _, err := in(ns, exec.Command("ip", "link", "set", "lo", "up")); err != nil {
		return nil, err
	}
	c := &crowd{}
	attach := func(h host, id string, port int) (took, cpu time.Duration, pid int, err error) {
		if pid, err = b.holder(); err != nil {
			return 0, 0, 0, err
		}
		b.cpu = 0
		took, err = b.netOf(h, "attach", id, strconv.Itoa(pid), "networks=web", fmt.Sprintf("ports=%d:80", port))
		return took, b.cpu, pid, err
	}
	if _, _, _, err := attach(empty, "first", 9999); err != nil { // makes the bridge
		return nil, err
	}
	if _, err := b.netOf(empty, "detach", "first"); err != nil {
		return nil, err
	}
	for i := range n {
		if _, _, _, err := attach(full, "m"+strconv.Itoa(i), 10000+i); err != nil {
			return nil, err
		}
	}
	for i := range crowdRounds {
		var wall, cpu, ip [2]time.Duration
		for turn := range 2 {
			k := (turn + i) % 2 // who comes first has what the other has left
			h, id := []host{empty, full}[k], "x"+strconv.Itoa(i)
			time.Sleep(150 * time.Millisecond) // the kernel is removing the links of the turn before
			if wall[k], cpu[k], pid, err = attach(h, id, 8000+i); err != nil {
				return nil, err
			}
			if _, err := b.netOf(h, "detach", id); err != nil {
				return nil, err
			}
			time.Sleep(150 * time.Millisecond)
			if ip[k], err = byHand(h, pid); err != nil {
				return nil, err
			}
		}
		c.alone, c.beside = append(c.alone, wall[0]), append(c.beside, wall[1])
		c.ipAlone, c.ipBeside = append(c.ipAlone, ip[0]), append(c.ipBeside, ip[1])
		c.ratios = append(c.ratios, float64(wall[1])/float64(wall[0]))
		c.cpuAlone, c.cpuBeside = c.cpuAlone+cpu[0], c.cpuBeside+cpu[1]
	}
	return c, nil
}

// byHand makes what every attach needs of the kernel, and removes it.
func byHand(h host, pid int) (time.Duration, error) {
	inside, err := unix.Open(fmt.Sprintf("/proc/%d/ns/net", pid), unix.O_RDONLY|unix.O_CLOEXEC, 0)
	if err != nil {
		return 0, err
	}
	defer unix.Close(inside)
	add, err := in(h.ns, exec.Command("ip", "link", "add", "hand0", "up", "master", "brweb", "type", "veth", "peer", "name", "hand1", "netns", strconv.Itoa(pid)))
	if err != nil {
		return 0, fmt.Errorf("ip link add: %w", err)
	}
	up, err := in(inside, exec.Command("ip", "link", "set", "hand1", "up"))
	if err != nil {
		return 0, fmt.Errorf("ip link set up: %w", err)
	}
	_, err = in(h.ns, exec.Command("ip", "link", "del", "hand0"))
	return add + up, err
}

// mountState puts the state of both on a tmpfs, which /run is where systemd has
// started the machine.
func mountState(dir string) error {
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return err
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "mode=700"); err != nil {
		return err
	}
	return os.MkdirAll(filepath.Join(dir, "nets"), 0o755)
}
