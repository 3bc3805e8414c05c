package plan

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestEveryOpHasARow(t *testing.T) {
	names := map[string]Code{}
	spelling := regexp.MustCompile(`^[a-z]+(-[a-z0-9]+)*$`)
	for _, c := range Codes() {
		r := &table[c]
		switch {
		case r.name == "":
			t.Errorf("code %d has no row", c)
			continue
		case !spelling.MatchString(r.name):
			t.Errorf("%q is not spelled as an op", r.name)
		case r.doc == "" || strings.HasSuffix(r.doc, "."):
			t.Errorf("%s: doc %q; want half a sentence without a full stop", r.name, r.doc)
		}
		if other, taken := names[r.name]; taken {
			t.Errorf("codes %d and %d are both %q", other, c, r.name)
		}
		names[r.name] = c
		if r.phase >= phaseCount || r.lastPhase() >= phaseCount {
			t.Errorf("%s stands in no phase", r.name)
		}
		if len(r.fills) > 1 {
			t.Errorf("%s fills %d fixed slots, the wire form knows of one", r.name, len(r.fills))
		}
	}
}

// Two arguments in one place would overwrite each other.
func TestArgumentsHaveTheirOwnPlaces(t *testing.T) {
	for _, c := range Codes() {
		r := &table[c]
		taken := map[string]string{}
		for _, a := range r.args {
			area, most := "num", uint8(4)
			switch a.kind {
			case argStr, argStrOpt:
				area, most = "str", 3
			case argList, argBytes:
				area, most = "blob", 2
			}
			if a.at >= most {
				t.Errorf("%s: %s is at %s[%d]", r.name, a.name, area, a.at)
			}
			place := fmt.Sprintf("%s[%d]", area, a.at)
			if other, ok := taken[place]; ok {
				t.Errorf("%s: %s and %s are both %s", r.name, other, a.name, place)
			}
			taken[place] = a.name
		}
		bits := map[uint64]string{}
		for _, f := range r.flags {
			if other, ok := bits[f.bit]; ok {
				t.Errorf("%s: flags %s and %s are one bit", r.name, other, f.name)
			}
			bits[f.bit] = f.name
		}
	}
}

func TestMandatoryOpsAreOps(t *testing.T) {
	for _, c := range mandatory {
		if _, ok := row(c); !ok {
			t.Errorf("mandatory code %d has no row", c)
		}
	}
}

func TestStepNamesAreUnique(t *testing.T) {
	seen := map[string]bool{}
	for i, n := range stepNames {
		if n == "" || seen[n] {
			t.Errorf("step %d is %q, which is empty or taken", i, n)
		}
		seen[n] = true
	}
	if got := Step(len(stepNames)).String(); got != "unknown step" {
		t.Errorf("a step beyond the list is %q", got)
	}
}

// What planheader writes is in the tree as it would write it now.
func TestGeneratedFilesAreCurrent(t *testing.T) {
	top := filepath.Join("..", "..")
	for path, want := range map[string]string{
		"init/plan_gen.h": CHeader(),
		"docs/plan.md":    DocTable(),
	} {
		got, err := os.ReadFile(filepath.Join(top, path))
		if err != nil {
			t.Error(err)
		} else if string(got) != want {
			t.Errorf("%s is not current: make generate", path)
		}
	}
	if ABI() != TableHash() {
		t.Errorf("abi_gen.go has %#x, the table hashes to %#x: make generate", ABI(), TableHash())
	}
}

// An op that the init runs has a case in its dispatch and a handler that is
// declared; -Wswitch-enum proves the first when the init is built.
func TestEveryInitOpHasAHandler(t *testing.T) {
	header, err := os.ReadFile(filepath.Join("..", "..", "init", "ctx.h"))
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range Codes() {
		declared := strings.Contains(string(header), "HANDLER("+strings.ReplaceAll(c.Name(), "-", "_")+");")
		if declared != (c.Side() != Host) {
			t.Errorf("%s, side %s: a handler is declared: %v", c.Name(), c.Side(), declared)
		}
	}
}

func TestCapNames(t *testing.T) {
	for bit := uint(0); bit <= LastCap; bit++ {
		if got, ok := CapBit(CapName(bit)); !ok || got != bit {
			t.Errorf("capability %d is %s, which is %d (%v)", bit, CapName(bit), got, ok)
		}
	}
	for _, name := range []string{"", "CAP_", "chown", "cap_chown", "CAP_NONE", "unknown"} {
		if bit, ok := CapBit(name); ok {
			t.Errorf("%q is capability %d", name, bit)
		}
	}
}
