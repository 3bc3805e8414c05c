package plan

import (
	"fmt"
	"hash/fnv"
	"strings"
)

// kind numbers in the C header; the order is argKind's.
var kindNames = [...]string{"", "STR", "STR_OPT", "LIST", "BYTES", "NUM", "NUM", "NUM", "NUM", "NUM", "NUM", "SLOT_IN", "SLOT_OPT", "SLOT_OUT", "NUM"}

// TableHash hashes everything about the table that the two interpreters must
// agree on: codes, sides, phases, arguments, flags, steps.
func TableHash() uint64 {
	h := fnv.New64a()
	for _, c := range Codes() {
		r := &table[c]
		fmt.Fprintf(h, "%d %s %d %d %d %t %x %v %v\n", c, r.name, r.side, r.phase, r.lastPhase(), r.early, r.flagMask(), r.uses, r.fills)
		for _, a := range r.args {
			fmt.Fprintf(h, " %s %d %d\n", a.name, a.kind, a.at)
		}
	}
	fmt.Fprintln(h, stepNames, headerSize, opSize, uint64(magic), MaxSlots, MaxPassed, MaxOps, MaxSize)
	return h.Sum64()
}

func cName(s string) string { return strings.ToUpper(strings.ReplaceAll(s, "-", "_")) }

// CHeader prints init/plan_gen.h.
func CHeader() string {
	var b strings.Builder
	p := func(format string, a ...any) { fmt.Fprintf(&b, format, a...) }
	p("/* Generated from internal/plan by internal/gen/planheader. Do not edit. */\n#pragma once\n\n")
	p("#define PLAN_MAGIC %#xull\n#define PLAN_ABI %#xull\n", uint64(magic), TableHash())
	p("#define PLAN_HEADER_SIZE %d\n#define PLAN_OP_SIZE %d\n#define PLAN_MAX_SIZE %d\n#define PLAN_MAX_OPS %d\n#define PLAN_MAX_SLOTS %d\n#define PLAN_FIRST_DYNAMIC %d\n#define PLAN_MAX_PASSED %d\n#define PLAN_PHASE_BESIDE %d\n\n",
		headerSize, opSize, MaxSize, MaxOps, MaxSlots, FirstDynamic, MaxPassed, PhaseBeside)
	p("enum plan_side { SIDE_HOST, SIDE_INIT, SIDE_BOTH };\n\nenum plan_slot {\n")
	for i, n := range fixedSlots {
		p("\tSLOT_%s = %d,\n", cName(n), i)
	}
	p("};\n\nenum op_code {\n")
	for _, c := range Codes() {
		p("\tOP_%s = %d,\n", cName(c.Name()), c)
	}
	p("};\n#define OP_COUNT %d\n\nenum plan_step {\n", opCount)
	for i, s := range stepNames {
		p("\tSTEP_%s = %d,\n", cName(s), i)
	}
	p("};\n\n/* where each op keeps its arguments */\nenum {\n")
	for _, c := range Codes() {
		for _, a := range table[c].args {
			p("\t%s_%s = %d,\n", cName(c.Name()), cName(a.name), a.at)
		}
	}
	p("};\n\n/* flags */\nenum {\n")
	for _, f := range []struct {
		n string
		v uint32
	}{{"IGNORE", FlagIgnore}, {"RECURSIVE", FlagRecursive}, {"MAKE_DIR", FlagMakeDir}, {"MAKE_FILE", FlagMakeFile}, {"REAL_DIR", FlagRealDir},
		{"COPY_UP", FlagCopyUp}, {"LEGACY", FlagLegacy}, {"V2", FlagV2}, {"KEEP_GROUPS", FlagKeepGroups}, {"SUPERBLOCK", FlagFlagsSet},
		{"PARENT_PRIVATE", FlagParentPriv}, {"PRIVATE", FlagPrivate}, {"KEEP_MODE", FlagKeepMode},
		{"CLOSE", FlagClose}, {"BIND", FlagBind}, {"STATE_PREPARED", FlagPrepared}, {"TERMINAL", FlagTerminal}} {
		p("\tFLAG_%s = %#x,\n", f.n, f.v)
	}
	p("};\n\nenum plan_kind { KIND_NONE, KIND_STR, KIND_STR_OPT, KIND_LIST, KIND_BYTES, KIND_NUM, KIND_SLOT_IN, KIND_SLOT_OPT, KIND_SLOT_OUT };\n\n")
	p("struct op_info {\n\tunsigned char side, phase, last, fills;\n\tunsigned int flags;\n\tunsigned char num[4], str[3], blob[2], early;\n};\n\n")
	p("/* one row per code; fills names the fixed slot that the op fills. The file that defines\n" +
		" * PLAN_TABLE has them. */\nextern const struct op_info op_infos[OP_COUNT] __attribute__((visibility(\"hidden\")));\n" +
		"#ifdef PLAN_TABLE\nconst struct op_info op_infos[OP_COUNT] = {\n")
	for _, c := range Codes() {
		r := &table[c]
		var num, str, blob [4]string
		for i := range num {
			num[i], str[i], blob[i] = "0", "0", "0"
		}
		for _, a := range r.args {
			k := "KIND_" + kindNames[a.kind]
			switch a.kind {
			case argStr, argStrOpt:
				str[a.at] = k
			case argList, argBytes:
				blob[a.at] = k
			default:
				num[a.at] = k
			}
		}
		fills := Slot(0)
		if len(r.fills) > 0 {
			fills = r.fills[0]
		}
		early := 0
		if r.early {
			early = 1
		}
		p("\t[OP_%s] = {%d, %d, %d, %d, %#x, {%s}, {%s}, {%s}, %d},\n", cName(c.Name()), r.side, r.phase, r.lastPhase(), fills, r.flagMask(),
			strings.Join(num[:4], ", "), strings.Join(str[:3], ", "), strings.Join(blob[:2], ", "), early)
	}
	p("};\n#endif\n")
	return b.String()
}

// DocTable prints docs/plan.md.
func DocTable() string {
	var b strings.Builder
	b.WriteString("# The operations of a plan\n\n" +
		"Generated from `internal/plan`; `tare plan --bundle DIR` prints the plan of a bundle. Each op belongs to a phase and a side;\n" +
		"sync ops are run by both sides and are the only places where one waits for the other. In the phase `beside`, which not every\n" +
		"plan has, both sides are at work at once, until `fd-pass`.\n\n" +
		"| op | side | phase | what it does | arguments | flags |\n|---|---|---|---|---|---|\n")
	for _, c := range Codes() {
		r := &table[c]
		var args, flags []string
		for _, a := range r.args {
			args = append(args, "`"+a.name+"`")
		}
		for _, f := range r.flags {
			flags = append(flags, "`"+f.name+"`")
		}
		ph := r.phase.String()
		if r.lastPhase() != r.phase {
			ph += " to " + r.lastPhase().String()
		}
		if r.early {
			ph += ", or beside"
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s | %s |\n", r.name, r.side, ph, r.doc, strings.Join(args, " "), strings.Join(flags, " "))
	}
	return b.String()
}
