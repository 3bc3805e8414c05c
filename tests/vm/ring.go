package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// network is the package of the network hook's tests, which want two programs more.
const network = "tests/network"

const module = "github.com/tare-oci/tare/"

// suiteOf is a test binary that runs in the guest.
type suiteOf struct {
	pkg   string   // below the module
	tags  string   // to compile it with
	flags []string // of the test binary
}

// boot is one start of the machine with what runs in it.
type boot struct {
	name    string
	append  string
	suites  []suiteOf
	policy  string // in SELinux's CIL, which the guest gets compiled as /payload/policy
	engines bool   // it needs Docker, containerd and podman
	// brief is what the ring runs of a boot that takes too long; the whole of it
	// runs when --only asks for it.
	brief string
}

// Of the integration tests those run whose subject is another here: cgroup v2,
// systemd, AppArmor, an older kernel. What only reads a config is as true on the
// host, and ten times as fast.
const (
	underV2 = "^Test(V2|Systemd|Rootless|CgroupsPath|CgroupParent|CgroupLimits|Device|Pids|Memory|TooSmall|Small|CPUSet|UpdateEffects|Events(Form|Network|Stream)|" +
		"Kill(All|Paused|Forms)|PauseCreated|RemoveStuck|Masked|ReadonlyPaths|Sysctl$|UserNamespace|Maps|Idmap|ManyIdmaps|Busybox|Lifecycle|" +
		"HookOrder|BindTargets|Remount|Overlay|OneTask|Seccomp|SingleNamespaces|Keyring|Exec(OutOfRoom|Cgroup|MovedCgroup|Labels|UserNamespace|ExitCodes|Posture|Forwards)|Posture|" +
		"Contract(Containerd|Questions|Conmon|Buildah|WordsOf(Exec|Cgroups))|CreateUnder|SpyNotices|Checkpoint|Restore)"
	underV1 = "^Test(V1|Systemd|Cgroup|Device|Pids|Memory|TooSmall|Small|CPU(Quota|Set)|Net(Class|Prio)|Pause|Update(Flags|Effects|RollsBack)|StatsForm|Checkpoint(Systemd)?$)"
)

// boots are what the ring consists of.
var boots = []boot{
	{name: "cgroup v2", suites: []suiteOf{
		{"internal/devfilter", "", nil},
		{"internal/cgroup", "", []string{"-test.run=^(TestMakeAndRemoveInEveryHierarchy|TestCloneIntoCgroup|TestControllersAreEnabled|TestDelegate)$"}},
		{"tests/integration", "vm", []string{"-test.run=" + underV2}},
		{"tests/bench", "", []string{"-test.run=^TestFloor"}},
	}},
	{name: "cgroup v1", append: appendV1, suites: []suiteOf{
		{"tests/integration", "vm", []string{"-test.run=" + underV1}},
		{network, "vm", []string{"-test.run=^Test(VM|N50N51)/^(nftables|classifier_cgroup)$"}},
	}},
	{name: "engines", engines: true, brief: "^TestEngines$/^(containerd|cri)-tare$", suites: []suiteOf{{"tests/engines/guest", "vm", nil}}},
	{name: "hybrid", append: "systemd.unified_cgroup_hierarchy=0", suites: []suiteOf{
		{"tests/integration", "vm", []string{"-test.run=^TestSystemd$/^(default|limits|update|create_fails)$"}},
	}},
	{name: "selinux", append: "security=selinux enforcing=0", suites: []suiteOf{
		{"tests/integration", "vm", []string{"-test.run=^TestSELinux"}},
	}, policy: "tests/integration/testdata/selinux.cil"},
}

// appendV1 has systemd mount the v1 controllers, each hierarchy by itself.
const appendV1 = "systemd.unified_cgroup_hierarchy=0 systemd.legacy_systemd_cgroup_controller=1"

// packageMark begins the line that says which package's output follows.
const packageMark = "tare-vm package "

// ring runs every boot, and prints what the tests print as `go test -json` would.
func (o *options) ring(ctx context.Context, img image, cache string) (ok bool, err error) {
	work, err := os.MkdirTemp(cache, "ring-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(work)
	tare := os.Getenv("TARE")
	if tare == "" {
		tare = "tare"
	}
	if _, err := os.Stat(tare); err != nil {
		return false, fmt.Errorf("the runtime, built by `make`: %w", err)
	}
	files := []hostFile{{tare, "/payload/tare"}, {work + "/prober", "/payload/prober"}}
	if err := buildProber(ctx, work+"/prober"); err != nil {
		return false, err
	}
	if err := do(ctx, "", "make", "-s", "OUT="+work, work+"/floor"); err != nil {
		return false, err
	}
	files = append(files, hostFile{work + "/floor", "/payload/floor"})
	peer, err := netPrograms(ctx, work)
	if err != nil {
		return false, err
	}
	files = append(files, peer...)
	built := map[suiteKey]string{}
	ok = true
	for _, b := range boots {
		if o.only != "" && !strings.Contains(b.name, o.only) {
			continue
		}
		engines, runs, err := b.engineFiles(ctx, work)
		if err != nil {
			return false, err
		}
		if !runs {
			continue
		}
		var script strings.Builder
		script.WriteString("export TARE=/payload/tare PROBER=/payload/prober TARE_NET=/payload/tare-net TARE_NET_PEER=/payload/peer TARE_NET_PAGE=/payload/network.md TARE_FLOOR=/payload/floor\n")
		for _, s := range b.suites {
			key := suiteKey{s.pkg, s.tags}
			if built[key] == "" {
				name := strings.ReplaceAll(s.pkg, "/", "-") + ".test"
				if err := do(ctx, "", "go", "test", "-c", "-tags="+s.tags, "-o", filepath.Join(work, name), "./"+s.pkg); err != nil {
					return false, err
				}
				built[key] = "/payload/" + name
				files = append(files, hostFile{filepath.Join(work, name), built[key]})
			}
			words := []string{built[key], "-test.v=test2json", "-test.timeout=" + (o.limit - time.Minute).String()}
			some := o.test
			if some == "" && o.only == "" {
				some = b.brief
			}
			if some != "" {
				words = append(words, quote("-test.run="+some))
			}
			for _, f := range s.flags {
				if some == "" || !strings.HasPrefix(f, "-test.run") {
					words = append(words, quote(f))
				}
			}
			fmt.Fprintf(&script, "printf '\\n%s%%s\\n' %s\n%s\n", packageMark, module+s.pkg, strings.Join(words, " "))
		}
		given := slices.Concat(files, engines)
		if b.policy != "" {
			// The newest format that Linux 5.10 reads, as every later one does.
			if err := do(ctx, "", "secilc", "-M", "true", "-c", "33", "-o", work+"/policy", "-f", "/dev/null", b.policy); err != nil {
				return false, err
			}
			given = append(given, hostFile{work + "/policy", "/payload/policy"})
		}
		m := machine{img: img, cache: cache, append: b.append, limit: o.limit, console: o.console, payload: payload{script: script.String(), files: given}}
		start := time.Now()
		passed, err := o.translate(ctx, func(out io.Writer) (int, error) { return m.run(ctx, out) })
		if err != nil {
			return false, fmt.Errorf("%s: %w", b.name, err)
		}
		ok = ok && passed
		fmt.Fprintf(os.Stderr, "vm: %s took %.0f s\n", b.name, time.Since(start).Seconds())
	}
	return ok, nil
}

type suiteKey struct{ pkg, tags string }

// translate runs a machine and sends each package's output through test2json.
func (o *options) translate(ctx context.Context, run func(io.Writer) (int, error)) (ok bool, err error) {
	r, w := io.Pipe()
	done := make(chan error, 1)
	go func() {
		_, err := run(w)
		w.CloseWithError(err) // io.EOF for nil
		done <- err
	}()
	ok = true
	var t *translator
	finish := func() {
		if t != nil && t.close() != nil {
			ok = false
		}
		t = nil
	}
	in := bufio.NewReader(r)
	for {
		line, readErr := in.ReadString('\n')
		if pkg, found := strings.CutPrefix(line, packageMark); found {
			finish()
			if t, err = newTranslator(ctx, strings.TrimSpace(pkg)); err != nil {
				r.CloseWithError(err)
				break
			}
		} else if t != nil {
			_, _ = io.WriteString(t.in, line) // what it could not take it says at its end
		} else if strings.TrimSpace(line) != "" {
			fmt.Fprint(os.Stderr, line)
		}
		if readErr != nil {
			break
		}
	}
	finish()
	if runErr := <-done; err == nil {
		err = runErr
	}
	return ok, err
}

// translator is one `go tool test2json`.
type translator struct {
	cmd *exec.Cmd
	in  io.WriteCloser
}

func newTranslator(ctx context.Context, pkg string) (*translator, error) {
	cmd := exec.CommandContext(ctx, "go", "tool", "test2json", "-t", "-p", pkg)
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	return &translator{cmd, in}, cmd.Start()
}

func (t *translator) close() error {
	if err := t.in.Close(); err != nil {
		return err
	}
	return t.cmd.Wait()
}

// netPrograms are the network hook and what its tests have at both ends.
func netPrograms(ctx context.Context, work string) ([]hostFile, error) {
	hook := os.Getenv("TARE_NET")
	if hook == "" {
		hook = "tare-net"
	}
	if _, err := os.Stat(hook); err != nil {
		return nil, fmt.Errorf("the network hook, built by `make`: %w", err)
	}
	peer := work + "/peer"
	if err := do(ctx, "", "env", "CGO_ENABLED=0", "go", "build", "-o", peer, "./"+network+"/peer"); err != nil {
		return nil, err
	}
	return []hostFile{{hook, "/payload/tare-net"}, {peer, "/payload/peer"}, {"docs/network.md", "/payload/network.md"}}, nil
}

// buildProber compiles the program that looks at a container from inside; the
// guest has no compiler.
func buildProber(ctx context.Context, to string) error {
	sources, err := filepath.Glob("tests/prober/*.c")
	if err != nil || len(sources) == 0 {
		return fmt.Errorf("no sources of the prober (%v); this is run from the top of the tree", err)
	}
	return do(ctx, "", append([]string{"gcc", "-std=gnu17", "-Os", "-Wall", "-Wextra", "-Werror", "-Wvla", "-ffreestanding", "-fno-builtin",
		"-fno-stack-protector", "-static", "-nostdlib", "-nostartfiles", "-s", "-Wl,--build-id=none", "-o", to}, sources...)...)
}
