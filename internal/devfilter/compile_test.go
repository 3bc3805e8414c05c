package devfilter

import (
	"encoding/binary"
	"fmt"
	"math/rand"
	"strings"
	"testing"
)

// interpret runs a program of this compiler and gives up on anything that the
// kernel's verifier would refuse: a jump backwards or out of the program, a
// register that was never written, an unknown instruction.
func interpret(p []Instruction, access Access, typ uint32, maj, min uint32) (uint64, error) {
	ctx := [3]uint32{uint32(access)<<16 | typ, maj, min}
	var reg [11]uint64
	written := [11]bool{context: true}
	for at := 0; ; at++ {
		if at < 0 || at >= len(p) {
			return 0, fmt.Errorf("ran out of the program at %d", at)
		}
		i := p[at]
		op, dst, src := i[0], i[1]&15, i[1]>>4
		offset, imm := int16(binary.LittleEndian.Uint16(i[2:])), binary.LittleEndian.Uint32(i[4:])
		if op != opLoadW && op != opMov && op != opMovImm && op != opExit && !written[dst] {
			return 0, fmt.Errorf("instruction %d reads register %d, which has no value", at, dst)
		}
		switch op {
		case opLoadW:
			if src != context || offset%4 != 0 || offset < 0 || offset > 8 {
				return 0, fmt.Errorf("instruction %d loads from outside", at)
			}
			reg[dst], written[dst] = uint64(ctx[offset/4]), true
		case opMov:
			if !written[src] {
				return 0, fmt.Errorf("instruction %d reads register %d, which has no value", at, src)
			}
			reg[dst], written[dst] = reg[src], true
		case opMovImm:
			reg[dst], written[dst] = uint64(int64(int32(imm))), true
		case opAndImm:
			reg[dst] &= uint64(int64(int32(imm)))
		case opOr:
			if !written[src] {
				return 0, fmt.Errorf("instruction %d reads register %d, which has no value", at, src)
			}
			reg[dst] |= reg[src]
		case opShlImm:
			reg[dst] <<= imm
		case opShrImm:
			reg[dst] >>= imm
		case opNotEq, opEq, opSet:
			if offset < 0 {
				return 0, fmt.Errorf("instruction %d jumps back", at)
			}
			v := uint32(reg[dst])
			if op == opEq && v == imm || op == opNotEq && v != imm || op == opSet && v&imm != 0 {
				at += int(offset)
			}
		case opExit:
			if !written[verdict] || reg[verdict] > 1 {
				return 0, fmt.Errorf("ends with %d", reg[verdict])
			}
			return reg[verdict], nil
		default:
			return 0, fmt.Errorf("instruction %d has the code %#x", at, op)
		}
	}
}

// allowed is what an access list means, told in another way: for each access by
// itself the last rule that matches.
func allowed(rules []Rule, access Access, typ byte, maj, min uint32) bool {
	for bit := Mknod; bit <= Write; bit <<= 1 {
		if access&bit == 0 {
			continue
		}
		ok := false
		for _, r := range rules {
			if (r.Type == 'a' || r.Type == typ) && (r.Major == anyNumber || r.Major == int64(maj)) &&
				(r.Minor == anyNumber || r.Minor == int64(min)) && r.Access&bit != 0 {
				ok = r.Allow
			}
		}
		if !ok {
			return false
		}
	}
	return true
}

func mustParse(t testing.TB, lines ...string) []Rule {
	t.Helper()
	rules, err := Parse(lines)
	if err != nil {
		t.Fatal(err)
	}
	return rules
}

func mustCompile(t testing.TB, rules []Rule) []Instruction {
	t.Helper()
	p, err := Compile(rules)
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestMeaning(t *testing.T) {
	for _, c := range []struct {
		rules string
		yes   string // "c 1:3 rw, b 8:0 m"
		no    string
	}{
		{"", "", "c 1:3 r"},
		{"deny a", "", "c 1:3 r, b 0:0 m"},
		{"allow a", "c 1:3 rwm, b 8:0 rw", ""},
		{"deny a; allow c 1:3 rw", "c 1:3 r, c 1:3 w, c 1:3 rw", "c 1:3 m, c 1:3 rwm, c 1:5 r, b 1:3 r, c 2:3 r"},
		{"deny a; allow c 1:* r; allow c 1:3 w", "c 1:3 rw, c 1:7 r", "c 1:7 w, c 1:7 rw"},
		{"deny a; allow c *:* rwm; deny c 1:3 w", "c 1:3 r, c 1:3 rm, c 5:0 rw", "c 1:3 w, c 1:3 rw, c 1:3 rwm, b 5:0 r"},
		{"deny a; allow c 1:3 rwm; deny a *:3 r; allow c 1:3 m", "c 1:3 w, c 1:3 m, c 1:3 wm", "c 1:3 r, c 1:3 rw"},
		{"allow a; deny b 8:* rwm; allow b 8:1 r", "b 8:1 r, c 8:0 rwm, b 9:0 rwm", "b 8:1 w, b 8:1 rw, b 8:0 r"},
		{"allow c 1:3 rwm; deny a; allow c 1:5 r", "c 1:5 r", "c 1:3 r"},
		{"deny a; allow c 4095:1048575 r", "c 4095:1048575 r", "c 4095:0 r, c 0:1048575 r, b 4095:1048575 r"},
		// Numbers that no device of Linux can have.
		{"deny a; allow c 4096:0 r; allow c 0:1048576 r; allow c 4294967295:* rwm; allow a *:4294967295 rwm", "", "c 0:0 r, c 1:0 r, c 4095:0 r, c 4095:1048575 r"},
	} {
		var lines []string
		if c.rules != "" {
			lines = strings.Split(c.rules, "; ")
		}
		rules := mustParse(t, lines...)
		p := mustCompile(t, rules)
		for want, list := range map[uint64]string{1: c.yes, 0: c.no} {
			for _, q := range strings.Split(list, ", ") {
				if q == "" {
					continue
				}
				r := mustParse(t, "allow "+q)[0]
				typ := uint32(char)
				if r.Type == 'b' {
					typ = block
				}
				got, err := interpret(p, r.Access, typ, uint32(r.Major), uint32(r.Minor))
				if err != nil || got != want {
					t.Errorf("%q: %s is %d, %v; expected %d", c.rules, q, got, err, want)
				}
				if allowed(rules, r.Access, r.Type, uint32(r.Major), uint32(r.Minor)) != (want == 1) {
					t.Errorf("%q: the reference disagrees about %s", c.rules, q)
				}
			}
		}
	}
}

func randomRules(r *rand.Rand) []Rule {
	number := func() int64 { return int64(r.Intn(4)) - 1 }
	rules := make([]Rule, r.Intn(12))
	for i := range rules {
		rules[i] = Rule{r.Intn(2) == 0, "abc"[r.Intn(3)], number(), number(), Access(1 + r.Intn(7))}
	}
	return rules
}

// TestEveryAccess compares the program with the meaning of its list, for every
// access to every device that the random rules can tell apart.
func TestEveryAccess(t *testing.T) {
	r := rand.New(rand.NewSource(1))
	for range 3000 {
		rules := randomRules(r)
		p := mustCompile(t, rules)
		for access := Access(1); access <= all; access++ {
			for device := range 32 {
				typ, maj, min := uint32(device%2+1), uint32(device/2%4), uint32(device/8)
				got, err := interpret(p, access, typ, maj, min)
				if err != nil || (got == 1) != allowed(rules, access, "?bc"[typ], maj, min) {
					t.Fatalf("%+v: access %d to %c %d:%d is %d, %v", rules, access, "?bc"[typ], maj, min, got, err)
				}
			}
		}
	}
}

func TestParseRefuses(t *testing.T) {
	for _, line := range []string{"", "allow", "allow ", "permit a", "allow d 1:3 r", "allow c 1:3", "allow c 1 r", "allow c 1:3 ", "allow c 1:3 x",
		"allow c -1:3 r", "allow c 1:4294967296 r", "allow cc 1:3 r", "deny c 1:3 r w", "deny c :3 r"} {
		if r, err := Parse([]string{line}); err == nil {
			t.Errorf("%q is %+v", line, r)
		}
	}
}

func TestTooManyRules(t *testing.T) {
	rules := make([]Rule, 20000)
	for i := range rules {
		rules[i] = Rule{Type: 'a', Major: 1, Minor: int64(i), Access: Read}
	}
	if p, err := Compile(rules); err == nil {
		t.Errorf("a program of %d instructions", len(p))
	}
	if _, err := Compile(rules[:5000]); err != nil {
		t.Error(err)
	}
}
