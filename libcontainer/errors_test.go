package libcontainer

import (
	"errors"
	"io/fs"
	"syscall"
	"testing"

	"github.com/tare-oci/tare/internal/initproto"
	"github.com/tare-oci/tare/internal/plan"
)

// The errors of ops name field, value, call and reason; those of the program
// have the words that engines turn into exit codes.
func TestReportErrors(t *testing.T) {
	var p plan.Plan
	p.Add(plan.PathMask("linux.maskedPaths[3]", "/proc/kcore"))
	p.Add(plan.ExecFind("process.args[0]", "nope", "/bin"))
	p.Add(plan.Exec("process.args", []string{"/run.sh", "x"}))
	step := func(name string) uint32 {
		for i := uint32(0); i < 200; i++ {
			if plan.Step(i).String() == name {
				return i
			}
		}
		t.Fatalf("no step %q", name)
		return 0
	}
	for _, c := range []struct {
		r    initproto.Report
		want string
	}{
		{initproto.Report{Op: 0, Step: step("open_tree"), Errno: syscall.EACCES},
			`linux.maskedPaths[3] "/proc/kcore": open_tree: permission denied (op 0/3, path-mask)`},
		{initproto.Report{Op: 0, Step: step("fsconfig"), Errno: syscall.EINVAL, Detail: "tmpfs: Bad value for 'size'"},
			`linux.maskedPaths[3] "/proc/kcore": fsconfig: invalid argument: tmpfs: Bad value for 'size' (op 0/3, path-mask)`},
		{initproto.Report{Op: 1, Step: step("not-found-in-path"), Errno: syscall.ENOENT},
			`exec: "nope": executable file not found in $PATH`},
		{initproto.Report{Op: 1, Step: step("execve"), Errno: syscall.EACCES}, `exec nope: permission denied`},
		{initproto.Report{Op: 2, Step: step("execve"), Errno: syscall.ENOENT}, `exec /run.sh: no such file or directory`},
		{initproto.Report{Op: 9, Errno: syscall.EIO}, `init failed at op 9 of a plan of 3: input/output error`},
	} {
		err := reportError(&p, &c.r)
		if err.Error() != c.want {
			t.Errorf("got  %s\nwant %s", err, c.want)
		}
		if !errors.Is(err, c.r.Errno) {
			t.Errorf("%v does not wrap %v", err, c.r.Errno)
		}
	}
}

func TestHostErrors(t *testing.T) {
	var p plan.Plan
	p.Add(plan.NsOpen("linux.namespaces[2].path", "/proc/1/ns/nope", plan.NewNet, plan.FirstDynamic))
	for _, c := range []struct {
		err  error
		want string
	}{
		{&fs.PathError{Op: "open", Path: "/proc/1/ns/nope", Err: syscall.ENOENT},
			`linux.namespaces[2].path "/proc/1/ns/nope": open: no such file or directory (op 0/1, ns-open)`},
		{errors.New("is a namespace of another type"),
			`linux.namespaces[2].path "/proc/1/ns/nope": is a namespace of another type (op 0/1, ns-open)`},
	} {
		if got := hostError(&p, 0, c.err); got.Error() != c.want || !errors.Is(got, errors.Unwrap(c.err)) && errors.Unwrap(c.err) != nil {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}
