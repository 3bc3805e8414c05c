package libcontainer

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tare-oci/tare/internal/probe"
)

// bundleWith makes a bundle with a root, a file and a program in it.
func bundleWith(t *testing.T, config string) string {
	t.Helper()
	dir := t.TempDir()
	if err := os.Mkdir(dir+"/rootfs", 0o755); err != nil {
		t.Fatal(err)
	}
	for name, mode := range map[string]fs.FileMode{"config.json": 0o644, "file": 0o644, "program": 0o755} {
		text := ""
		if name == "config.json" {
			text = strings.ReplaceAll(config, "BUNDLE", dir)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), mode); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// lines are findings as the tests name them: severity, class, field, value,
// reason, section. The bundle's path is BUNDLE again.
func lines(dir string, found []Finding) string {
	var b strings.Builder
	for _, f := range found {
		fmt.Fprintf(&b, "%s %s %s", f.Severity, f.Class, f.Field)
		if f.Value != "" {
			fmt.Fprintf(&b, " %q", f.Value)
		}
		fmt.Fprintf(&b, ": %s [%s]\n", f.Reason, f.Section)
	}
	return strings.ReplaceAll(b.String(), dir, "BUNDLE")
}

func check(t *testing.T, config string) string {
	t.Helper()
	dir := bundleWith(t, config)
	found, err := New("/nonexistent").Check(CreateOptions{ID: "x", Bundle: dir})
	if err != nil {
		t.Fatal(err)
	}
	return lines(dir, found)
}

// config is a whole config; each argument is a member that is added or replaces
// one of the same name.
func config(members ...string) string {
	doc := map[string]json.RawMessage{"ociVersion": json.RawMessage(`"1.3.0"`), "root": json.RawMessage(`{"path": "rootfs"}`),
		"process": json.RawMessage(`{"args": ["x"], "cwd": "/"}`),
		"linux":   json.RawMessage(`{"namespaces": [{"type": "mount"}, {"type": "uts"}]}`)}
	for _, m := range members {
		name, value, _ := strings.Cut(m, ": ")
		doc[name] = json.RawMessage(value)
	}
	text, err := json.Marshal(doc)
	if err != nil {
		panic(err)
	}
	return string(text)
}

func TestCheckFindings(t *testing.T) {
	for _, c := range []struct{ name, config, want string }{
		{"nothing", config(), ""},
		{"syntax", "{\n  \"ociVersion\": \"1.3.0\",\n}",
			"error config : invalid JSON at 3:1: expected a member name in double quotes, found '}' [config.md#configuration]\n"},
		{"empty file", "", "error config : invalid JSON at 1:1: expected a value, found the end of the file [config.md#configuration]\n"},
		{"behind the end", config() + "x", ""},
		{"an array", "[]", `error config : expected an object, found an array [config.md#configuration]
`},
		{"types", config(`hostname: 5`, `process: {"args": [1, "x"], "cwd": true, "user": []}`),
			`error config hostname: expected a string, found a number 5 [config.md#hostname]
error config process.args[0]: expected a string, found a number 1 [config.md#process]
error config process.cwd: expected a string, found a boolean true [config.md#process]
error config process.user: expected an object, found an array [config.md#posix-platform-user]
`},
		{"unknown", config(`Hostname: "x"`, `extra: {"a": 1}`, `mounts: [{"destination": "/a", "type": "tmpfs", "option": []}]`),
			`info config Hostname: is not a field of the specification and is ignored; did you mean hostname? [config.md#extensibility]
info config extra: is not a field of the specification and is ignored [config.md#extensibility]
info config mounts[0].option: is not a field of the specification and is ignored; did you mean options? [config.md#extensibility]
`},
		{"unknown twice", `{"x": 1, "x": 2, ` + config()[1:], "info config x: is not a field of the specification and is ignored [config.md#extensibility]\n"},
		{"schema", config(`linux: {"rootfsPropagation": "rslave", "uidMappings": [], "devices": [{"path": "/dev/x", "type": "p", "fileMode": 1023}]}`),
			`warning config linux.devices[0].fileMode "1023": must be at most 511 (JSON schema) [config-linux.md#devices]
warning config linux.rootfsPropagation "rslave": is not one of private, shared, slave, unbindable (JSON schema) [config-linux.md#rootfs-mount-propagation]
`},
		{"schema and meaning are one finding", config(`root: {}`, `linux: {"namespaces": [{"type": "net"}], "devices": [{"path": "/dev/x", "type": "x"}]}`),
			`error config linux.devices[0].type "x": is not a device type; use c, u, b or p (mknod(1)) [config-linux.md#devices]
error config linux.namespaces[0].type "net": is not a namespace type; use pid, network, ipc, mount, uts, user, cgroup or time [config-linux.md#namespaces]
error config root.path: is required [config.md#root]
`},
		{"a member that needs another", config(`linux: {"seccomp": {"defaultAction": "SCMP_ACT_ALLOW", "listenerMetadata": "x"}}`),
			"error config linux.seccomp.listenerMetadata \"x\": must not be set without listenerPath [config-linux.md#seccomp]\n"},
		{"warnings beside errors", config(`hostname: "h"`, `linux: {"namespaces": [{"type": "mount"}]}`, `mounts: [{"destination": "a", "type": "tmpfs"}]`),
			`error config hostname "h": needs a uts namespace in linux.namespaces, or it would rename the host [config.md#hostname]
warning config mounts[0].destination "a": is not absolute: taken from the root [config.md#mounts]
`},
		{"files of the bundle", config(`root: {"path": "file"}`,
			`mounts: [{"destination": "/a", "type": "bind", "source": "file"}, {"destination": "/b", "source": "none", "options": ["rbind"]}, {"destination": "/c", "source": "x", "type": "tmpfs"}]`),
			`error config mounts[1].source "none": does not exist [config.md#mounts]
error config root.path "file": is not a directory [config.md#root]
`},
		{"files of the host", config(`root: {"path": "/nonexistent/root"}`, `mounts: [{"destination": "/a", "type": "bind", "source": "/nonexistent/a"}]`),
			`error host mounts[0].source "/nonexistent/a": does not exist [config.md#mounts]
error host root.path "/nonexistent/root": does not exist [config.md#root]
`},
		{"hooks", config(`hooks: {"prestart": [{"path": "/nonexistent/h"}], "createRuntime": [{"path": "BUNDLE/file"}, {"path": "BUNDLE/program"}],
			"createContainer": [{"path": "BUNDLE/rootfs"}], "startContainer": [{"path": "/nonexistent/h"}], "poststop": [{"path": "relative"}]}`),
			`error config hooks.createContainer[0].path "BUNDLE/rootfs": is not a regular file [config.md#createcontainer-hooks]
error config hooks.createRuntime[0].path "BUNDLE/file": is not executable (mode 0644) [config.md#createruntime-hooks]
error config hooks.poststop[0].path "relative": must be absolute (config.md, POSIX-platform Hooks) [config.md#poststop]
error host hooks.prestart[0].path "/nonexistent/h": does not exist [config.md#prestart]
`},
		{"namespaces", config(`linux: {"namespaces": [{"type": "mount"}, {"type": "uts", "path": "/proc/self/ns/uts"}, {"type": "ipc", "path": "/proc/self/ns/net"},
			{"type": "pid", "path": "/proc/nonexistent/ns/pid"}, {"type": "network", "path": "BUNDLE/file"}]}`),
			`error host linux.namespaces[2].path "/proc/self/ns/net": is a namespace of type network, not ipc [config-linux.md#namespaces]
error host linux.namespaces[3].path "/proc/nonexistent/ns/pid": does not exist [config-linux.md#namespaces]
error config linux.namespaces[4].path "BUNDLE/file": is not the file of a namespace [config-linux.md#namespaces]
`},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := check(t, c.config)
			if c.name == "behind the end" {
				if strings.Count(got, "\n") != 1 || !strings.Contains(got, "expected the end of the file, found 'x'") {
					t.Errorf("got %s", got)
				}
				return
			}
			if got != c.want {
				t.Errorf("got\n%swant\n%s", got, c.want)
			}
		})
	}
}

// Ten mistakes of ten kinds are ten findings.
func TestTenMistakes(t *testing.T) {
	got := check(t, config(`ociVersion: "2.0.0"`, `hostname: "`+strings.Repeat("h", 65)+`"`, `domainnam: "d"`,
		`root: {"path": "missing"}`,
		`process: {"args": ["x"], "cwd": "relative", "env": ["A"], "rlimits": [{"type": "RLIMIT_CORE", "hard": 1, "soft": "2"}]}`,
		`mounts: [{"type": "tmpfs"}, {"destination": "/a", "type": "bind", "source": "/nonexistent/a"}]`,
		`linux: {"namespaces": [{"type": "mount"}, {"type": "uts"}], "maskedPaths": ["/proc/kcore", "x"]}`))
	want := []string{"error config domainnam", "error config hostname", "error config linux.maskedPaths[1]", "error config mounts[0].destination",
		"error host mounts[1].source", "error config ociVersion", "error config process.cwd", "error config process.env[0]",
		"error config process.rlimits[0].soft", "error config root.path"}
	want[0] = "info config domainnam"
	found := strings.Split(strings.TrimSuffix(got, "\n"), "\n")
	if len(found) != len(want) {
		t.Fatalf("%d findings, want %d:\n%s", len(found), len(want), got)
	}
	for i := range want {
		if !strings.HasPrefix(found[i], want[i]) {
			t.Errorf("finding %d is %s, want %s", i, found[i], want[i])
		}
	}
}

// What the host cannot do is the host's class, with and without privilege.
func TestCheckHost(t *testing.T) {
	host := probe.Host(probe.Want{LSM: true})
	got := check(t, config(`process: {"args": ["x"], "cwd": "/", "apparmorProfile": "p", "selinuxLabel": "l",
		"capabilities": {"bounding": ["CAP_SYS_RESOURCE", "CAP_OF_TOMORROW"]}}`))
	for _, c := range []struct {
		has  bool
		line string
	}{
		{host.AppArmor, `error host process.apparmorProfile "p": needs AppArmor, which this kernel does not run [config.md#linux-process]`},
		{host.SELinux, `error host process.selinuxLabel "l": needs SELinux, which this kernel does not run [config.md#linux-process]`},
		{host.Caps>>24&1 == 1, `warning host process.capabilities.bounding[0] "CAP_SYS_RESOURCE": is not held by the runtime and cannot be granted: left out [config.md#linux-process]`},
		{false, `warning config process.capabilities.bounding[1] "CAP_OF_TOMORROW": is not a capability that tare knows: left out [config.md#linux-process]`},
	} {
		if strings.Contains(got, c.line+"\n") == c.has {
			t.Errorf("the host has it: %v, found: %v: %s\nin\n%s", c.has, !c.has, c.line, got)
		}
	}
}

func TestCheckWithoutAConfig(t *testing.T) {
	r := New("/nonexistent")
	for _, o := range []CreateOptions{
		{Bundle: "/nonexistent/bundle"}, {Bundle: "/dev/null"}, {Bundle: t.TempDir()}, {Bundle: t.TempDir(), Config: "/nonexistent/config"},
	} {
		if found, err := r.Check(o); err == nil || found != nil {
			t.Errorf("%+v: %v, %v", o, found, err)
		} else if !errors.Is(err, fs.ErrNotExist) && o.Bundle != "/dev/null" {
			t.Errorf("%+v: %v", o, err)
		}
	}
}
