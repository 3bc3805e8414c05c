package integration

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// hookKinds are the kinds in the order in which they run.
var hookKinds = []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"}

func setHooks(s *specs.Spec, kind string, hs ...specs.Hook) {
	if s.Hooks == nil {
		s.Hooks = &specs.Hooks{}
	}
	switch kind {
	case "prestart":
		s.Hooks.Prestart = hs //nolint:staticcheck // deprecated, and in use everywhere
	case "createRuntime":
		s.Hooks.CreateRuntime = hs
	case "createContainer":
		s.Hooks.CreateContainer = hs
	case "startContainer":
		s.Hooks.StartContainer = hs
	case "poststart":
		s.Hooks.Poststart = hs
	case "poststop":
		s.Hooks.Poststop = hs
	}
}

// hookBox has a busybox at the same path on the host and in the container, and a
// directory that both share for what the hooks write.
func hookBox(t *testing.T, edits ...func(*specs.Spec)) (b *box, shell, log string) {
	t.Helper()
	const busybox = "/usr/bin/busybox"
	_, err := os.Stat(busybox)
	need(t, "a static busybox", err)
	b = newBox(t, prober("pause"))
	b.edit(edits...)
	log = b.dir + "/log"
	b.must(os.Mkdir(log, 0o777))
	b.must(os.MkdirAll(b.rootfs+log, 0o755))
	b.copyFile(busybox, strings.TrimPrefix(busybox, "/"), 0o755)
	b.edit(bind(log, log))
	return b, busybox, log
}

// script is a hook that runs shell text; $L is the log directory.
func script(shell, log, text string) specs.Hook {
	return specs.Hook{Path: shell, Args: []string{"sh", "-c", text}, Env: []string{"L=" + log, "PATH=/usr/bin"}}
}

// TestHookOrder runs two hooks of each kind, and looks at what each is given.
func TestHookOrder(t *testing.T) {
	b, shell, log := hookBox(t)
	b.spec.Annotations = map[string]string{"org.example.key": "value with \"quotes\""}
	for _, k := range hookKinds {
		var hs []specs.Hook
		for i := range 2 {
			hs = append(hs, script(shell, log, fmt.Sprintf(
				`busybox echo %s%d >>$L/order; busybox cat >$L/%s%d; busybox pwd >$L/cwd-%s%d; for n in mnt pid net; do busybox readlink /proc/self/ns/$n; done >$L/ns-%s%d; busybox ls /proc/self/fd >$L/fds-%s%d`, k, i, k, i, k, i, k, i, k, i)))
		}
		setHooks(b.spec, k, hs...)
	}
	r := b.create()
	order := func() []string {
		data, _ := os.ReadFile(log + "/order")
		return strings.Fields(string(data))
	}
	atCreate := []string{"prestart0", "prestart1", "createRuntime0", "createRuntime1", "createContainer0", "createContainer1"}
	if !isTare {
		atCreate = append(atCreate, "poststart0", "poststart1") // runc 1.1 runs them at create
	}
	expectList(t, "hooks after create", order(), atCreate)
	b.start()
	b.output(r)
	atStart := append(atCreate, "startContainer0", "startContainer1", "poststart0", "poststart1")
	if isTare { // runc 1.1 runs poststart at create
		expectList(t, "hooks after start", order(), atStart)
	}
	ns := func(name string) string {
		l, err := os.Readlink(procPath(b.pid, "ns/"+name))
		b.must(err)
		return l
	}
	mine := func(name string) string {
		l, err := os.Readlink("/proc/self/ns/" + name)
		b.must(err)
		return l
	}
	inside := []string{ns("mnt"), ns("pid"), ns("net")}
	outside := []string{mine("mnt"), mine("pid"), mine("net")}
	pid := b.pid
	b.kill("KILL")
	b.remove()
	if isTare {
		expectList(t, "hooks after delete", order(), append(atStart, "poststop0", "poststop1"))
	}
	for _, k := range hookKinds {
		for i := range 2 {
			name := k + strconv.Itoa(i)
			var s specs.State
			b.must(json.Unmarshal([]byte(readText(t, log+"/"+name)), &s))
			expect(t, name+": id", s.ID, b.id)
			expect(t, name+": bundle", s.Bundle, b.bundle)
			expect(t, name+": annotation", s.Annotations["org.example.key"], b.spec.Annotations["org.example.key"])
			wantNs, wantPid := outside, pid
			switch k {
			case "createContainer":
				wantNs = inside
			case "startContainer":
				wantNs, wantPid = inside, 1
			case "poststop":
				wantPid = 0
			}
			if isTare {
				status := map[string]specs.ContainerState{"poststart": specs.StateRunning, "poststop": specs.StateStopped}[k]
				if status == "" {
					status = specs.StateCreated
				}
				expect(t, name+": status", s.Status, status)
				if k == "createContainer" {
					wantPid = 1 // in the container's pid namespace
				}
				expect(t, name+": pid", s.Pid, wantPid)
				if k != "createContainer" && k != "startContainer" {
					expect(t, name+": cwd", strings.TrimSpace(readText(t, log+"/cwd-"+name)), b.bundle)
				}
				// ls has one more open for the directory it lists.
				expect(t, name+": descriptors", strings.Join(strings.Fields(readText(t, log+"/fds-"+name)), " "), "0 1 2 3")
			}
			expectList(t, name+": namespaces", strings.Fields(readText(t, log+"/ns-"+name)), wantNs)
		}
	}
}

// TestHookEnvAndArgs: what a hook is started with.
func TestHookEnvAndArgs(t *testing.T) {
	for _, kind := range []string{"createRuntime", "createContainer"} {
		for name, env := range map[string][]string{"given": {"ONE=1", "TWO=2"}, "empty": {}, "absent": nil} {
			t.Run(kind+"_"+name, func(t *testing.T) {
				if !isTare {
					t.Skip("runc inherits its environment where env is absent or empty")
				}
				b, _, log := hookBox(t)
				b.env = []string{"CALLER=yes", "TARE_SELF=/nowhere/tare"}
				b.copyFile(proberAt, strings.TrimPrefix(proberAt, "/"), 0o755)
				out := log + "/out"
				b.must(os.WriteFile(out, nil, 0o666))
				setHooks(b.spec, kind, specs.Hook{Path: "/usr/bin/busybox", Args: []string{"sh", "-c",
					fmt.Sprintf("/usr/bin/busybox tr '\\0' '\\n' </proc/self/environ >%s; /usr/bin/busybox echo \"arg:$0\" >>%s", out, out), "zero"}, Env: env})
				b.edit(prober("quiet"))
				if name == "empty" { // which Go's encoder leaves out
					b.patch = func(text string) string {
						return strings.Replace(text, `"zero"`+"\n    ]", `"zero"`+"\n    ],\n \"env\": []", 1)
					}
				}
				r := b.run()
				expect(t, "exit code", r.Code, 0)
				if config := readText(t, b.bundle+"/config.json"); name == "empty" && !strings.Contains(config, `"env": []`) {
					t.Fatalf("the config has no empty env:\n%s", config)
				}
				text := readText(t, out)
				if !strings.Contains(text, "arg:zero") {
					t.Errorf("the hook's arguments did not arrive: %q", text)
				}
				if strings.Contains(text, "ONE=1\nTWO=2\n") != (name == "given") {
					t.Errorf("the hook's environment is %q", text)
				}
				if strings.Contains(text, "CALLER=yes") && name != "absent" {
					t.Errorf("the caller's environment came along: %q", text)
				}
				if strings.Contains(text, "TARE_SELF") {
					t.Errorf("a variable of tare's own came along: %q", text)
				}
			})
		}
	}
}

// TestHookFails: each kind's failure names the hook, and what the spec says happens.
func TestHookFails(t *testing.T) {
	for _, kind := range hookKinds {
		for how, text := range map[string]string{"exit": "echo reason of the failure >&2; exit 3", "signal": "busybox kill -9 $$"} {
			t.Run(kind+"_"+how, func(t *testing.T) {
				if !isTare {
					t.Skip("asserts tare's wordings and runtime-spec 1.3's rules")
				}
				b, shell, log := hookBox(t)
				setHooks(b.spec, "poststop", script(shell, log, "busybox echo stopped >>$L/stopped"))
				setHooks(b.spec, kind, script(shell, log, "busybox cat >/dev/null"), script(shell, log, text))
				words := []string{fmt.Sprintf("hooks.%s[1]", kind), shell}
				if how == "exit" {
					words = append(words, "3", "reason of the failure")
				}
				switch kind {
				case "prestart", "createRuntime", "createContainer":
					b.createFails(words...)
				case "startContainer", "poststart":
					b.create()
					b.refused(words, "start", b.id)
					b.reap()
					b.nothingLeft()
				case "poststop":
					b.create()
					// It warns in the log: engines take words on stderr for a failure.
					b.ok("--log", b.dir+"/io/log", "delete", b.id)
					b.reap()
					log := readText(t, b.dir+"/io/log")
					for _, w := range append(words, "warn") {
						if !strings.Contains(log, w) {
							t.Errorf("the warning lacks %q: %s", w, log)
						}
					}
					b.refused([]string{"does not exist"}, "state", b.id)
					// What is left for another try is gone after it was forced.
					b.spec.Hooks = nil
					setHooks(b.spec, "poststop")
					for _, f := range mustGlob(t, b.root+"/*") {
						b.must(os.Remove(f))
					}
					return
				}
				if data, err := os.ReadFile(log + "/stopped"); err != nil || string(data) != "stopped\n" {
					t.Errorf("poststop hooks: %q, %v; expected one run", data, err)
				}
				// The same through run.
				b.must(os.Remove(log + "/stopped"))
				b.runFails(words...)
				if _, err := os.Stat(log + "/stopped"); err != nil {
					t.Errorf("after run the poststop hook has not run: %v", err)
				}
			})
		}
	}
}

// TestPoststopAgain (R6): a poststop hook that has failed runs once more when delete
// is repeated, and then nothing is left.
func TestPoststopAgain(t *testing.T) {
	if !isTare {
		t.Skip("runc forgets the container")
	}
	b, shell, log := hookBox(t)
	setHooks(b.spec, "poststop", script(shell, log, "busybox echo try >>$L/tries; busybox test -e $L/repaired"))
	b.create()
	b.ok("delete", b.id)
	b.reap()
	b.refused([]string{"does not exist"}, "state", b.id)
	b.must(os.WriteFile(log+"/repaired", nil, 0o644))
	b.ok("delete", b.id)
	expect(t, "tries", readText(t, log+"/tries"), "try\ntry\n")
	b.nothingLeft()
	b.refused([]string{"does not exist"}, "delete", b.id)
}

// TestHookMissing: a hook that does not exist.
func TestHookMissing(t *testing.T) {
	for _, kind := range []string{"createRuntime", "createContainer"} {
		b := newBox(t)
		setHooks(b.spec, kind, specs.Hook{Path: "/no/such/hook"})
		b.createFails("hooks."+kind+"[0]", "/no/such/hook", "no such file or directory")
	}
	b := newBox(t)
	for _, kind := range hookKinds {
		setHooks(b.spec, kind, specs.Hook{Path: "relative", Timeout: ptr(0), Env: []string{"novalue"}})
	}
	var words []string
	for _, kind := range hookKinds {
		words = append(words, "hooks."+kind+"[0].path", "hooks."+kind+"[0].timeout", "hooks."+kind+"[0].env[0]")
	}
	b.createFails(words...)
}

// TestHookTimeout: a hook that goes on too long dies with all its children.
func TestHookTimeout(t *testing.T) {
	for _, kind := range []string{"prestart", "createRuntime", "createContainer", "poststart"} {
		t.Run(kind, func(t *testing.T) {
			if !isTare {
				t.Skip("asserts tare's wordings")
			}
			b, shell, log := hookBox(t)
			h := script(shell, log, "busybox sleep 1000 & busybox echo $! >$L/child; busybox sleep 1000")
			h.Timeout = ptr(1)
			setHooks(b.spec, kind, h)
			begin := time.Now()
			if kind == "poststart" {
				b.create()
				b.refused([]string{"hooks.poststart[0]", "timeout"}, "start", b.id)
				b.reap()
				b.nothingLeft()
			} else {
				b.createFails("hooks."+kind+"[0]", "timeout")
			}
			if d := time.Since(begin); d < 900*time.Millisecond || d > 8*time.Second {
				t.Errorf("it took %v", d)
			}
			b.until("the death of the hook's child, which is killed", func() bool {
				for _, pid := range children() {
					if data, _ := os.ReadFile(procPath(pid, "cmdline")); strings.Contains(string(data), "sleep") {
						return false
					}
				}
				return true
			})
		})
	}
}

// TestHookHugeState gives a hook a state of more than any pipe holds, and does not
// read it.
func TestHookHugeState(t *testing.T) {
	for _, kind := range hookKinds {
		t.Run(kind, func(t *testing.T) {
			b, shell, log := hookBox(t, prober("quiet"))
			b.spec.Annotations = map[string]string{"org.example.huge": strings.Repeat("a", 1<<20)}
			setHooks(b.spec, kind, script(shell, log, "exit 0"), script(shell, log, "busybox cat | busybox wc -c >$L/size"))
			if !isTare {
				t.Skip("runc waits for its hook to read")
			}
			begin := time.Now()
			r := b.run()
			expect(t, "exit code", r.Code, 0)
			if time.Since(begin) > 10*time.Second {
				t.Errorf("it took %v", time.Since(begin))
			}
			if n, _ := strconv.Atoi(strings.TrimSpace(readText(t, log+"/size"))); n < 1<<20 {
				t.Errorf("the second hook read %d bytes", n)
			}
		})
	}
}

// TestNetworkHook is what a network hook relies on (R1, R2): at createRuntime the
// pid is that of a process in the container's network namespace, lo is up there,
// the state can be asked for, and sysctls of a link that the hook makes come after.
func TestNetworkHook(t *testing.T) {
	ip, err := exec.LookPath("ip")
	need(t, "ip", err)
	if !isTare {
		t.Skip("runc brings lo up later")
	}
	b, shell, log := hookBox(t)
	b.spec.Linux.Sysctl = map[string]string{"net.ipv4.conf.hook0.rp_filter": "2"}
	setHooks(b.spec, "createRuntime", script(shell, log, `busybox cat >$L/state
pid=$(busybox sed 's/.*"pid":\([0-9]*\).*/\1/' $L/state)
busybox nsenter -t $pid -n `+ip+` -o link show lo >$L/lo
`+binary+` --root `+b.root+` state `+b.id+` >$L/asked 2>$L/asked-err
`+ip+` link add hookout type veth peer name hook0 netns $pid`))
	setHooks(b.spec, "poststop", script(shell, log, ip+" link show hookout >$L/link 2>&1; true"))
	b.edit(prober("read:/proc/sys/net/ipv4/conf/hook0/rp_filter", "ls:/sys/class/net"))
	out := b.run()
	if out.Code != 0 {
		t.Fatal(out.Stderr)
	}
	r := b.parse(out.Stdout)
	expect(t, "sysctl of the hook's link", r.result("read:/proc/sys/net/ipv4/conf/hook0/rp_filter").Data, "2\n")
	if lo := readText(t, log+"/lo"); !strings.Contains(lo, "LOOPBACK,UP") {
		t.Errorf("lo is not up at the hook: %s", lo)
	}
	var s struct {
		Pid    int
		Status string
	}
	asked, _ := os.ReadFile(log + "/asked")
	asktext, _ := os.ReadFile(log + "/asked-err")
	if err := json.Unmarshal(asked, &s); err != nil || s.Pid == 0 {
		t.Errorf("a hook that asks for the state gets %q %q", asked, asktext)
	}
	expect(t, "the link is gone with the namespace", filepath.Base(readText(t, log+"/link")) != "", true)
}

// TestHookKilledRuntime (R4): when the runtime dies while a hook runs, delete
// --force removes everything and runs poststop.
func TestHookKilledRuntime(t *testing.T) {
	if !isTare {
		t.Skip("runc leaves its cgroups behind")
	}
	b, shell, log := hookBox(t)
	setHooks(b.spec, "createRuntime", script(shell, log, "busybox echo $$ >$L/here; busybox sleep 2"))
	setHooks(b.spec, "poststop", script(shell, log, "busybox echo stopped >>$L/stopped"))
	b.writeConfig()
	cmd, done := b.command("create", "--bundle", b.bundle, b.id)
	b.must(cmd.Start())
	b.until("the hook", func() bool { data, err := os.ReadFile(log + "/here"); return err == nil && len(data) > 0 })
	b.must(cmd.Process.Kill())
	_ = cmd.Wait()
	done()
	b.ok("delete", "--force", b.id)
	expect(t, "poststop", readText(t, log+"/stopped"), "stopped\n")
	b.nothingLeft()
}

// TestStartHooksUnderFileLimit: the limit is the program's, and the state that its
// hooks read has been written before.
func TestStartHooksUnderFileLimit(t *testing.T) {
	if !isTare {
		t.Skip("runc hands the state over by a pipe")
	}
	b, shell, log := hookBox(t)
	b.spec.Process.Rlimits = []specs.POSIXRlimit{{Type: "RLIMIT_FSIZE"}}
	check := script(shell, log, `read s; case "$s" in *'"id":"`+b.id+`"'*'"status":"created"'*) exit 0;; esac; echo "read $s"; exit 3`)
	setHooks(b.spec, "startContainer", check, check)
	b.create()
	b.start()
	b.remove("--force")
	b.edit(args(shell, "true")) // which prints nothing: its output is a file
	r := b.run()
	expect(t, "exit code of run: "+r.Stderr, r.Code, 0)
	b.ok("delete", "--force", b.id)
}
