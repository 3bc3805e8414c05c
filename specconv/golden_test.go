package specconv

import (
	"bytes"
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/tare-oci/tare/internal/facts"
	"github.com/tare-oci/tare/internal/field"
	"github.com/tare-oci/tare/internal/ociconfig"
	"github.com/tare-oci/tare/internal/plan"
)

var update = flag.Bool("update", false, "write the golden files anew")

// goldenCase is testdata/<case>/case.json: what goes into Compile beside the
// config. Zero values are those of a plain create.
type goldenCase struct {
	Facts         string // testdata/facts/<name>.json
	Run           bool   // without the gate
	NoPivot       bool
	NoNewKeyring  bool
	PreserveFDs   int
	SystemdCgroup bool
	NoCgroup      bool
}

func readFacts(t testing.TB, name string) *facts.Facts {
	t.Helper()
	data, err := os.ReadFile(filepath.Join("testdata", "facts", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	f := new(facts.Facts)
	dec := json.NewDecoder(bytes.NewReader(data))
	dec.DisallowUnknownFields()
	if err := dec.Decode(f); err != nil {
		t.Fatalf("facts %s: %v", name, err)
	}
	return f
}

// goldenCases returns the names of the directories with a config.
func goldenCases(t testing.TB) []string {
	t.Helper()
	paths, err := filepath.Glob("testdata/*/config.json")
	if err != nil || len(paths) < 30 {
		t.Fatalf("%d golden cases, %v", len(paths), err)
	}
	var out []string
	for _, p := range paths {
		out = append(out, filepath.Base(filepath.Dir(p)))
	}
	return out
}

// readCase is the input of one case, decoded anew each time.
func readCase(t testing.TB, name string) Input {
	t.Helper()
	dir := filepath.Join("testdata", name)
	text, err := os.ReadFile(filepath.Join(dir, "case.json"))
	if err != nil {
		t.Fatal(err)
	}
	var g goldenCase
	dec := json.NewDecoder(bytes.NewReader(text))
	dec.DisallowUnknownFields()
	if err := dec.Decode(&g); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	config, err := os.ReadFile(filepath.Join(dir, "config.json"))
	if err != nil {
		t.Fatal(err)
	}
	spec, errs := ociconfig.DecodeSpec(config)
	if err := errs.Err(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	return Input{ID: "golden", Bundle: "/bundle", Spec: spec, Facts: readFacts(t, g.Facts), Gate: !g.Run, NoPivot: g.NoPivot, NoNewKeyring: g.NoNewKeyring,
		PreserveFDs: g.PreserveFDs, SystemdCgroup: g.SystemdCgroup, NoCgroup: g.NoCgroup}
}

// printed is a result as the golden files keep it: the plan, with long blobs
// cut, and what else the runtime learns.
func printed(res *Result) string {
	var b strings.Builder
	for _, line := range strings.SplitAfter(res.Plan.Format(), "\n") {
		b.WriteString(cutHex(line))
	}
	for _, w := range res.Warnings {
		b.WriteString("warning: " + w + "\n")
	}
	if res.HostMounts {
		b.WriteString("host mounts\n")
	}
	return b.String()
}

// cutHex shortens runs of more than 256 hexadecimal digits, which are filters and
// CPU masks, to their beginning, length and a checksum.
func cutHex(line string) string {
	hex := func(c byte) bool { return c >= '0' && c <= '9' || c >= 'a' && c <= 'f' }
	for i := 0; i < len(line); i++ {
		j := i
		for j < len(line) && hex(line[j]) {
			j++
		}
		if j-i > 256 {
			sum := uint32(0)
			for _, c := range []byte(line[i:j]) {
				sum = sum*16777619 ^ uint32(c)
			}
			const digits = "0123456789abcdef"
			text := ""
			for k := 28; k >= 0; k -= 4 {
				text += string(digits[sum>>k&15])
			}
			return line[:i] + line[i:i+32] + "...sum:" + text + cutHex(line[j:])
		}
		i = j
	}
	return line
}

// errorText has one line for each error, with its class.
func errorText(t testing.TB, err error) string {
	t.Helper()
	var inv *field.Invalid
	if !errors.As(err, &inv) {
		t.Fatalf("%T is no *field.Invalid: %v", err, err)
	}
	var b strings.Builder
	for _, e := range inv.Errors {
		if e.Class == field.Bug {
			t.Errorf("a bug: %v", e)
		}
		if e.Path == "" || e.Why == "" {
			t.Errorf("error without field or reason: %+v", e)
		}
		b.WriteString(e.Class.String() + " " + e.Error() + "\n")
	}
	return b.String()
}

func TestGolden(t *testing.T) {
	for _, name := range goldenCases(t) {
		t.Run(name, func(t *testing.T) {
			res, err := Compile(readCase(t, name))
			got, file, other := "", "want.plan", "want.err"
			if err != nil {
				file, other = other, file
				got = errorText(t, err)
			} else {
				got = printed(res)
			}
			path := filepath.Join("testdata", name, file)
			if *update {
				_ = os.Remove(filepath.Join("testdata", name, other))
				if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
				return
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatalf("%v; got\n%s", err, got)
			}
			if diff := firstDiff(string(want), got); diff != "" {
				t.Errorf("%s: %s\n(go test -run TestGolden -update, and review)", path, diff)
			}
		})
	}
}

// firstDiff shows the first line that differs.
func firstDiff(want, got string) string {
	w, g := strings.Split(want, "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		var a, b string
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b || i >= len(w) || i >= len(g) {
			return "\nwant " + a + "\ngot  " + b
		}
	}
	return ""
}

// What must hold of every plan, whatever it is for.
func TestGoldenPlansAreSound(t *testing.T) {
	for _, name := range goldenCases(t) {
		first, err := Compile(readCase(t, name))
		if err != nil {
			continue
		}
		wire := checkPlan(t, name, first.Plan)
		for range 8 { // maps are walked in another order each time
			again, err := Compile(readCase(t, name))
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			if !bytes.Equal(wire, again.Plan.Encode()) || printed(first) != printed(again) {
				t.Fatalf("%s: the same config gives two plans", name)
			}
		}
	}
}

// The errors of a config come in one order, too.
func TestGoldenErrorsAreStable(t *testing.T) {
	n := 0
	for _, name := range goldenCases(t) {
		_, err := Compile(readCase(t, name))
		if err == nil {
			continue
		}
		n++
		for range 8 {
			if _, again := Compile(readCase(t, name)); again == nil || again.Error() != err.Error() {
				t.Fatalf("%s:\n%v\n\n%v", name, err, again)
			}
		}
	}
	if n == 0 {
		t.Error("no golden case has an error")
	}
}

// checkPlan validates a plan and sends it through the wire form, and returns that.
func checkPlan(t testing.TB, name string, p *plan.Plan) []byte {
	t.Helper()
	if err := p.Validate(); err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	wire := p.Encode()
	back, err := plan.Decode(wire)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	if len(back.Ops) != len(p.Ops) || !bytes.Equal(back.Encode(), wire) {
		t.Fatalf("%s: the plan does not survive its wire form", name)
	}
	for i := range p.Ops {
		if a, b := p.Args(&p.Ops[i]), back.Args(&back.Ops[i]); back.Ops[i].Code != p.Ops[i].Code || len(p.Slots) == 0 && a != b {
			t.Fatalf("%s: op %d is %s, was %s", name, i, b, a)
		}
	}
	return wire
}
