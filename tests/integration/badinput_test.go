package integration

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// TestTenMistakes: every mistake of a config is told at once, each on its own line,
// and nothing is made on the host.
func TestTenMistakes(t *testing.T) {
	if !isTare {
		t.Skip("other runtimes stop at the first")
	}
	b := newBox(t)
	b.spec.Version = "2.0.0"
	b.spec.Process.Args = nil
	b.spec.Process.Cwd = "relative"
	b.spec.Process.Env = []string{"A=1", "novalue"}
	b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_NOPE"}}
	b.spec.Mounts = append(b.spec.Mounts, specs.Mount{Type: "tmpfs"})
	b.spec.Linux.MaskedPaths = []string{"/ok", "relative"}
	b.spec.Linux.RootfsPropagation = "upwards"
	b.spec.Linux.Sysctl = map[string]string{"vm.swappiness": "1"}
	b.spec.Linux.Namespaces = append(b.spec.Linux.Namespaces, specs.LinuxNamespace{Type: "nope"})
	fields := []string{"ociVersion", "process.args", "process.cwd", "process.env[1]", "process.rlimits[0].type", "mounts[6].destination",
		"linux.maskedPaths[1]", "linux.rootfsPropagation", "linux.sysctl", "linux.namespaces[5].type"}
	for _, cmd := range []string{"create", "run"} {
		b.writeConfig()
		r := b.refused(fields, cmd, "--bundle", b.bundle, b.id)
		if n := strings.Count(r.Stderr, "\n"); n != len(fields) {
			t.Errorf("%s printed %d lines, expected %d:\n%s", cmd, n, len(fields), r.Stderr)
		}
		if _, err := os.Stat(b.root); err == nil {
			t.Error("the state root was made for a config that is refused")
		}
		b.nothingLeft()
	}
}

func TestBrokenJSON(t *testing.T) {
	for name, row := range map[string]struct {
		text  string
		words []string
	}{
		"truncated":   {"{\"ociVersion\": \"1.0.0\",\n \"process\": {", []string{"2:"}},
		"comma":       {"{\n \"ociVersion\": \"1.0.0\",,\n}", []string{"2:"}},
		"type":        {"{\"ociVersion\":\"1.0.0\",\n\"process\":{\"cwd\":3}}", []string{"process.cwd", "expected a string"}},
		"uid":         {"{\"ociVersion\":\"1.0.0\",\n\"process\":{\"user\":{\"uid\":4294967296}}}", []string{"process.user.uid", "4294967296"}},
		"uid text":    {"{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":\"0\"}}}", []string{"process.user.uid"}},
		"negative":    {"{\"ociVersion\":\"1.0.0\",\"process\":{\"user\":{\"uid\":-1}}}", []string{"process.user.uid", "-1"}},
		"empty":       {"", nil},
		"array":       {"[]", nil},
		"two objects": {"{} {}", nil},
		"nul":         {"{\"ociVersion\":\"1.0.0\",\x00}", nil},
	} {
		t.Run(strings.ReplaceAll(name, " ", "_"), func(t *testing.T) {
			b := newBox(t)
			b.must(os.WriteFile(b.bundle+"/config.json", []byte(row.text), 0o644))
			r := b.refused(append(row.words, "config.json"), "create", "--bundle", b.bundle, b.id)
			if strings.Contains(r.Stderr, "goroutine") {
				t.Errorf("the runtime crashed:\n%s", r.Stderr)
			}
			b.nothingLeft()
		})
	}
}

// TestUnknownFields are ignored, as config.md says (Extensibility).
func TestUnknownFields(t *testing.T) {
	b := newBox(t, prober("quiet"))
	b.patch = func(s string) string {
		return strings.Replace(s, `"process": {`, `"future": {"a": [1, {"b": null}]}, "process": {"newField": true,`, 1)
	}
	expect(t, "exit code", b.run().Code, 0)
}

func TestMissingFiles(t *testing.T) {
	b := newBox(t)
	b.refused([]string{b.dir + "/none", "no such file or directory"}, "create", "--bundle", b.dir+"/none", b.id)
	b.refused([]string{"not a directory"}, "create", "--bundle", proberAt, b.id)
	b.refused([]string{"config.json", "not found"}, "create", "--bundle", b.bundle, b.id)
	b.spec.Root.Path = "nowhere"
	b.createFails("root.path", "/nowhere", "no such file or directory")
	b.spec.Root.Path = proberAt
	b.createFails("root.path", "not a directory")
	b.spec.Root = nil
	b.createFails("root", "required")
	b.spec.Root = &specs.Root{Path: "rootfs"}
	b.spec.Process = nil
	b.createFails("process property must not be empty")
}

func TestVersions(t *testing.T) {
	for v, ok := range map[string]bool{"1.0.0": true, "1.0.2-dev": true, "1.3.0": true, "1.99.1": true, "1.1.0-rc.1": true,
		"": false, "0.9.0": false, "2.0.0": false, "one": false, "1": false} {
		b := newBox(t, prober("quiet"))
		b.spec.Version = v
		if !isTare {
			continue
		}
		if ok {
			expect(t, "exit code with version "+v, b.run().Code, 0)
		} else {
			b.createFails("ociVersion")
		}
	}
}

// TestRelativePaths gives the bundle and the root in every form.
func TestRelativePaths(t *testing.T) {
	b := newBox(t, prober("quiet", "exit:3"))
	b.writeConfig()
	expect(t, "exit code", b.call("run", "--bundle", "bundle", b.id).Code, 3)
	expect(t, "exit code", b.call("run", "-b", "./bundle/../bundle/", b.id).Code, 3)
	cmd, done := b.command("run", b.id)
	cmd.Dir = b.bundle
	_ = cmd.Run()
	expect(t, "exit code", done().Code, 3)
	b.spec.Root.Path = b.rootfs
	expect(t, "exit code with an absolute root.path", b.run().Code, 3)
	b.must(os.Symlink("rootfs", b.bundle+"/linked"))
	b.spec.Root.Path = "linked"
	r := b.run()
	if isTare { // runc refuses links
		expect(t, "exit code with a linked root.path", r.Code, 3)
	}
}

// TestLongValues: what is too long for the kernel is refused with its field.
func TestLongValues(t *testing.T) {
	b := newBox(t)
	long := strings.Repeat("x", 5000)
	b.edit(mount("/"+long, "tmpfs", "tmpfs"))
	b.createFails("mounts[6]", "file name too long")
	b = newBox(t)
	b.spec.Process.Cwd = "/" + long
	b.createFails("process.cwd", "file name too long")
	b = newBox(t, args("/"+long))
	b.createFails("file name too long")
	b = newBox(t, prober("quiet"))
	for i := range 3000 {
		b.spec.Process.Env = append(b.spec.Process.Env, fmt.Sprintf("V%d=%s", i, strings.Repeat("y", 500)))
	}
	expect(t, "exit code with 1.5 MB of environment", b.run().Code, 0)
}
