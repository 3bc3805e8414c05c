package cgroup

import (
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// The cost of one container: its cgroup in every hierarchy. The plain variant
// makes and opens; the comparison does the same with the fewest system calls
// that can do it at all, one each, on paths that nothing has verified.

func BenchmarkContainer(b *testing.B) {
	all := hierarchies(b)
	b.Logf("%d hierarchies", len(all))
	rel := name(b)
	created := make([][]string, len(all))
	var makeTime, removeTime time.Duration
	b.ReportAllocs()
	for b.Loop() {
		t0 := time.Now()
		for i, h := range all {
			file := "tasks"
			if h.v2 {
				file = ""
			}
			fd, made, err := MakeJoin(h.mount, rel, file, strings.Contains(h.names, "cpuset"))
			if err != nil {
				b.Fatal(err)
			}
			unix.Close(fd)
			created[i] = made
		}
		t1 := time.Now()
		for i, h := range all {
			if err := Remove(h.mount, rel, created[i], t1.Add(time.Second)); err != nil {
				b.Fatal(err)
			}
		}
		makeTime += t1.Sub(t0)
		removeTime += time.Since(t1)
	}
	report(b, makeTime, removeTime)
}

func BenchmarkFewestCalls(b *testing.B) {
	all := hierarchies(b)
	rel := name(b)
	var makeTime, removeTime time.Duration
	for b.Loop() {
		t0 := time.Now()
		for _, h := range all {
			if err := unix.Mkdir(h.mount+rel, 0o755); err != nil {
				b.Fatal(err)
			}
			fd, err := unix.Open(h.mount+rel+"/cgroup.procs", unix.O_WRONLY|unix.O_CLOEXEC, 0)
			if err != nil {
				b.Fatal(err)
			}
			unix.Close(fd)
		}
		t1 := time.Now()
		for _, h := range all {
			if err := unix.Rmdir(h.mount + rel); err != nil {
				b.Fatal(err)
			}
		}
		makeTime += t1.Sub(t0)
		removeTime += time.Since(t1)
	}
	report(b, makeTime, removeTime)
}

func report(b *testing.B, makeTime, removeTime time.Duration) {
	b.ReportMetric(float64(makeTime.Microseconds())/float64(b.N), "make-µs/op")
	b.ReportMetric(float64(removeTime.Microseconds())/float64(b.N), "remove-µs/op")
}

// BenchmarkDeviceRules writes the default list of 12 lines.
func BenchmarkDeviceRules(b *testing.B) {
	h := with(b, "devices")
	rel := name(b)
	newCgroup(b, h, rel)
	lines := strings.Split("c *:* m,b *:* m,c 1:3 rwm,c 1:8 rwm,c 1:7 rwm,c 5:0 rwm,c 1:5 rwm,c 1:9 rwm,c 136:* rwm,c 5:2 rwm,c 10:200 rwm", ",")
	dir := h.mount + rel
	for b.Loop() {
		var w Writer
		if err := w.Write(dir, "devices.deny", "a"); err != nil {
			b.Fatal(err)
		}
		for _, l := range lines {
			if err := w.Write(dir, "devices.allow", l); err != nil {
				b.Fatal(err)
			}
		}
		w.Close()
	}
}
