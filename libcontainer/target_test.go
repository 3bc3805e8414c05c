package libcontainer

import (
	"errors"
	"maps"
	"os"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/state"
)

func TestSubCgroups(t *testing.T) {
	for _, c := range []struct {
		args []string
		want map[string]string
		err  string
	}{
		{nil, map[string]string{}, ""},
		{[]string{"a/b"}, map[string]string{"": "/a/b"}, ""},
		{[]string{"/a//b/"}, map[string]string{"": "/a/b"}, ""},
		{[]string{"cpu,memory:a", "pids:/"}, map[string]string{"cpu": "/a", "memory": "/a", "pids": "/"}, ""},
		{[]string{"a", "b"}, nil, "invalid --cgroup argument: a (missing <controller>: prefix)"},
		{[]string{"cpu:a", "b"}, nil, "invalid --cgroup argument: b (missing <controller>: prefix)"},
		{[]string{":a"}, nil, "invalid --cgroup argument: :a (empty <controller> prefix)"},
		{[]string{"cpu,:a"}, nil, "invalid --cgroup argument: cpu,:a (empty <controller> prefix)"},
		{[]string{"cpu:a", "cpu:b"}, nil, "invalid --cgroup argument(s): controller cpu specified multiple times"},
		{[]string{"a/../../b"}, nil, "invalid --cgroup argument: a/../../b (must stay below the container's cgroup)"},
	} {
		got, err := subCgroups(c.args)
		if c.err != "" {
			if err == nil || err.Error() != c.err {
				t.Errorf("%q: %v, want %q", c.args, err, c.err)
			}
			continue
		}
		if err != nil || !maps.Equal(got, c.want) {
			t.Errorf("%q: %v, %v, want %v", c.args, got, err, c.want)
		}
	}
}

func TestTargetCgroups(t *testing.T) {
	rec := &state.Record{State: state.State{Pid: os.Getpid(), CgroupsMade: true, Cgroups: []state.Cgroup{
		{Hierarchy: "cpu,cpuacct", Mount: "/m/cpu", Path: "/c"}, {Hierarchy: "name=systemd", Mount: "/m/systemd", Path: "/c"}, {Mount: "/m/v2", Path: "/no/such/place", V2: true}}}}
	for _, c := range []struct {
		subs map[string]string
		want string
	}{
		{nil, "/c /c /no/such/place"}, // this process is not below the recorded one
		{map[string]string{"": "/s"}, "/c/s /c/s /no/such/place/s"},
		{map[string]string{"cpuacct": "/s"}, "/c/s /c /no/such/place"},
		{map[string]string{"systemd": "/s", "cpu": "/t"}, "/c/t /c/s /no/such/place"},
	} {
		dirs, err := targetCgroups(rec, c.subs)
		var paths []string
		for _, d := range dirs {
			paths = append(paths, d.Path)
		}
		if got := strings.Join(paths, " "); err != nil || got != c.want {
			t.Errorf("%v: %s, %v, want %s", c.subs, got, err, c.want)
		}
	}
	if _, err := targetCgroups(rec, map[string]string{"memory": "/s"}); err == nil || !strings.Contains(err.Error(), `"memory"`) {
		t.Errorf("a controller that the container has not: %v", err)
	}
	rec.CgroupsMade = false
	if dirs, err := targetCgroups(rec, nil); err != nil || dirs != nil {
		t.Errorf("without cgroups: %v, %v", dirs, err)
	}
}

// A number that belongs to another process by now is not the container.
func TestOpenTargetProvesIdentity(t *testing.T) {
	start, _, _ := state.StartTime(os.Getpid())
	fd, err := openTarget(os.Getpid(), start)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(fd)
	root, err := openRoot(os.Getpid(), start)
	if err != nil {
		t.Fatal(err)
	}
	unix.Close(root)
	for _, open := range []func(int, uint64) (int, error){openTarget, openRoot} {
		if _, err := open(os.Getpid(), start+1); !errors.Is(err, unix.ESRCH) {
			t.Errorf("another start time: %v", err)
		}
	}
}

// What is opened to join a cgroup lies on a cgroup file system.
func TestOpenCgroupProvesFileSystem(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(dir+"/tasks", nil, 0o644); err != nil {
		t.Fatal(err)
	}
	for _, file := range []string{"tasks", ""} {
		if fd, err := openCgroup(dir, file, false); err == nil {
			unix.Close(fd)
			t.Errorf("%q of a directory elsewhere was opened", file)
		}
	}
}

func TestCheckTerminal(t *testing.T) {
	// Without a process there is no terminal to speak of.
	if err := checkTerminal(nil, true, "", ""); err != nil {
		t.Error(err)
	}
	if err := checkTerminal(nil, true, "/s", "runc"); err == nil || err.Error() != "cannot use console socket if runc will not detach or allocate tty" {
		t.Error(err)
	}
}
