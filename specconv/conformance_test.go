package specconv

import (
	"encoding/json"
	"errors"
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/plan"
)

// conformanceRow is one line of the table of fields in docs/conformance.md.
type conformanceRow struct {
	field, since, proof, note string
}

const (
	refused = "no, refused with an error"
	ignored = "ignored"
)

var (
	tableRow = regexp.MustCompile("(?m)^\\| `([^`]+)` \\| ([^|]+) \\| `([^`]+)` \\| ([^|]*)\\|$")
	version  = regexp.MustCompile(`^\d+\.\d+\.\d+$`)
)

// conformanceTable reads the table, which ends the document.
func conformanceTable(t *testing.T) []conformanceRow {
	t.Helper()
	text, err := os.ReadFile("../docs/conformance.md")
	if err != nil {
		t.Fatal(err)
	}
	_, section, ok := strings.Cut(string(text), "\n# Fields\n")
	if !ok {
		t.Fatal("docs/conformance.md has no section Fields")
	}
	var rows []conformanceRow
	for _, m := range tableRow.FindAllStringSubmatch(section, -1) {
		rows = append(rows, conformanceRow{m[1], m[2], m[3], strings.TrimSpace(m[4])})
	}
	if lines := strings.Count(section, "\n| `"); lines != len(rows) {
		t.Fatalf("%d of %d rows have the form of a row", len(rows), lines)
	}
	return rows
}

// Every field of the specification has one row, in its order, and nothing else
// has.
func TestConformanceTableIsComplete(t *testing.T) {
	rows := map[string]bool{}
	for _, r := range conformanceTable(t) {
		if rows[r.field] {
			t.Errorf("%s has two rows", r.field)
		}
		rows[r.field] = true
		if !version.MatchString(r.since) && r.since != refused && r.since != ignored {
			t.Errorf("%s: %q is neither a version nor %q nor %q", r.field, r.since, refused, ignored)
		}
		if r.since == ignored && r.note == "" {
			t.Errorf("%s is ignored without a reason", r.field)
		}
	}
	n := 0
	for _, f := range specFields() {
		if !f.leaf {
			continue
		}
		n++
		if !rows[f.path] {
			t.Errorf("%s has no row", f.path)
		}
		delete(rows, f.path)
	}
	for name := range rows {
		t.Errorf("%s is no field of the specification", name)
	}
	if n < 170 {
		t.Errorf("only %d fields found", n)
	}
}

// proofDirs are the packages whose tests the table can name.
var proofDirs = map[string]string{
	"integration": "../tests/integration", "ops": "../tests/ops", "conformance": "../tests/conformance", "specconv": ".",
	"libcontainer": "../libcontainer", "hooks": "../hooks", "seccomp": "../internal/seccomp", "cgroup": "../internal/cgroup",
}

// testsOf lists the test functions of a package, each with the text of its file.
func testsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil || len(files) == 0 {
		t.Fatalf("no tests in %s: %v", dir, err)
	}
	found := map[string]string{}
	for _, name := range files {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		file, err := parser.ParseFile(token.NewFileSet(), name, text, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, d := range file.Decls {
			if f, ok := d.(*ast.FuncDecl); ok && f.Recv == nil && strings.HasPrefix(f.Name.Name, "Test") {
				found[f.Name.Name] = string(text)
			}
		}
	}
	return found
}

// The test that a row names exists, in a file that speaks of the field. Of the
// golden plans the config has the field, of the tests of operations the operation
// exists.
func TestConformanceProofsExist(t *testing.T) {
	ops := map[string]bool{}
	for _, o := range plan.Codes() {
		ops[o.Name()] = true
	}
	tests := map[string]map[string]string{}
	for pkg, dir := range proofDirs {
		tests[pkg] = testsOf(t, dir)
	}
	for _, r := range conformanceTable(t) {
		pkg, rest, _ := strings.Cut(r.proof, ".")
		name, sub, _ := strings.Cut(rest, "/")
		text, ok := tests[pkg][name]
		if !ok {
			t.Errorf("%s: there is no test %s", r.field, r.proof)
		}
		switch {
		case strings.HasPrefix(name, "TestConformanceOf"): // has every field, from this table
		case sub == "":
			last := r.field[strings.LastIndexByte(r.field, '.')+1:]
			if !strings.Contains(strings.ToLower(text), strings.ToLower(last)) {
				t.Errorf("%s: the file of %s does not speak of it", r.field, r.proof)
			}
		case r.proof == "specconv.TestGolden/"+sub:
			set := map[string]bool{}
			members(readDoc(t, filepath.Join("testdata", sub, "config.json")), "", func(path string, _, _ func()) { set[path] = true })
			if !set[r.field] {
				t.Errorf("%s: the config of %s does not have it", r.field, r.proof)
			}
		case r.proof == "ops.TestEveryOp/"+sub:
			if !ops[sub] {
				t.Errorf("%s: there is no operation %s", r.field, sub)
			}
		default:
			t.Errorf("%s: %s is no subtest that can be looked up", r.field, r.proof)
		}
	}
}

func readDoc(t *testing.T, name string) any {
	t.Helper()
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return parseDoc(t, string(text))
}

func parseDoc(t *testing.T, text string) any {
	t.Helper()
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	var doc any
	if err := d.Decode(&doc); err != nil {
		t.Fatalf("%v in %s", err, text)
	}
	return doc
}

var knownFields = func() map[string]bool {
	known := map[string]bool{}
	for _, f := range specFields() {
		known[f.path] = true
	}
	return known
}()

// members calls visit for every field that is set below path, with functions
// that take it out and put it back. Of a long list it looks at three elements.
func members(v any, path string, visit func(path string, remove, restore func())) {
	switch v := v.(type) {
	case map[string]any:
		for key, child := range v {
			p := strings.TrimPrefix(path+"."+key, ".")
			if !knownFields[p] {
				members(child, path+".*", visit) // a key that the user has chosen
				continue
			}
			visit(p, func() { delete(v, key) }, func() { v[key] = child })
			members(child, p, visit)
		}
	case []any:
		for i, e := range v {
			if i < 3 {
				members(e, path+"[]", visit)
			}
		}
	}
}

// witness is a config that Compile accepts, and its plan, as text and encoded.
type witness struct {
	name string
	in   Input
	doc  any
	plan string
}

// witnesses are the golden plans and the configs of conformanceConfigs.
func witnesses(t *testing.T) []witness {
	t.Helper()
	var out []witness
	for _, name := range goldenCases(t) {
		if !strings.HasPrefix(name, "error-") {
			out = append(out, witness{name: name, in: readCase(t, name), doc: readDoc(t, filepath.Join("testdata", name, "config.json"))})
		}
	}
	for name, c := range conformanceConfigs {
		doc := parseDoc(t, c.config)
		host := strings.Fields(c.facts)
		in := Input{ID: "x", Bundle: "/bundle", Facts: readFacts(t, host[0]), Gate: true}
		for _, k := range host[1:] {
			in.Facts.Cgroup.Hierarchies = append(in.Facts.Cgroup.Hierarchies,
				facts.Hierarchy{Name: k, Controllers: []string{k}, Mount: "/sys/fs/cgroup/" + k, Own: "/"})
		}
		out = append(out, witness{name: name, in: in, doc: doc})
	}
	for i := range out {
		w := &out[i]
		var err error
		if w.plan, err = w.compile(t); err != nil {
			t.Errorf("%s is not accepted: %v", w.name, err)
		}
	}
	return out
}

func (w *witness) compile(t *testing.T) (string, error) {
	t.Helper()
	text, err := json.Marshal(w.doc)
	if err != nil {
		t.Fatal(err)
	}
	spec, errs := ociconfig.DecodeSpec(text)
	if err := errs.Err(); err != nil {
		return "", err
	}
	in := w.in
	in.Spec = spec
	res, err := Compile(in)
	if err != nil {
		return "", err
	}
	return res.Plan.Format() + string(res.Plan.Encode()), nil // the text shortens blobs
}

// outsideThePlan are supported fields that others than the planner honour.
var outsideThePlan = map[string]string{
	"hooks.poststart[].args":    "start runs these hooks",
	"hooks.poststart[].env":     "start runs these hooks",
	"hooks.poststart[].timeout": "start runs these hooks",
	"hooks.poststop[].args":     "delete runs these hooks",
	"hooks.poststop[].env":      "delete runs these hooks",
	"hooks.poststop[].timeout":  "delete runs these hooks",

	"process.execCPUAffinity.initial": "exec has a plan of its own",
	"process.execCPUAffinity.final":   "exec has a plan of its own",
}

// Every field that is said to be supported can be set, and makes a difference:
// without it another plan comes out, or an error. One that is said to be ignored
// can be set, and makes none.
func TestConformanceOfAcceptedFields(t *testing.T) {
	since := map[string]string{}
	for _, r := range conformanceTable(t) {
		since[r.field] = r.since
	}
	set, counts := map[string]bool{}, map[string]bool{}
	for _, w := range witnesses(t) {
		members(w.doc, "", func(path string, remove, restore func()) {
			set[path] = true
			if counts[path] {
				return
			}
			remove()
			if p, err := w.compile(t); err != nil || p != w.plan {
				counts[path] = true
			}
			restore()
		})
	}
	for path, s := range since {
		switch {
		case s == refused:
		case !set[path]:
			t.Errorf("%s: no accepted config of these tests has it", path)
		case s == ignored && counts[path]:
			t.Errorf("%s makes a difference, and is said to be ignored", path)
		case s != ignored && !counts[path] && outsideThePlan[path] == "":
			t.Errorf("%s makes no difference, and is said to be supported", path)
		}
	}
	for path := range outsideThePlan {
		if counts[path] || version.FindString(since[path]) == "" {
			t.Errorf("%s is in the plan, or not supported: take it off the list", path)
		}
	}
}

// Every field that is said to be refused is refused, with an error that names it
// or what it is a part of.
func TestConformanceOfRefusedFields(t *testing.T) {
	for _, r := range conformanceTable(t) {
		config, ok := refusedConfigs[r.field]
		if (r.since == refused) != ok {
			t.Errorf("%s: %s in the table, and there is a config that is refused for it: %v", r.field, r.since, ok)
			continue
		}
		if !ok {
			continue
		}
		doc := parseDoc(t, config)
		set := false
		members(doc, "", func(path string, _, _ func()) { set = set || path == r.field })
		if !set {
			t.Errorf("%s: the config that is refused for it does not have it", r.field)
		}
		w := witness{in: Input{ID: "x", Bundle: "/bundle", Facts: readFacts(t, "hybrid-6.18"), Gate: true}, doc: doc}
		_, err := w.compile(t)
		var inv *field.Invalid
		if !errors.As(err, &inv) || len(inv.Errors) != 1 {
			t.Errorf("%s: %v, want one error", r.field, err)
			continue
		}
		if e := inv.Errors[0]; !within(r.field, withoutIndices(e.Path)) && !within(withoutIndices(e.Path), r.field) {
			t.Errorf("%s: the error is about %s", r.field, e.Path)
		}
	}
}
