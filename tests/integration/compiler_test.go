package integration

import (
	"encoding/json"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

// otherCompiler is the program that is built beside tare where libseccomp's header is.
func otherCompiler(t *testing.T) string {
	t.Helper()
	path := filepath.Join(filepath.Dir(binary), "tare-seccomp")
	if _, err := os.Stat(path); err != nil {
		t.Skipf("tare-seccomp is not built beside the runtime: %v", err)
	}
	return path
}

// dockerProfile is Docker's default profile for Docker's default capabilities.
func dockerProfile(t *testing.T) *specs.LinuxSeccomp {
	t.Helper()
	var p specs.LinuxSeccomp
	if err := json.Unmarshal([]byte(readText(t, "../bench/testdata/seccomp.json")), &p); err != nil {
		t.Fatal(err)
	}
	return &p
}

// TestSeccompCompilers: the same profile by either compiler, in the same container.
func TestSeccompCompilers(t *testing.T) {
	if !isTare {
		t.Skip("a flag of tare")
	}
	otherCompiler(t)
	if runtime.GOARCH != "amd64" {
		t.Skipf("the numbers of the calls are those of amd64, this is %s", runtime.GOARCH)
	}
	reports := map[string]*report{}
	for _, compiler := range []string{"tare", "libseccomp"} {
		b := newBox(t)
		b.spec.Linux.Seccomp = dockerProfile(t)
		b.edit(prober("call:native:157:38", "call:native:250:1", "call:native:135:4294967295", "call:native:135:1", "call:native:900",
			"call:native:41:40", "unshare:268435456", "mkdir:/tmp/x"))
		b.writeConfig()
		r := b.call("--seccomp-compiler", compiler, "run", "--bundle", b.bundle, b.id)
		if r.Code != 0 {
			t.Fatalf("%s: exit code %d\n%s", compiler, r.Code, r.Stderr)
		}
		reports[compiler] = b.parse(r.Stdout)
		expect(t, "seccomp mode", reports[compiler].Seccomp, 2)
		b.allow = append(b.allow, "tmp")
		b.nothingLeft()
	}
	for i, want := range reports["tare"].Results {
		got := reports["libseccomp"].Results[i]
		if got.Err != want.Err {
			t.Errorf("%s: errno %d behind libseccomp's filter, %d behind tare's", want.Op, got.Err, want.Err)
		}
	}
	expect(t, "errno of a call of the future", reports["libseccomp"].result("call:native:900").Err, int(unix.ENOSYS))
	expect(t, "errno of AF_VSOCK", reports["libseccomp"].result("call:native:41:40").Err, int(unix.EPERM))
}

// TestSeccompCompilerBesideTare: a tare that another one has started, as a hook for
// example, looks beside itself for the compiler, and not beside the other one.
func TestSeccompCompilerBesideTare(t *testing.T) {
	if !isTare {
		t.Skip("a flag of tare")
	}
	otherCompiler(t)
	b := newBox(t, prober("quiet"), seccomp(specs.ActAllow, specs.ActErrno, nil, "getitimer"))
	b.writeConfig()
	b.env = append(os.Environ(), "TARE_SELF=/nowhere/tare")
	b.ok("--seccomp-compiler", "libseccomp", "plan", "--bundle", b.bundle, b.id) // is the whole's
	b.nothingLeft()
}

// TestSeccompCompilerListener: the other compiler's filter can ask an agent, too.
func TestSeccompCompilerListener(t *testing.T) {
	if !isTare {
		t.Skip("a flag of tare")
	}
	otherCompiler(t)
	b := newBox(t, prober("mkdir:/tmp/faked"))
	a := newAgent(t, b.dir+"/agent", fake)
	b.edit(notify(b.dir+"/agent", "", "mkdirat"))
	b.writeConfig()
	r := b.call("--seccomp-compiler=libseccomp", "run", "--bundle", b.bundle, b.id)
	expect(t, "exit code", r.Code, 0)
	expectList(t, "questions", a.questions(), []int{unix.SYS_MKDIRAT})
	b.nothingLeft()
}

// TestSeccompCompilerIsVerified: what another program gives is checked as the kernel
// would check it, before anything happens.
func TestSeccompCompilerIsVerified(t *testing.T) {
	if !isTare {
		t.Skip("a flag of tare")
	}
	b := newBox(t, prober("quiet"), seccomp(specs.ActAllow, specs.ActErrno, nil, "getitimer"))
	b.writeConfig()
	fakeCompiler := b.dir + "/compiler"
	call := func(script string, words ...string) {
		t.Helper()
		b.must(os.WriteFile(fakeCompiler, []byte("#!/bin/sh\n"+script), 0o755))
		b.env = append(os.Environ(), "TARE_SECCOMP="+fakeCompiler)
		b.refused(append(words, "linux.seccomp"), "--seccomp-compiler", "libseccomp", "create", "--bundle", b.bundle, b.id)
		b.nothingLeft()
	}
	call("cat >/dev/null; echo nonsense", "would be refused by the kernel", "9 bytes")
	call("cat >/dev/null", "would be refused by the kernel", "0 instructions")
	call(`cat >/dev/null; printf '\026\0\0\0\0\0\0\0'`, "would be refused by the kernel", "code 0x16")
	call("echo 'it is too hard' >&2; exit 1", "it is too hard")
	b.env = append(os.Environ(), "TARE_SECCOMP="+b.dir+"/none")
	b.refused([]string{"linux.seccomp", b.dir + "/none", "no such file"}, "--seccomp-compiler", "libseccomp", "create", "--bundle", b.bundle, b.id)
	b.env = append(os.Environ(), "TARE_SECCOMP=relative")
	b.refused([]string{"TARE_SECCOMP", "absolute"}, "--seccomp-compiler", "libseccomp", "create", "--bundle", b.bundle, b.id)
	b.env = nil
	r := b.refused([]string{"--seccomp-compiler", "gcc"}, "--seccomp-compiler", "gcc", "create", "--bundle", b.bundle, b.id)
	if strings.Contains(r.Stderr, "goroutine") {
		t.Error(r.Stderr)
	}
	b.nothingLeft()
}
