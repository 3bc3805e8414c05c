// speed measures tare-net beside Debian's chain of CNI plugins, in interleaved
// rounds of one run: a shared machine drifts, ratios of neighbours do not.
//
// Each attach makes a bridge port with one IPv4 address, a default route and one
// published port, and each detach removes them. The plugins are run as a runtime
// that knows them by heart would: no library, no configuration to find.
package main

import (
	"bytes"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sort"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

var (
	hook   = flag.String("hook", "./tare-net", "the hook")
	rounds = flag.Int("rounds", 30, "measured rounds")
	live   = flag.Int("live", 1000, "attachments that stay, for the figure with many")
	out    = flag.String("out", "", "file to write, Markdown")
)

func main() {
	flag.Parse()
	if os.Getenv("TARE_SPEED_INSIDE") == "" {
		cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
		cmd.Stdout, cmd.Stderr, cmd.Env = os.Stdout, os.Stderr, append(os.Environ(), "TARE_SPEED_INSIDE=1")
		// The host that is measured is this namespace; nothing outside is touched.
		cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET | syscall.CLONE_NEWNS}
		if err := cmd.Run(); err != nil {
			os.Exit(1)
		}
		return
	}
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "speed:", err)
		os.Exit(1)
	}
}

type bench struct {
	dir, hook string
	holders   []*exec.Cmd
	mu        sync.Mutex
	cpu       time.Duration // of all programs since it was last set to 0
}

// holder is a process in a namespace of its own.
func (b *bench) holder() (int, error) {
	cmd := exec.Command("sleep", "3600")
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	b.holders = append(b.holders, cmd)
	return cmd.Process.Pid, nil
}

func (b *bench) drop() {
	for _, h := range b.holders {
		_ = h.Process.Kill()
		_ = h.Wait()
	}
	b.holders = nil
}

func (b *bench) net(args ...string) (time.Duration, error) {
	return b.netOf(host{-1, b.dir + "/state"}, args...)
}

func (b *bench) netOf(h host, args ...string) (time.Duration, error) {
	cmd := exec.Command(b.hook, append([]string{"--state", h.state, "--config", b.dir + "/nets", "--netns", b.dir + "/netns"}, args...)...)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	took, err := in(h.ns, cmd)
	if cmd.ProcessState != nil {
		b.mu.Lock()
		b.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
		b.mu.Unlock()
	}
	if err != nil {
		return took, fmt.Errorf("tare-net %v: %w: %s", args, err, errs.String())
	}
	return took, nil
}

// plugin runs one plugin with the result of the one before.
func (b *bench) plugin(verb, name, id, netns string, conf map[string]any, prev json.RawMessage) (json.RawMessage, error) {
	conf["cniVersion"], conf["name"], conf["type"] = "1.0.0", "speed", name
	if prev != nil {
		conf["prevResult"] = prev
	}
	in, err := json.Marshal(conf)
	if err != nil {
		return nil, err
	}
	cmd := exec.Command("/usr/lib/cni/" + name)
	cmd.Stdin = bytes.NewReader(in)
	var errs bytes.Buffer
	cmd.Stderr = &errs
	cmd.Env = append(os.Environ(), "CNI_COMMAND="+verb, "CNI_CONTAINERID="+id, "CNI_NETNS="+netns, "CNI_IFNAME=eth0", "CNI_PATH=/usr/lib/cni")
	o, err := cmd.Output()
	if cmd.ProcessState != nil { // with the programs that it has waited for
		b.cpu += cmd.ProcessState.UserTime() + cmd.ProcessState.SystemTime()
	}
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w: %s%s", name, verb, err, o, errs.String())
	}
	return o, nil
}

func (b *bench) bridge() map[string]any {
	return map[string]any{"bridge": "cni0", "isGateway": true, "ipMasq": true, "ipam": map[string]any{"type": "host-local", "dataDir": b.dir + "/leases",
		"ranges": [][]map[string]string{{{"subnet": "10.22.0.0/16"}}}, "routes": []map[string]string{{"dst": "0.0.0.0/0"}}}}
}

func portmap(port int) map[string]any {
	return map[string]any{"snat": true, "runtimeConfig": map[string]any{"portMappings": []map[string]any{{"hostPort": port, "containerPort": 80, "protocol": "tcp"}}}}
}

func (b *bench) add(id string, pid, port int) (time.Duration, json.RawMessage, error) {
	netns := fmt.Sprintf("/proc/%d/ns/net", pid)
	start := time.Now()
	res, err := b.plugin("ADD", "bridge", id, netns, b.bridge(), nil)
	if err == nil {
		res, err = b.plugin("ADD", "portmap", id, netns, portmap(port), res)
	}
	return time.Since(start), res, err
}

func (b *bench) del(id string, pid, port int, prev json.RawMessage) (time.Duration, error) {
	netns := fmt.Sprintf("/proc/%d/ns/net", pid)
	start := time.Now()
	_, err := b.plugin("DEL", "portmap", id, netns, portmap(port), prev)
	if err == nil {
		_, err = b.plugin("DEL", "bridge", id, netns, b.bridge(), prev)
	}
	return time.Since(start), err
}

type series []time.Duration

func (s series) at(q float64) time.Duration {
	c := append(series{}, s...)
	sort.Slice(c, func(i, j int) bool { return c[i] < c[j] })
	return c[int(q*float64(len(c)-1))]
}

func ms(d time.Duration) string {
	return strconv.FormatFloat(float64(d.Microseconds())/1000, 'f', 1, 64)
}

func run() error {
	dir, err := os.MkdirTemp("/run", "tare-net-speed-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if err := mountState(dir); err != nil {
		return err
	}
	defer func() { _ = syscall.Unmount(dir, syscall.MNT_DETACH) }()
	b := &bench{dir: dir}
	defer b.drop()
	if b.hook, err = filepath.Abs(*hook); err != nil {
		return err
	}
	if err := os.WriteFile(dir+"/nets/web.json", []byte(`{"name":"web","bridge":"brweb","subnets":[{"subnet":"172.30.0.0/16"}]}`), 0o644); err != nil {
		return err
	}
	if err := exec.Command("ip", "link", "set", "lo", "up").Run(); err != nil {
		return err
	}
	var attach, detach, cniAdd, cniDel series
	var ratioUp, ratioDown []float64
	var cpuUs, cpuThem time.Duration
	for i := range *rounds + 2 {
		pid, err := b.holder()
		if err != nil {
			return err
		}
		other, err := b.holder()
		if err != nil {
			return err
		}
		id := "c" + strconv.Itoa(i)
		// The kernel takes the namespaces of the round before apart in the
		// background, under the lock that everything here needs.
		time.Sleep(150 * time.Millisecond)
		var a, ca, d, cd, us, them time.Duration
		var res json.RawMessage
		ours := func(took *time.Duration, args ...string) (err error) {
			b.cpu = 0
			*took, err = b.net(args...)
			us += b.cpu
			return err
		}
		theirs := func(f func() error) error {
			b.cpu = 0
			err := f()
			them += b.cpu
			return err
		}
		steps := []func() error{
			func() error {
				return ours(&a, "attach", id, strconv.Itoa(pid), "networks=web", fmt.Sprintf("ports=%d:80", 20000+i))
			},
			func() error {
				return theirs(func() (err error) { ca, res, err = b.add(id, other, 30000+i); return err })
			},
			func() error { return ours(&d, "detach", id) },
			func() error {
				return theirs(func() (err error) { cd, err = b.del(id, other, 30000+i, res); return err })
			},
		}
		if i%2 == 1 { // who comes first has what the other has left
			steps[0], steps[1], steps[2], steps[3] = steps[1], steps[0], steps[3], steps[2]
		}
		for _, step := range steps {
			if err := step(); err != nil {
				return err
			}
		}
		b.drop()
		if i < 2 {
			continue // the first ones make bridges, tables and chains
		}
		cpuUs, cpuThem = cpuUs+us, cpuThem+them
		attach, detach, cniAdd, cniDel = append(attach, a), append(detach, d), append(cniAdd, ca), append(cniDel, cd)
		ratioUp, ratioDown = append(ratioUp, float64(ca)/float64(a)), append(ratioDown, float64(cd)/float64(d))
	}
	hundredUp, hundredDown, err := b.hundred()
	if err != nil {
		return err
	}
	many, err := b.many(*live)
	if err != nil {
		return err
	}
	sort.Float64s(many.ratios)
	var t strings.Builder
	fmt.Fprintf(&t, "%d interleaved rounds on %d processors that %s other programs waited for, Linux %s; milliseconds of wall time, with the start of every program.\n\n", *rounds, runtime.NumCPU(), load(), kernel())
	t.WriteString("| | tare-net, median | p90 | CNI bridge+portmap, median | p90 | ratio of the medians | median of the ratios |\n|---|---|---|---|---|---|---|\n")
	row := func(what string, a, c series, r []float64) {
		sort.Float64s(r)
		fmt.Fprintf(&t, "| %s | %s | %s | %s | %s | **1/%.1f** | 1/%.1f |\n", what, ms(a.at(.5)), ms(a.at(.9)), ms(c.at(.5)), ms(c.at(.9)), float64(c.at(.5))/float64(a.at(.5)), r[len(r)/2])
	}
	row("attach", attach, cniAdd, ratioUp)
	row("detach", detach, cniDel, ratioDown)
	fmt.Fprintf(&t, "| processor time of both | %s | | %s | | **1/%.1f** | |\n", ms(cpuUs/time.Duration(*rounds)), ms(cpuThem/time.Duration(*rounds)), float64(cpuThem)/float64(cpuUs))
	fmt.Fprintf(&t, "\n100 attaches started at once took %s ms, 100 detaches %s ms.\n\n", ms(hundredUp), ms(hundredDown))
	by := time.Duration(many.rounds())
	fmt.Fprintf(&t, "| median of %d rounds by turns | alone | beside %d containers | ratio of the medians | median of the ratios |\n|---|---|---|---|---|\n", many.rounds(), *live)
	fmt.Fprintf(&t, "| attach | %s | %s | **%.2f** | %.2f |\n", ms(many.alone.at(.5)), ms(many.beside.at(.5)), float64(many.beside.at(.5))/float64(many.alone.at(.5)), many.ratios[len(many.ratios)/2])
	fmt.Fprintf(&t, "| its processor time, mean | %s | %s | %.2f | |\n", ms(many.cpuAlone/by), ms(many.cpuBeside/by), float64(many.cpuBeside)/float64(many.cpuAlone))
	fmt.Fprintf(&t, "| `ip link add … master BRIDGE … netns PID` and both ends up | %s | %s | %.2f | |\n", ms(many.ipAlone.at(.5)), ms(many.ipBeside.at(.5)), float64(many.ipBeside.at(.5))/float64(many.ipAlone.at(.5)))
	fmt.Print(t.String())
	if *out == "" {
		return nil
	}
	return section(*out, t.String())
}

// section replaces what stands between two marks of a document.
func section(file, text string) error {
	const begin, end = "<!-- speed: begin -->\n", "<!-- speed: end -->"
	data, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	head, rest, ok := strings.Cut(string(data), begin)
	_, tail, found := strings.Cut(rest, end)
	if !ok || !found {
		return fmt.Errorf("%s: has no marks %q", file, begin)
	}
	return os.WriteFile(file, []byte(head+begin+text+end+tail), 0o644)
}

func (b *bench) hundred() (up, down time.Duration, err error) {
	defer b.drop()
	const n = 100
	var pids []int
	for range n {
		pid, err := b.holder()
		if err != nil {
			return 0, 0, err
		}
		pids = append(pids, pid)
	}
	all := func(f func(i int) error) (time.Duration, error) {
		var wg sync.WaitGroup
		errs := make(chan error, n)
		start := time.Now()
		for i := range n {
			wg.Add(1)
			go func() {
				defer wg.Done()
				if err := f(i); err != nil {
					errs <- err
				}
			}()
		}
		wg.Wait()
		took := time.Since(start)
		select {
		case err := <-errs:
			return took, err
		default:
			return took, nil
		}
	}
	up, err = all(func(i int) error {
		_, err := b.net("attach", fmt.Sprint("h", i), strconv.Itoa(pids[i]), "networks=web")
		return err
	})
	if err != nil {
		return 0, 0, err
	}
	leases, _ := filepath.Glob(b.dir + "/state/nets/web/ip/*")
	if len(leases) != n {
		return 0, 0, fmt.Errorf("%d leases for %d containers", len(leases), n)
	}
	down, err = all(func(i int) error { _, err := b.net("detach", fmt.Sprint("h", i)); return err })
	return up, down, err
}

// load is the number of runnable processes, averaged over a minute.
func load() string {
	b, _ := os.ReadFile("/proc/loadavg")
	one, _, _ := strings.Cut(string(b), " ")
	return one
}

func kernel() string {
	var u syscall.Utsname
	if syscall.Uname(&u) != nil {
		return "?"
	}
	var b []byte
	for _, c := range u.Release {
		if c == 0 {
			break
		}
		b = append(b, byte(c))
	}
	return string(b)
}
