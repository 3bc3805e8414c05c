package network

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// prefix is that of the hook's annotations.
const prefix = "io.github.tare-oci.net."

// box is one container.
type box struct {
	l       *lab
	id      string
	bundle  string
	runtime string
	root    string
	spec    *specs.Spec
	pid     int
	alive   bool
}

// annotations turns "ports=8080:80" into an annotation.
func annotations(words []string) map[string]string {
	out := map[string]string{}
	for _, w := range words {
		k, v, _ := strings.Cut(w, "=")
		out[prefix+k] = v
	}
	return out
}

var rootfsReady = map[string]bool{}

// sharedRoot is the rootfs of all containers that do not write in it.
func (l *lab) sharedRoot() string {
	dir := filepath.Join(workDir, "rootfs")
	if !rootfsReady[dir] {
		l.makeRoot(dir)
		rootfsReady[dir] = true
	}
	return dir
}

func (l *lab) makeRoot(dir string) {
	for _, d := range []string{"proc", "dev", "etc", "tmp"} {
		l.must(os.MkdirAll(filepath.Join(dir, d), 0o755))
	}
	data, err := os.ReadFile(peerAt)
	l.must(err)
	l.must(os.WriteFile(filepath.Join(dir, "peer"), data, 0o755))
}

// box prepares a container that serves ports 80 and 81 and has these
// annotations.
func (l *lab) box(id string, words ...string) *box {
	b := l.bare(id)
	b.spec.Annotations = annotations(words)
	b.spec.Hooks = &specs.Hooks{
		CreateRuntime: []specs.Hook{{Path: l.hook, Args: l.hookArgs()}},
		Poststop:      []specs.Hook{{Path: l.hook, Args: l.hookArgs()}},
	}
	return b
}

// bare prepares a container without the hook.
func (l *lab) bare(id string) *box {
	full := "tn" + strconv.Itoa(os.Getpid()) + "-" + l.n + "-" + id
	b := &box{l: l, id: full, bundle: filepath.Join(l.dir, "bundle-"+id), runtime: l.runtime, root: filepath.Join(l.dir, "root-"+l.runtime)}
	l.must(os.MkdirAll(b.bundle, 0o755))
	caps := []string{"CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_KILL"}
	b.spec = &specs.Spec{
		Version:  "1.0.2",
		Hostname: id,
		Root:     &specs.Root{Path: l.sharedRoot(), Readonly: true},
		Process: &specs.Process{Args: []string{"/peer", "serve", "80", "81"}, Cwd: "/", Env: []string{"PATH=/"},
			Capabilities: &specs.LinuxCapabilities{Bounding: caps, Effective: caps, Permitted: caps}},
		Mounts: []specs.Mount{{Destination: "/proc", Type: "proc", Source: "proc"},
			{Destination: "/dev", Type: "tmpfs", Source: "tmpfs", Options: []string{"nosuid", "mode=755", "size=64k"}}},
		Linux: &specs.Linux{Namespaces: []specs.LinuxNamespace{{Type: specs.PIDNamespace}, {Type: specs.NetworkNamespace}, {Type: specs.UTSNamespace},
			{Type: specs.MountNamespace}, {Type: specs.IPCNamespace}}},
	}
	l.boxes = append(l.boxes, b)
	return b
}

// capability gives the container one more.
func (b *box) capability(c string) *box {
	k := b.spec.Process.Capabilities
	k.Bounding = append(k.Bounding, c)
	k.Effective, k.Permitted = k.Bounding, k.Bounding
	return b
}

func (b *box) write() {
	data, err := json.MarshalIndent(b.spec, "", " ")
	b.l.must(err)
	b.l.must(os.WriteFile(b.bundle+"/config.json", data, 0o644))
}

// oci runs the runtime in H. Its streams are files, for containers inherit them.
func (b *box) oci(args ...string) result {
	name := filepath.Join(b.l.dir, fmt.Sprintf("io-%d", labs.Add(1)))
	out, err := os.Create(name + ".out")
	b.l.must(err)
	defer out.Close()
	errs, err := os.Create(name + ".err")
	b.l.must(err)
	defer errs.Close()
	words := append([]string{"--net=/run/netns/" + b.l.h, runtimes[b.runtime], "--root", b.root}, args...)
	cmd := exec.Command("nsenter", words...)
	cmd.Stdout, cmd.Stderr, cmd.Env = out, errs, append(os.Environ(), b.l.env...)
	b.l.must(cmd.Start())
	timer := time.AfterFunc(2*patience, func() { _ = cmd.Process.Kill() })
	_ = cmd.Wait()
	timer.Stop()
	o, _ := os.ReadFile(name + ".out")
	e, _ := os.ReadFile(name + ".err")
	return result{string(o), string(e), cmd.ProcessState.ExitCode()}
}

// tryCreate creates and returns what the runtime said.
func (b *box) tryCreate() result {
	b.write()
	pidFile := b.bundle + "/pid"
	r := b.oci("create", "--bundle", b.bundle, "--pid-file", pidFile, b.id)
	if r.code == 0 {
		text, err := os.ReadFile(pidFile)
		b.l.must(err)
		b.pid, err = strconv.Atoi(strings.TrimSpace(string(text)))
		b.l.must(err)
		b.alive = true
	}
	return r
}

// up creates and starts the container.
func (b *box) up() *box {
	b.l.t.Helper()
	if r := b.tryCreate(); r.code != 0 {
		b.l.t.Fatalf("create %s: %s", b.id, r.err)
	}
	if r := b.oci("start", b.id); r.code != 0 {
		b.l.t.Fatalf("start %s: %s", b.id, r.err)
	}
	return b
}

// down ends and deletes it.
func (b *box) down() {
	b.l.t.Helper()
	if r := b.oci("delete", "--force", b.id); r.code != 0 {
		b.l.t.Errorf("delete %s: %s", b.id, r.err)
	}
	b.alive = false
}

func (b *box) destroy() {
	if b.alive {
		b.down()
	}
}

// in runs a program of the host in the container's network namespace.
func (b *box) in(args ...string) result {
	return run(nil, append([]string{"nsenter", "-t", strconv.Itoa(b.pid), "-n"}, args...)...)
}

func (b *box) ask(proto, to string, more ...string) string {
	if len(more) == 0 {
		more = []string{"5s"}
	}
	return peerOf(b.in(append([]string{peerAt, "ask", proto, to}, more...)...))
}

// leg is one attachment as `tare-net inspect` prints it.
type leg struct {
	ID, Network, IfName, Link, Bridge, MAC, Firewall, Phase, Key, IFB, Shape string
	IPs                                                                      []string
	Ports                                                                    []struct {
		IP, Proto       string
		Host, Container int
	}
	Users []struct{ ID string }
}

func (b *box) legs() []leg {
	b.l.t.Helper()
	r := b.l.net("inspect", b.id)
	if r.code != 0 {
		return nil
	}
	var out []leg
	b.l.must(json.Unmarshal([]byte(r.out), &out))
	return out
}

// ip4 and ip6 are its addresses on its first network.
func (b *box) ip4() string { return b.ipn(0) }
func (b *box) ip6() string { return b.ipn(1) }

func (b *box) ipn(i int) string {
	b.l.t.Helper()
	legs := b.legs()
	if len(legs) == 0 || len(legs[0].IPs) <= i {
		b.l.t.Fatalf("%s has no address %d", b.id, i)
	}
	a, _, _ := strings.Cut(legs[0].IPs[i], "/")
	return a
}
