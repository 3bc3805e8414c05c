// Package seccomp compiles the seccomp section of a config (runtime-spec
// v1.3.0, config-linux.md "Seccomp") into the classic BPF program that
// seccomp(2) installs.
//
// The package is pure: the same section gives the same bytes on every machine.
// It decides as libseccomp 2.5 driven by runc does, which its tests prove on
// every system call number, but the program is a search tree over ranges of
// numbers instead of a list, so that it is small and quick to install.
//
// What is decided where:
//
//   - Only ABIs that the native machine can enter produce code: x86_64, i386
//     and x32 on amd64; aarch64 and arm on arm64. Every other architecture of
//     the specification is accepted by name and needs none, because a system
//     call can never arrive from it. The native one is always filtered, listed
//     or not.
//   - A call from an ABI that is not listed kills the thread.
//   - Calls of one number: the first rule without arguments wins over all
//     others. Rules with arguments are tried in libseccomp's order (chain.go).
//   - A rule whose action is the default action is dropped.
//   - Numbers above the newest call that the profile names, listed rules that
//     were dropped included, fail with ENOSYS if the default action denies
//     (newest.go).
//   - Unknown names are ignored and listed in Program.Unknown.
//
// The decisions differ from libseccomp 2.5.4 in one respect: where several
// rules with arguments meet in one call, libseccomp may lose a rule when it
// joins them, or compare the wrong word of an argument where its code is
// shared, and then it does what no rule says. Here every decision is that of a
// rule that matches, or the default if none does; the tests hold each
// difference against that.
package seccomp

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/field"
)

// Program is a compiled filter and how to install it.
type Program struct {
	// Filter is an array of struct sock_filter, 8 bytes each, little-endian as
	// on every machine that tare supports. It is at most maxInstructions long.
	Filter []byte
	// Flags are the SECCOMP_FILTER_FLAG_* bits for seccomp(2), with
	// NEW_LISTENER if Listener is set.
	Flags uint32
	// Listener says that a rule uses SCMP_ACT_NOTIFY: seccomp(2) returns a
	// descriptor, which is sent to the socket ListenerPath.
	Listener         bool
	ListenerPath     string // a UNIX socket on the host; empty without Listener
	ListenerMetadata string // opaque, for the agent; empty without Listener
	// Unknown are the names that are no system call of any architecture, once
	// each, in the order of the config.
	Unknown []string
}

// path is where the section is in a config.
const path = "linux.seccomp"

// Compile turns a seccomp section into a program for a machine whose
// architecture Go calls nativeArch: "amd64" or "arm64". It records all that is
// wrong with the section in errs and then returns nil. A nil section asks for no
// filter: the result is nil without an error.
func Compile(cfg *specs.LinuxSeccomp, nativeArch string, errs *field.List) *Program {
	if cfg == nil {
		return nil
	}
	before := errs.Len()
	p, targets := readFor(nativeArch, cfg, errs)
	if errs.Len() > before {
		return nil
	}
	filter := p.compile(targets, errs)
	if errs.Len() > before {
		return nil
	}
	return p.program(cfg, filter)
}

// readFor reads a section, and finds what a filter for the machine must tell apart.
func readFor(nativeArch string, cfg *specs.LinuxSeccomp, errs *field.List) (*profile, []target) {
	p := read(cfg, errs)
	targets := nativeTargets(nativeArch)
	if targets == nil {
		errs.AddHost(path, nativeArch, "no seccomp filter can be compiled for this architecture")
	}
	return p, targets
}

// program is what a filter of this profile is installed with.
func (p *profile) program(cfg *specs.LinuxSeccomp, filter []byte) *Program {
	out := &Program{Filter: filter, Flags: p.flags, Unknown: p.unknown()}
	if p.listener {
		out.Flags |= flagNewListener
		out.Listener = true
		out.ListenerPath = cfg.ListenerPath
		out.ListenerMetadata = cfg.ListenerMetadata
	}
	return out
}
