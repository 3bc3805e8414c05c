package specconv

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/plan"
)

// execCase is testdata/exec/<case>/case.json.
type execCase struct {
	Facts         string
	Target        Target
	PreserveFDs   int
	ConsoleSocket string
	PidfdSocket   string
}

func execCases(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/exec/*/case.json")
	if err != nil || len(paths) < 8 {
		t.Fatalf("%d golden cases of exec, %v", len(paths), err)
	}
	var out []string
	for _, p := range paths {
		out = append(out, filepath.Base(filepath.Dir(p)))
	}
	return out
}

func readFile(t testing.TB, path string) []byte {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

// readExecCase decodes a case anew each time. Its config is that of a golden case
// of create with the same name, or its own.
func readExecCase(t testing.TB, name string) ExecInput {
	t.Helper()
	dir := filepath.Join("testdata", "exec", name)
	var g execCase
	dec := json.NewDecoder(bytes.NewReader(readFile(t, filepath.Join(dir, "case.json"))))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	spec, errs := ociconfig.DecodeSpec(readFile(t, filepath.Join(dir, "container.json")))
	if err := errs.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	process, errs := ociconfig.DecodeProcess(readFile(t, filepath.Join(dir, "process.json")))
	if err := errs.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return ExecInput{ID: "golden", Spec: spec, Process: process, Facts: readFacts(t, g.Facts), Target: g.Target, PreserveFDs: g.PreserveFDs,
		ConsoleSocket: g.ConsoleSocket, PidfdSocket: g.PidfdSocket}
}

func TestGoldenExec(t *testing.T) {
	for _, name := range execCases(t) {
		t.Run(name, func(t *testing.T) {
			res, err := CompileExec(readExecCase(t, name))
			got := ""
			if err != nil {
				got = errorText(t, err)
			} else {
				got = printed(res)
				wire := checkPlan(t, name, res.Plan)
				again, err := CompileExec(readExecCase(t, name))
				if err != nil || !bytes.Equal(wire, again.Plan.Encode()) {
					t.Errorf("the same input gives two plans: %v", err)
				}
			}
			path := filepath.Join("testdata", "exec", name, "want")
			if *update {
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			if diff := firstDiff(string(readFile(t, path)), got); diff != "" {
				t.Errorf("%s: %s\n(go test -run TestGoldenExec -update, and review)", path, diff)
			}
		})
	}
}

// What FillProcess takes from the container, and nothing else.
func TestFillProcess(t *testing.T) {
	adj := 5
	container := &specs.Process{Args: []string{"init"}, Env: []string{"A=1"}, Cwd: "/srv", Terminal: true, NoNewPrivileges: true,
		User:            specs.User{UID: 7, AdditionalGids: []uint32{8}},
		Capabilities:    &specs.LinuxCapabilities{Bounding: []string{"CAP_KILL"}},
		Rlimits:         []specs.POSIXRlimit{{Type: "RLIMIT_CORE"}},
		ApparmorProfile: "a", SelinuxLabel: "s", OOMScoreAdj: &adj, Scheduler: &specs.Scheduler{Policy: "SCHED_BATCH"},
		IOPriority: &specs.LinuxIOPriority{Class: "IOPRIO_CLASS_IDLE"}, ExecCPUAffinity: &specs.CPUAffinity{Final: "0"}}
	got := FillProcess(container, &specs.Process{Args: []string{"x"}})
	want := *container
	want.Args, want.Env, want.Cwd, want.Terminal, want.NoNewPrivileges, want.User = []string{"x"}, nil, "", false, false, specs.User{}
	if !reflect.DeepEqual(*got, want) {
		t.Errorf("got  %+v\nwant %+v", *got, want)
	}
	full := &specs.Process{Args: []string{"y"}, Cwd: "/", Capabilities: &specs.LinuxCapabilities{}, Rlimits: []specs.POSIXRlimit{{Type: "RLIMIT_CPU"}},
		ApparmorProfile: "b", SelinuxLabel: "t", OOMScoreAdj: new(int), Scheduler: &specs.Scheduler{}, IOPriority: &specs.LinuxIOPriority{},
		ExecCPUAffinity: &specs.CPUAffinity{}}
	if got := FillProcess(container, full); !reflect.DeepEqual(got, full) {
		t.Errorf("what the process says itself is changed: %+v", got)
	}
	if got := FillProcess(nil, full); !reflect.DeepEqual(got, full) {
		t.Errorf("without a process of the container: %+v", got)
	}
}

// Whatever namespaces a container has, an exec joins exactly those, with one
// call, and goes on in a sibling exactly when there is a pid namespace.
func TestExecJoinsEveryNamespace(t *testing.T) {
	for mask := range 1 << len(nsTypes) {
		in := ExecInput{ID: "x", Facts: readFacts(t, "hybrid-6.18"), Process: &specs.Process{Args: []string{"p"}, Cwd: "/"}, Target: Target{Pid: 9, Start: 8}}
		in.Spec = &specs.Spec{Version: specs.Version, Root: &specs.Root{Path: "r"}, Process: in.Process, Linux: &specs.Linux{}}
		var want uint64
		for i, ns := range nsTypes {
			if mask>>i&1 != 0 {
				want |= ns.flag
				in.Spec.Linux.Namespaces = append(in.Spec.Linux.Namespaces, specs.LinuxNamespace{Type: ns.name})
			}
		}
		if want&plan.NewUser != 0 {
			ids := []specs.LinuxIDMapping{{HostID: 100000, Size: 65536}}
			in.Spec.Linux.UIDMappings, in.Spec.Linux.GIDMappings = ids, ids
		}
		res, err := CompileExec(in)
		if err != nil {
			t.Fatalf("%#x: %v", want, err)
		}
		var joined uint64
		calls, forks, roots := 0, 0, 0
		for i := range res.Plan.Ops {
			switch op := &res.Plan.Ops[i]; op.Code {
			case plan.OpNsEnter:
				calls++
				joined |= op.Num[0]
			case plan.OpFork:
				forks++
			case plan.OpRootOpen:
				roots++
			case plan.OpNsJoin, plan.OpUnshare, plan.OpCgroupMake, plan.OpStateSave, plan.OpRootPivot:
				t.Errorf("%#x: an exec has the op %s", want, op.Code.Name())
			}
		}
		if joined != want || calls != min(1, int(want)) {
			t.Errorf("namespaces %#x: joined %#x with %d calls", want, joined, calls)
		}
		if (forks == 1) != (want&plan.NewPID != 0) || forks > 1 {
			t.Errorf("namespaces %#x: %d forks", want, forks)
		}
		if (roots == 1) != (want&plan.NewNS == 0) {
			t.Errorf("namespaces %#x: the root is opened %d times", want, roots)
		}
	}
}

// Labels are written before anything is joined, and the last write closes the handle:
// in the container's pid namespace nothing of the host's is open or in sight.
func TestExecLabelComesFirst(t *testing.T) {
	in := readExecCase(t, "labels")
	in.Process.SelinuxLabel, in.Facts.SELinux = "u:r:t:s0", true
	in.Facts.AppArmorProfiles = append(in.Facts.AppArmorProfiles, in.Process.ApparmorProfile)
	res, err := CompileExec(in)
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for i := range res.Plan.Ops {
		switch c := res.Plan.Ops[i].Code; c {
		case plan.OpNsEnter, plan.OpRootEnter, plan.OpFork, plan.OpProcOpen, plan.OpLsmExec:
			names = append(names, c.Name())
		}
	}
	if want := []string{"proc-open", "lsm-exec", "lsm-exec", "ns-enter", "root-enter", "fork"}; !slices.Equal(names, want) {
		t.Errorf("got %s", strings.Join(names, " "))
	}
	if text := res.Plan.Format(); strings.Count(text, "close") < 2 {
		t.Errorf("the handle is not closed:\n%s", text)
	}
}
