// Package binary_test runs the built program, as an engine would: what it prints
// where, its exit codes, and a container from create to delete.
package binary_test

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// tare is the binary under test; TestMain builds it.
var tare string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "tare-cli")
	if err != nil {
		panic(err)
	}
	tare = filepath.Join(dir, "tare")
	build := exec.Command("go", "build", "-tags", "urfave_cli_no_docs,urfave_cli_no_suggest", "-o", tare, "../../..")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		panic(string(out))
	}
	code := m.Run()
	_ = os.RemoveAll(dir)
	os.Exit(code)
}

type result struct {
	code           int
	stdout, stderr string
}

// run runs the binary under another argv[0] if name is not empty.
func run(t *testing.T, name string, args ...string) result {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := exec.Command(tare, args...)
	if name != "" {
		cmd.Args[0] = name
	}
	cmd.Stdout, cmd.Stderr = &out, &errs
	cmd.Dir = t.TempDir()
	err := cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	return result{cmd.ProcessState.ExitCode(), out.String(), errs.String()}
}

// The commands that engines wait for are done before any package that only
// help needs is initialised.
func TestOrder(t *testing.T) {
	traced := func(args ...string) string {
		cmd := exec.Command(tare, args...)
		cmd.Env = append(os.Environ(), "GODEBUG=inittrace=1")
		out, _ := cmd.CombinedOutput()
		return string(out)
	}
	late := regexp.MustCompile(`(?m)^init (github\.com/urfave/\S+|text/template\S*|net/\S+|html\S*|crypto/\S+)`)
	if !late.MatchString(traced("--help")) {
		t.Fatal("help does not use urfave/cli: the test sees nothing")
	}
	root := t.TempDir()
	for _, args := range [][]string{{"create", "x"}, {"start", "x"}, {"state", "x"}, {"kill", "x"}, {"delete", "x"}, {"run", "x"}, {"--version"}} {
		out := traced(append([]string{"--root", root, "--rootless=true"}, args...)...)
		if !strings.Contains(out, "init runtime ") {
			t.Fatalf("%v: no trace in %q", args, out)
		}
		if m := late.FindStringSubmatch(out); m != nil {
			t.Errorf("%v: initialises %s", args, m[1])
		}
	}
	// Package withsystemd: D-Bus is there for who needs systemd, and only then, and
	// even then urfave/cli is not.
	bundle := t.TempDir()
	if err := os.WriteFile(bundle+"/config.json", []byte("{}"), 0o644); err != nil {
		t.Fatal(err)
	}
	create := []string{"--root", root, "create", "--bundle", bundle, "x"}
	out := traced(append([]string{"--systemd-cgroup"}, create...)...)
	if !strings.Contains(out, "init github.com/godbus/dbus/v5 ") || strings.Contains(out, "init github.com/urfave/") {
		t.Errorf("with systemd: %s", out)
	}
	if n := strings.Count(out, "systemd cannot be reached"); n > 1 || !strings.Contains(out, "tare: ") {
		t.Errorf("the failure is told %d times: %s", n, out)
	}
	if out := traced(create...); strings.Contains(out, "init github.com/godbus/") || strings.Contains(out, "init net ") {
		t.Errorf("without systemd: %s", out)
	}
}

func TestExitCodesAndStreams(t *testing.T) {
	root := t.TempDir()
	help := regexp.MustCompile(`^NAME:\n   \S+( \S+)? - `)
	for _, c := range []struct {
		args   string
		code   int
		stdout string // regular expression
		stderr string
	}{
		{"", 0, help.String(), ""},
		{"-h", 0, help.String(), ""},
		{"help", 0, help.String(), ""},
		{"help start", 0, `^NAME:\n   tare start - `, ""},
		{"help foo", 3, "^$", "tare: No help topic for 'foo'\n"},
		{"start --help", 0, `^NAME:\n   tare start - `, ""},
		{"kill -h", 0, `^NAME:\n   tare kill - `, ""},
		{"foo", 3, "^$", "tare: No help topic for 'foo'\n"},
		{"start", 1, `^Incorrect Usage\.\n\nNAME:\n   tare start - `, "tare: \"start\" requires exactly 1 argument(s)\n"},
		{"kill", 1, `^Incorrect Usage\.\n\nNAME:`, "tare: \"kill\" requires a minimum of 1 argument(s)\n"},
		{"kill a b c", 1, `^Incorrect Usage\.\n\nNAME:`, "tare: \"kill\" requires a maximum of 2 argument(s)\n"},
		{"state --nope x", 1, `^Incorrect Usage: flag provided but not defined: -nope\n\nNAME:\n   tare state - `, "tare: flag provided but not defined: -nope\n"},
		{"--nope", 1, `^Incorrect Usage: flag provided but not defined: -nope\n\nNAME:\n   tare - `, "tare: flag provided but not defined: -nope\n"},
		{"create --bundle", 1, `^Incorrect Usage: flag needs an argument: -bundle\n`, "tare: flag needs an argument: -bundle\n"},
		{"--root ROOT exec x ls", 255, "^$", "tare: exec failed: container does not exist: \"x\"\n"},
		{"exec", 1, `^Incorrect Usage\.\n\nNAME:`, "tare: \"exec\" requires a minimum of 1 argument(s)\n"},
		{"exec --nope x ls", 1, `^Incorrect Usage: `, "tare: flag provided but not defined: -nope\n"},
		// How podman asks whether a runtime can.
		{"checkpoint --help", 0, `^NAME:\n   tare checkpoint - `, ""},
		{"restore --lsm-mount-context", 1, `^Incorrect Usage: flag needs an argument: -lsm-mount-context\n`, "tare: flag needs an argument: -lsm-mount-context\n"},
		{"--root ROOT checkpoint x", 1, "^$", "tare: container does not exist: \"x\"\n"},
		{"--root ROOT restore --image-path /nowhere x", 1, "^$", "tare: restore failed: --image-path: stat /nowhere: no such file or directory\n"},
		{"--root ROOT restore --empty-ns pid x", 1, "^$", "tare: --empty-ns \"pid\": use network\n"},
		{"--root ROOT restore --manage-cgroups-mode all x", 1, "^$", "tare: restore failed: --manage-cgroups-mode \"all\": use soft, full, strict or ignore\n"},
		{"--root / state x", 1, "^$", "tare: Option --root argument should not be set to /\n"},
		{"--log-format xml state x", 1, "^$", "tare: invalid log-format: xml\n"},
		{"--root ROOT state x", 1, "^$", "tare: container does not exist: \"x\"\n"},
		{"--root ROOT kill x NOPE", 1, "^$", "tare: unknown signal \"NOPE\"\n"},
		{"--root ROOT kill -a x -9", 1, "^$", "tare: unknown signal \"-9\"\n"},
		{"--root ROOT delete x", 1, "^$", "tare: container does not exist: \"x\"\n"},
		{"--root ROOT delete --force x", 0, "^$", ""},
		{"--root ROOT delete -r .*", 0, "^$", ""},
		{"--root ROOT delete -r (", 1, "^$", "tare: --regex: error parsing regexp: missing closing ): `(`\n"},
		{"--root ROOT list", 0, "^ID +PID +STATUS +BUNDLE +CREATED +OWNER\n$", ""},
		{"--root ROOT list -f json", 0, "^null\n$", ""},
		{"--root ROOT list -q", 0, "^$", ""},
		{"--root ROOT/none list", 1, "^$", "tare: open ROOT/none: no such file or directory\n"},
		{"--root ROOT list -f xml", 1, "^$", "tare: --format \"xml\": use table or json\n"},
		{"--root ROOT ps -f json x", 1, "^$", "tare: container does not exist: \"x\"\n"},
		{"--root ROOT create --console-socket= x", 1, "^$", "tare: --console-socket must not be empty\n"},
		{"--root ROOT create --preserve-fds -1 x", 1, "^$", "tare: --preserve-fds -1: must not be negative\n"},
		{"plan --format xml", 1, "^$", "tare: --format \"xml\": use text or json\n"},
	} {
		t.Run(c.args, func(t *testing.T) {
			r := run(t, "tare", strings.Fields(strings.ReplaceAll(c.args, "ROOT", root))...)
			if r.code != c.code {
				t.Errorf("exit code %d, want %d", r.code, c.code)
			}
			if !regexp.MustCompile(c.stdout).MatchString(r.stdout) {
				t.Errorf("stdout %.200q, want %s", r.stdout, c.stdout)
			}
			if want := strings.ReplaceAll(c.stderr, "ROOT", root); r.stderr != want {
				t.Errorf("stderr %q, want %q", r.stderr, want)
			}
		})
	}
}

func TestMissingConfig(t *testing.T) {
	for _, cmd := range []string{"create", "run"} {
		r := run(t, "", "--root", t.TempDir(), cmd, "x")
		if r.code != 1 || r.stdout != "" || !strings.HasPrefix(r.stderr, "tare: "+cmd+" failed: ") ||
			!strings.Contains(r.stderr, "JSON specification file config.json not found") || strings.Count(r.stderr, "\n") != 1 {
			t.Errorf("%s: %+v", cmd, r)
		}
	}
}

// Engines parse these lines, and the name in the first of them.
func TestVersion(t *testing.T) {
	form := `^%s version \d+\.\d+\.\d+\S*\ncommit: \S+\nspec: 1\.\d+\.\d+\S*\ngo: go\S+\n$`
	for name, want := range map[string]string{"tare": "tare", "/usr/bin/runc": "runc", "crun": "crun", "/x/tare-new": "tare"} {
		for _, flag := range []string{"--version", "-v", "-V"} {
			r := run(t, name, flag)
			if r.code != 0 || r.stderr != "" || !regexp.MustCompile(strings.ReplaceAll(form, "%s", want)).MatchString(r.stdout) {
				t.Errorf("%s %s: %+v", name, flag, r)
			}
			// Docker takes the version from the last line with that word.
			if strings.Count(r.stdout, "version") != 1 {
				t.Errorf("%s: the word version is in %q more than once", name, r.stdout)
			}
		}
	}
	if r := run(t, "runc", "state"); r.stderr != "runc: \"state\" requires exactly 1 argument(s)\n" || !strings.Contains(r.stdout, "\n   runc state - ") {
		t.Errorf("as runc: %+v", r)
	}
}

func TestLogRecord(t *testing.T) {
	log := filepath.Join(t.TempDir(), "log.json")
	r := run(t, "", "--root", t.TempDir(), "--log", log, "--log-format=json", "state", "x")
	text, err := os.ReadFile(log)
	if err != nil {
		t.Fatal(err)
	}
	var rec map[string]string
	if err := json.Unmarshal(text, &rec); err != nil { // the whole file is one object
		t.Fatalf("%q: %v", text, err)
	}
	if _, err := time.Parse(time.RFC3339, rec["time"]); err != nil || len(rec) != 3 || rec["level"] != "error" || "tare: "+rec["msg"]+"\n" != r.stderr {
		t.Errorf("record %v, stderr %q, %v", rec, r.stderr, err)
	}
}

func TestSpec(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "config.json")
	if r := run(t, "", "spec", "--bundle", dir); r != (result{}) {
		t.Fatalf("%+v", r)
	}
	before, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	r := run(t, "", "spec", "-b", dir, "--rootless")
	if after, _ := os.ReadFile(path); r.code != 1 || r.stderr != "tare: File config.json exists. Remove it first\n" || !bytes.Equal(before, after) {
		t.Errorf("%+v, or the file has changed", r)
	}
	// What it writes can be planned as it is.
	if r := run(t, "", "plan", "-b", dir); r.code != 0 || r.stderr != "" || !strings.Contains(r.stdout, "# process.args") {
		t.Errorf("plan: %+v", r)
	}
	var ops []map[string]any
	if r := run(t, "", "plan", "-b", dir, "--format=json"); json.Unmarshal([]byte(r.stdout), &ops) != nil || len(ops) < 20 {
		t.Errorf("plan --format json: %+v", r)
	}
}

// A config with mistakes is answered with a line for each.
func TestPlanPrintsEveryMistake(t *testing.T) {
	dir := t.TempDir()
	config := `{"ociVersion":"1.3.0","process":{"cwd":"x","args":["sh"],"user":{"uid":0,"gid":0}},"root":{"path":"rootfs"},
		"linux":{"namespaces":[{"type":"nope"},{"type":"mount"}]}}`
	if err := os.WriteFile(filepath.Join(dir, "config.json"), []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	r := run(t, "", "plan", "--bundle", dir)
	lines := strings.Split(strings.TrimSuffix(r.stderr, "\n"), "\n")
	if r.code != 1 || r.stdout != "" || len(lines) < 2 {
		t.Fatalf("%+v", r)
	}
	for _, want := range []string{"tare: process.cwd ", "tare: linux.namespaces[0].type "} {
		found := false
		for _, l := range lines {
			found = found || strings.HasPrefix(l, want)
		}
		if !found {
			t.Errorf("no line begins with %q in %q", want, lines)
		}
	}
}

func TestFeatures(t *testing.T) {
	r := run(t, "", "features")
	var doc struct {
		OCIVersionMin, OCIVersionMax string
		MountOptions                 []string
		Annotations                  map[string]string
	}
	if err := json.Unmarshal([]byte(r.stdout), &doc); err != nil || r.code != 0 || r.stderr != "" {
		t.Fatalf("%+v: %v", r, err)
	}
	if doc.OCIVersionMin != "1.0.0" || doc.OCIVersionMax < "1.3.0" || !strings.Contains(strings.Join(doc.MountOptions, " "), "rro") {
		t.Errorf("%+v", doc)
	}
	if !strings.HasPrefix(r.stdout, "{\n    \"ociVersionMin\"") {
		t.Errorf("not indented by four: %.40q", r.stdout)
	}
	for k, v := range doc.Annotations {
		if v == "" || strings.ContainsAny(v, "\n\r") {
			t.Errorf("annotation %s: %q", k, v)
		}
	}
}
