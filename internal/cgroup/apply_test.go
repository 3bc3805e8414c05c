package cgroup

import (
	"errors"
	"slices"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// What has to be written to have an old value back, for each form of a file.
func TestOldLines(t *testing.T) {
	const throttled = "7:0 1000\n7:1 2000"
	for _, c := range []struct {
		name, value, text string
		want              []string
	}{
		{"pids.max", "7", "max", []string{"max"}},
		{"memory.limit_in_bytes", "4096", "9223372036854771712", []string{"9223372036854771712"}},
		{"cpu.max", "5000 10000", "max 100000", []string{"max 100000"}},
		{"cpuset.cpus", "0", "", []string{""}},
		{"memory.oom_control", "1", "oom_kill_disable 0\nunder_oom 0\noom_kill 3", []string{"0"}},
		{"blkio.throttle.read_bps_device", "7:1 5", throttled, []string{"7:1 2000"}},
		{"blkio.throttle.read_bps_device", "7:2 5", throttled, []string{"7:2 0"}},
		{"blkio.bfq.weight_device", "8:0 500", "default 100", []string{"8:0 0"}},
		{"blkio.bfq.weight", "500", "100", []string{"100"}},
		{"net_prio.ifpriomap", "eth0 5", "lo 0\neth0 3", []string{"eth0 3"}},
		{"io.max", "8:0 rbps=1000", "8:0 rbps=max wbps=5 riops=max wiops=max", []string{"8:0 rbps=max wbps=5 riops=max wiops=max"}},
		{"io.max", "8:0 rbps=1000 wiops=3", "", []string{"8:0 rbps=max wiops=max"}},
		{"io.weight", "200", "default 100\n8:0 300", []string{"default 100"}},
		{"io.weight", "8:0 200", "default 100\n8:0 300", []string{"8:0 300"}},
		{"io.bfq.weight", "8:16 200", "default 100", []string{"8:16 default"}},
		{"rdma.max", "mlx4_0 hca_handle=2", "mlx4_0 hca_handle=max hca_object=9", []string{"mlx4_0 hca_handle=max hca_object=9"}},
		{"misc.max", "sev 3", "", []string{"sev max"}},
	} {
		if got := oldLines(c.name, c.value, c.text); !slices.Equal(got, c.want) {
			t.Errorf("%s=%q over %q: %q, want %q", c.name, c.value, c.text, got, c.want)
		}
	}
}

// Changes that are made can be taken back, and one that fails takes back those
// before it.
func TestApply(t *testing.T) {
	pids, cpu := with(t, "pids"), with(t, "cpu")
	rel := name(t)
	newCgroup(t, pids, rel)
	newCgroup(t, cpu, rel)
	p, c := pids.mount+rel, cpu.mount+rel
	show := func() [4]string {
		return [4]string{read(t, p+"/pids.max"), read(t, c+"/cpu.shares"), read(t, c+"/cpu.cfs_period_us"), read(t, c+"/cpu.cfs_quota_us")}
	}
	put(t, c+"/cpu.shares", "300")
	before := show()
	good := []Change{
		{Dir: p, File: "pids.none|pids.max", Value: "wrong|7"},
		{Dir: p, File: "pids.none|", Value: "8"},
		{Dir: c, File: "cpu.cfs_period_us", Value: "1", Optional: true}, // refused, which is fine
		{Dir: c, File: "cpu.cfs_quota_us", Value: "5000"},
		{Dir: c, File: "cpu.cfs_period_us", Value: "5000"},
		{Dir: c, File: "cpu.shares", Value: "500"},
		{Dir: c, File: "cpu.idle|", Value: "1"},
	}
	done, err := Apply(good)
	if err != nil {
		t.Fatal(err)
	}
	if got := show(); got[0] != "7" || got[2] != "5000" || got[3] != "5000" {
		t.Errorf("applied: %v", got)
	}
	if err := done.Undo(); err != nil || show() != before {
		t.Errorf("taken back: %v, %v, want %v", err, show(), before)
	}
	for _, bad := range []Change{
		{Dir: p, File: "pids.max", Value: "x"},
		{Dir: p, File: "pids.none", Value: "1"},
		{Dir: p, File: "../pids.max", Value: "1"},
		{Dir: "/", File: "etc", Value: "1"},
	} {
		_, err := Apply(append(slices.Clone(good), bad))
		var failed *ChangeError
		if !errors.As(err, &failed) || failed.Index != len(good) || failed.Undo != nil || show() != before {
			t.Errorf("%v: %v, %v", bad, err, show())
		}
	}
	if _, err := Apply([]Change{{Dir: p, File: "pids.max", Value: "x"}}); !errors.Is(err, unix.EINVAL) {
		t.Errorf("got %v", err)
	}
	removeNow(t, pids, rel)
	removeNow(t, cpu, rel)
}

func removeNow(t *testing.T, h hierarchy, rel string) {
	t.Helper()
	if err := Remove(h.mount, rel, nil, soon()); err != nil {
		t.Error(err)
	}
}

// The watch tells of each time that the memory ran out, and not of the removal.
func TestWatchOOM(t *testing.T) {
	h := with(t, "memory")
	rel := name(t)
	newCgroup(t, h, rel)
	put(t, h.mount+rel+"/memory.limit_in_bytes", "4194304")
	put(t, h.mount+rel+"/memory.memsw.limit_in_bytes", "4194304")
	w, err := WatchOOM(h.mount, rel)
	if err != nil {
		t.Fatal(err)
	}
	defer w.Close()
	if n, err := w.Count(); n != 0 || err != nil {
		t.Errorf("before: %d, %v", n, err)
	}
	c := start(t, "x=aaaaaaaaaaaaaaaa; while :; do x=$x$x; done", h.mount+rel)
	ready := func(ms int) bool {
		n, err := retry(func() (int, error) { return unix.Poll([]unix.PollFd{{Fd: int32(w.FD()), Events: unix.POLLIN}}, ms) })
		return err == nil && n == 1
	}
	if !ready(20000) {
		t.Fatal("nothing is told")
	}
	if n, err := w.Count(); n == 0 || err != nil {
		t.Errorf("after: %d, %v", n, err)
	}
	c.isDead(t)
	_, _ = w.Count() // it may have run out more than once
	removeNow(t, h, rel)
	if ready(200) {
		if n, err := w.Count(); n != 0 || err != nil {
			t.Errorf("removal: %d, %v", n, err)
		}
	}
}

// The parts of the counters that need no particular kernel.
func TestStatsOfV1(t *testing.T) {
	rel := name(t)
	var dirs []StatsDir
	made := map[string]hierarchy{}
	for _, controller := range []string{"cpu", "cpuacct", "memory", "pids", "cpuset", "blkio"} {
		h := with(t, controller)
		newCgroup(t, h, rel)
		made[controller] = h
		dirs = append(dirs, StatsDir{Dir: Dir{h.mount, rel}, Controllers: []string{controller}})
	}
	put(t, made["memory"].mount+rel+"/memory.limit_in_bytes", "67108864")
	put(t, made["pids"].mount+rel+"/pids.max", "50")
	c := start(t, "exec sleep 60", made["pids"].mount+rel, made["memory"].mount+rel, made["cpuacct"].mount+rel)
	for end := soon(); read(t, made["cpuacct"].mount+rel+"/cpuacct.usage") == "0" && time.Now().Before(end); {
		time.Sleep(time.Millisecond)
	}
	s, err := ReadStats(dirs)
	if err != nil {
		t.Fatal(err)
	}
	if s.Pids != (PidsStats{Current: 1, Limit: 50}) || s.Memory.Usage.Limit != 64<<20 || s.CPU.Total == 0 || len(s.CPU.PerCPU) == 0 ||
		valueOf(s.Memory.Raw, "hierarchical_memory_limit") != 64<<20 || s.CPUSet.SchedLoadBalance != 1 || s.CPUSet.SchedRelaxDomainLevel != -1 {
		t.Errorf("%+v", s)
	}
	if err := Kill(soon(), Dir{made["pids"].mount, rel}); err != nil {
		t.Error(err)
	}
	c.isDead(t)
	for _, h := range made {
		removeNow(t, h, rel)
	}
	if _, err := ReadStats(dirs); !IsGone(err) {
		t.Errorf("of a removed cgroup: %v", err)
	}
}

func TestDeviceAndNumbers(t *testing.T) {
	for text, want := range map[string]uint64{"0": 0, "42": 42, "max": ^uint64(0)} {
		if n, ok := parseNumber([]byte(text)); !ok || n != want {
			t.Errorf("%q: %d, %v", text, n, ok)
		}
	}
	for _, text := range []string{"", "-1", "1.5", "x"} {
		if n, ok := parseNumber([]byte(text)); ok {
			t.Errorf("%q: %d", text, n)
		}
	}
	if e, ok := device([]byte("259:3")); !ok || e.Major != 259 || e.Minor != 3 {
		t.Errorf("%+v, %v", e, ok)
	}
	if _, ok := device([]byte("Total")); ok {
		t.Error("Total is taken for a device")
	}
}
