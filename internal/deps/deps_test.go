package deps

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

const module = "github.com/tare-oci/tare"

type pkg struct {
	ImportPath   string
	Name         string
	Standard     bool
	Dir          string
	Imports      []string
	TestImports  []string
	XTestImports []string
}

// list is `go list -json` at the top of the tree, as the product is built.
func list(t *testing.T, args ...string) []pkg {
	t.Helper()
	cmd := goCommand(append([]string{"list", "-json=ImportPath,Name,Standard,Dir,Imports,TestImports,XTestImports"}, args...)...)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v\n%s", err, stderr.String())
	}
	var all []pkg
	for dec := json.NewDecoder(bytes.NewReader(out)); ; {
		var p pkg
		if err := dec.Decode(&p); errors.Is(err, io.EOF) {
			return all
		} else if err != nil {
			t.Fatal(err)
		}
		all = append(all, p)
	}
}

func goCommand(args ...string) *exec.Cmd {
	cmd := exec.Command("go", args...)
	cmd.Dir = filepath.Join("..", "..")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0", "GOFLAGS=-tags=urfave_cli_no_docs,urfave_cli_no_suggest")
	return cmd
}

// tree is every package of the module but those in folders that git ignores.
func tree(t *testing.T) []pkg {
	t.Helper()
	all := list(t, "./...")
	return slices.DeleteFunc(all, func(p pkg) bool { return strings.HasPrefix(rel(p.ImportPath), "build/") })
}

func rel(importPath string) string {
	return strings.TrimPrefix(strings.TrimPrefix(importPath, module), "/")
}

func isOwn(p string) bool { return p == module || strings.HasPrefix(p, module+"/") }

func isStd(p string) bool { return !strings.Contains(strings.SplitN(p, "/", 2)[0], ".") }

// roomOf finds the rules of a package.
func roomOf(dir string) (room, bool) {
	if r, ok := rooms[dir]; ok {
		return r, true
	}
	for name, r := range rooms {
		if strings.HasSuffix(name, "/") && strings.HasPrefix(dir, name) {
			return r, true
		}
	}
	return room{}, false
}

// mayImport is empty, or says why not.
func (r room) mayImport(p string) string {
	switch {
	case isOwn(p):
		if slices.Contains(r.own, rel(p)) {
			return ""
		}
	case isStd(p):
		if r.std == nil || slices.Contains(r.std, p) {
			return ""
		}
	case slices.Contains(r.other, p):
		return ""
	}
	return r.why
}

func TestArrows(t *testing.T) {
	used := map[string]bool{}
	for _, p := range tree(t) {
		dir := rel(p.ImportPath)
		r, ok := roomOf(dir)
		if !ok && len(p.Imports) == 0 {
			continue // only tests, or nothing
		}
		if !ok {
			t.Errorf("%s has no rules in rooms_test.go: say what it may import, and why", dir)
			continue
		}
		used[dir] = true
		for _, i := range p.Imports {
			if why := r.mayImport(i); why != "" {
				t.Errorf("%s imports %s: %s", or(dir, "main"), i, why)
			}
		}
	}
	for name := range rooms {
		if strings.HasSuffix(name, "/") || used[name] {
			continue
		}
		t.Errorf("rooms_test.go has rules for %s, which does not exist", name)
	}
}

// The black box stays black in its tests too.
func TestIntegrationTestsKnowNoInsides(t *testing.T) {
	r := rooms["tests/integration"]
	for _, p := range list(t, "./tests/integration/...") {
		for _, i := range slices.Concat(p.TestImports, p.XTestImports) {
			if why := r.mayImport(i); isOwn(i) && i != p.ImportPath && why != "" {
				t.Errorf("%s imports %s in a test: %s", rel(p.ImportPath), i, why)
			}
		}
	}
}

// The one program with cgo depends on nothing of tare, and nothing depends on what
// it is linked with.
func TestLibseccompStandsAlone(t *testing.T) {
	const binding = "github.com/seccomp/libseccomp-golang"
	cmd := goCommand("list", "-tags=libseccomp", "-json=ImportPath,Imports", "./cmd/tare-seccomp")
	cmd.Env = append(cmd.Env, "CGO_ENABLED=1")
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("go list: %v", err)
	}
	var p pkg
	if err := json.Unmarshal(out, &p); err != nil {
		t.Fatal(err)
	}
	if !slices.Contains(p.Imports, binding) {
		t.Errorf("cmd/tare-seccomp imports %v, and not %s", p.Imports, binding)
	}
	for _, i := range p.Imports {
		if !isStd(i) && i != binding && i != specs {
			t.Errorf("cmd/tare-seccomp imports %s: it only translates", i)
		}
	}
}

// The rules themselves: an arrow that must never be allowed, whatever a table
// says.
func TestRulesRefuse(t *testing.T) {
	for _, c := range []struct{ from, to string }{
		{"specconv", "os"}, {"specconv", "time"}, {"specconv", "syscall"}, {"specconv", "net"}, {"specconv", "os/exec"}, {"specconv", "math/rand"},
		{"specconv", module + "/libcontainer"}, {"specconv", xsys}, {"internal/plan", module + "/internal/field"}, {"internal/plan", "os"},
		{"internal/facts", "os"}, {"internal/field", "fmt"}, {"internal/seccomp", xsys}, {"hooks", module + "/internal/plan"},
		{"libcontainer", module + "/internal/cli"}, {"libcontainer", urfav}, {"libcontainer", dbus}, {"libcontainer", module + "/libcontainer/systemd"}, {"internal/cli", module + "/libcontainer/systemd"}, {"specconv", dbus}, {"internal/cli", urfav}, {"internal/cli/early", urfav}, {"", module + "/libcontainer"}, {"", "flag"},
		{"tests/integration", module + "/internal/plan"}, {"internal/ociconfig", "encoding/json"},
	} {
		r, ok := roomOf(c.from)
		if !ok {
			t.Errorf("no room %q", c.from)
		} else if r.mayImport(c.to) == "" {
			t.Errorf("%s may import %s", or(c.from, "main"), c.to)
		}
	}
}

func TestNames(t *testing.T) {
	for _, p := range tree(t) {
		for _, name := range []string{p.Name, path.Base(p.ImportPath)} {
			if slices.Contains(vagueNames, name) {
				t.Errorf("%s: %q does not say what is inside", rel(p.ImportPath), name)
			}
		}
	}
}

// reasonAgainst is empty for a package that the binary may carry.
func reasonAgainst(p string) string {
	if tolerated[p] {
		return ""
	}
	for prefix, why := range unwanted {
		if p == prefix || strings.HasPrefix(p, strings.TrimSuffix(prefix, "/")+"/") {
			return why
		}
	}
	return ""
}

func TestBinaryCarriesNothingUnwanted(t *testing.T) {
	importers := map[string][]string{}
	all := list(t, "-deps", ".")
	for _, p := range all {
		for _, i := range p.Imports {
			importers[i] = append(importers[i], p.ImportPath)
		}
	}
	for _, p := range all {
		if why := reasonAgainst(p.ImportPath); why != "" {
			t.Errorf("the binary carries %s (imported by %s): %s", p.ImportPath, strings.Join(importers[p.ImportPath], ", "), why)
		}
	}
}

// The front is what engines wait for: see package whole.
func TestFrontIsSlim(t *testing.T) {
	for _, p := range list(t, "-deps", "-tags", "tare_front", ".") {
		switch i := p.ImportPath; {
		case i == "encoding/json", i == "regexp", i == "html", i == "net", i == "flag", i == "os/signal", strings.HasPrefix(i, "text/template"), strings.HasPrefix(i, "net/"),
			strings.HasPrefix(i, "log"), strings.HasPrefix(i, "crypto"), strings.HasPrefix(i, "compress"):
			t.Errorf("the front carries %s: it costs every command time and memory; what needs it belongs into a file with the build constraint !tare_front", i)
		case !isStd(i) && !isOwn(i) && i != xsys && i != specs && i != feats:
			t.Errorf("the front carries %s", i)
		}
		if r, ok := roomOf(rel(p.ImportPath)); ok && isOwn(p.ImportPath) {
			for _, i := range p.Imports {
				if why := r.mayImport(i); why != "" {
					t.Errorf("%s imports %s: %s", or(rel(p.ImportPath), "main"), i, why)
				}
			}
		}
	}
}

func or(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}
