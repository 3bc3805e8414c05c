package allowance

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"testing"

	"github.com/tare-oci/tare/tests/cgroupview"
	"github.com/tare-oci/tare/tests/syscalltrace"
)

var update = flag.Bool("update", false, "write what is counted into allowance.json")

const file = "allowance.json"

// What may be on top of the file's figures. Processes, programs, opened files and
// lists of mounts are exact.
const (
	callsTolerance  = 3  // per cent of the system calls
	threadTolerance = 1  // threads: the Go scheduler may start one more
	faultTolerance  = 10 // per cent of the page faults
	readTolerance   = 3  // per cent of the bytes read
	readSlack       = 64 // bytes on top of these: pids and times are of different lengths
	sizeTolerance   = 2  // per cent of a program's size
)

// allowance is the file.
type allowance struct {
	Commands map[string]command `json:"commands"`
	Sizes    map[string]int64   `json:"programBytes"`
	Inits    map[string]initial `json:"packagesBeforeMain"` // of the program that every command starts
}

// command is what one command may take.
type command struct {
	syscalltrace.Counts
	Faults int64 `json:"minorFaults"` // of the command and the descendants that it waits for
}

// initial is what a package may do before main.
type initial struct {
	Allocations int `json:"allocations"`
	Bytes       int `json:"bytes"`
}

func TestMain(m *testing.M) {
	flag.Parse()
	if os.Geteuid() == 0 {
		if err := cgroupview.Isolate(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
	}
	os.Exit(m.Run())
}

// recorded reads the file; with -update it is written from what t's tests count.
func recorded(t *testing.T) *allowance {
	t.Helper()
	a := &allowance{}
	text, err := os.ReadFile(file)
	if err == nil {
		err = json.Unmarshal(text, a)
	}
	if err != nil && !*update {
		t.Fatal(err)
	}
	return a
}

// write saves a changed file.
func (a *allowance) write(t *testing.T) {
	t.Helper()
	text, err := json.MarshalIndent(a, "", "\t")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// figure is one count beside its allowance.
type figure struct {
	what                 string
	got, want, tolerance int64
}

// figures pairs what was counted with what is allowed.
func figures(g, w command) []figure {
	return []figure{
		{"system calls", int64(g.Calls), int64(w.Calls), percent(int64(w.Calls), callsTolerance)},
		{"processes", int64(g.Processes), int64(w.Processes), 0},
		{"programs executed", int64(g.Execs), int64(w.Execs), 0},
		{"threads", int64(g.Threads), int64(w.Threads), threadTolerance},
		{"files opened", int64(g.Opened), int64(w.Opened), 0},
		{"lists of mounts read", int64(g.Mountinfo), int64(w.Mountinfo), 0},
		{"bytes read", g.BytesRead, w.BytesRead, percent(w.BytesRead, readTolerance) + readSlack},
		{"writes to a cgroup.procs", int64(g.ProcsWrites), int64(w.ProcsWrites), 0},
		{"page faults", g.Faults, w.Faults, percent(w.Faults, faultTolerance)},
	}
}

// holds reports whether every figure of every command is within the allowance.
func (a *allowance) holds(got map[string]command) bool {
	for name, g := range got {
		for _, f := range figures(g, a.Commands[name]) {
			if f.got > f.want+f.tolerance {
				return false
			}
		}
	}
	return true
}

// within reports an error when got is more than want and the tolerance.
func within(t *testing.T, what string, got, want, tolerance int64) {
	t.Helper()
	if got > want+tolerance {
		t.Errorf("%s: %d, the allowance is %d and %d on top: find out what grew; if it has to, go test ./tests/allowance -update", what, got, want, tolerance)
	}
}

// percent returns so many per cent of n, rounded up.
func percent(n, per int64) int64 { return (n*per + 99) / 100 }

// built returns the absolute path of a file that make has built.
func built(t *testing.T, name string) string {
	t.Helper()
	path, err := filepath.Abs(filepath.Join("../..", name))
	if name == "tare" && os.Getenv("TARE") != "" {
		path, err = os.Getenv("TARE"), nil
	}
	if err == nil {
		_, err = os.Stat(path)
	}
	if err != nil {
		t.Fatalf("%v: run make first", err)
	}
	return path
}

func TestCommandsStayWithinTheAllowance(t *testing.T) {
	h := openHost(t)
	a := recorded(t)
	got := map[string]command{}
	for range attempts {
		if h.measure(t, got); !*update && a.holds(got) {
			break
		}
	}
	if *update {
		a.Commands = got
		a.write(t)
		return
	}
	if !slices.Equal(slices.Sorted(maps.Keys(got)), slices.Sorted(maps.Keys(a.Commands))) {
		t.Fatalf("%s has other commands than are measured: go test ./tests/allowance -update", file)
	}
	for _, name := range slices.Sorted(maps.Keys(got)) {
		for _, f := range figures(got[name], a.Commands[name]) {
			within(t, name+": "+f.what, f.got, f.want, f.tolerance)
		}
		t.Logf("%-8s %+v", name, got[name])
	}
}

// A guard that sees nothing grow guards nothing.
func TestMoreThanTheAllowanceIsSeen(t *testing.T) {
	w := command{Counts: syscalltrace.Counts{Calls: 100, Processes: 2, Threads: 3, Opened: 10, BytesRead: 1000}, Faults: 200}
	a := &allowance{Commands: map[string]command{"run": w}}
	for what, change := range map[string]func(*command){
		"":                    func(g *command) { g.Calls, g.Threads, g.Faults, g.BytesRead = 103, 4, 220, 1094 },
		"a process":           func(g *command) { g.Processes++ },
		"4 per cent of calls": func(g *command) { g.Calls = 104 },
		"an opened file":      func(g *command) { g.Opened++ },
		"two threads":         func(g *command) { g.Threads += 2 },
		"11 per cent faults":  func(g *command) { g.Faults = 222 },
		"100 bytes":           func(g *command) { g.BytesRead += 100 },
		"cgroup.procs":        func(g *command) { g.ProcsWrites++ },
	} {
		g := w
		change(&g)
		if holds := a.holds(map[string]command{"run": g}); holds != (what == "") {
			t.Errorf("%q more: within the allowance is %v", what, holds)
		}
	}
}

func TestProgramsStayWithinTheAllowance(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skipf("the sizes in %s are those for amd64", file)
	}
	a := recorded(t)
	got := map[string]int64{}
	for name, path := range map[string]string{"tare": built(t, "tare"), "tare-net": built(t, "tare-net"), "init": built(t, "internal/initbin/bin/amd64/init")} {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		got[name] = info.Size()
	}
	if *update {
		a.Sizes = got
		a.write(t)
		return
	}
	for name, size := range got {
		within(t, name+": bytes", size, a.Sizes[name], percent(a.Sizes[name], sizeTolerance))
	}
}
