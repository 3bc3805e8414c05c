package integration

import (
	"os"
	"strings"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestHookOutputFiles: what hooks print goes to the files that two annotations
// name, wherever the hook runs; without them it goes nowhere.
func TestHookOutputFiles(t *testing.T) {
	for _, same := range []bool{false, true} {
		b := newBox(t, prober("quiet", "pause"))
		out, errs := b.dir+"/hooks.out", b.dir+"/hooks.err"
		if same {
			errs = out
		}
		b.must(os.WriteFile(out, []byte("before\n"), 0o600))
		b.spec.Annotations = map[string]string{"run.oci.hooks.stdout": out, "run.oci.hooks.stderr": errs}
		b.must(os.MkdirAll(b.rootfs+"/bin", 0o755))
		b.put("bin/say", "", 0o755)
		b.copyFile("/bin/busybox", "bin/busybox", 0o755)
		say := func(kind string) []specs.Hook {
			return []specs.Hook{{Path: "/bin/busybox", Args: []string{"busybox", "sh", "-c", "echo out " + kind + "; echo err " + kind + " >&2"}}}
		}
		b.spec.Hooks = &specs.Hooks{Prestart: say("prestart"), CreateRuntime: say("createRuntime"), CreateContainer: say("createContainer"), //nolint:staticcheck // in use everywhere
			StartContainer: say("startContainer"), Poststart: say("poststart"), Poststop: say("poststop")}
		b.create()
		b.start()
		b.kill("KILL")
		b.remove()
		kinds := []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}
		want, wantErr := "before\n", ""
		for _, k := range kinds {
			want += "out " + k + "\n"
			if same {
				want += "err " + k + "\n"
			} else {
				wantErr += "err " + k + "\n"
			}
		}
		if !isTare {
			continue
		}
		expect(t, "output", readText(t, out), want)
		if !same {
			expect(t, "errors", readText(t, errs), wantErr)
		}
	}
	b := newBox(t)
	b.spec.Annotations = map[string]string{"run.oci.hooks.stderr": "not/absolute"}
	b.createFails(`annotations["run.oci.hooks.stderr"] "not/absolute"`, "must be an absolute path")
	b.spec.Annotations = map[string]string{"run.oci.hooks.stdout": b.dir + "/none/file"}
	b.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/true"}}}
	b.createFails(`annotations["run.oci.hooks.stdout"]`, b.dir+"/none/file", "no such file or directory")
}

// TestHookOutputIsNotInherited: the files are open while the container waits for
// start, and its program does not have them.
func TestHookOutputIsNotInherited(t *testing.T) {
	b := newBox(t, prober())
	b.copyFile("/bin/busybox", "bin/busybox", 0o755)
	b.spec.Annotations = map[string]string{"run.oci.hooks.stdout": b.dir + "/out"}
	b.spec.Hooks = &specs.Hooks{StartContainer: []specs.Hook{{Path: "/bin/busybox", Args: []string{"busybox", "echo", "hello"}}}}
	r := b.probe()
	for _, f := range r.Fds {
		if f.Fd > 2 || strings.Contains(f.Target, b.dir+"/out") {
			t.Errorf("the program has descriptor %d, %s", f.Fd, f.Target)
		}
	}
	if isTare {
		expect(t, "output", readText(t, b.dir+"/out"), "hello\n")
	}
}

// TestKeepOriginalGroups: with the annotation the process has the caller's
// supplementary groups, in a user namespace as the ids it can show.
func TestKeepOriginalGroups(t *testing.T) {
	if !isTare {
		t.Skip("crun's annotation")
	}
	groups, err := syscall.Getgroups()
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setgroups(groups) }()
	if err := syscall.Setgroups([]int{777, 100012}); err != nil {
		t.Fatal(err)
	}
	b := newBox(t)
	b.spec.Process.User.AdditionalGids = []uint32{5}
	expect(t, "groups without it", len(b.probe().Groups), 1)
	for _, c := range []struct {
		edit func(*specs.Spec)
		want [2]uint32
	}{
		{func(*specs.Spec) {}, [2]uint32{777, 100012}},
		{func(s *specs.Spec) { s.Process.User.UID, s.Process.User.GID = 1000, 1000 }, [2]uint32{777, 100012}},
		{userNamespace(100000), [2]uint32{12, 65534}},
	} {
		b := newBox(t, c.edit)
		b.spec.Annotations = map[string]string{"run.oci.keep_original_groups": "1"}
		if c.want[1] == 65534 {
			b.own(100000)
		}
		got := map[uint32]bool{}
		for _, g := range b.probe().Groups {
			got[g] = true
		}
		if len(got) != 2 || !got[c.want[0]] || !got[c.want[1]] {
			t.Errorf("groups are %v, expected %v", got, c.want)
		}
	}
}
