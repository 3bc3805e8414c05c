//go:build linux && (amd64 || arm64)

package seccomp

import (
	"math/rand/v2"
	"runtime"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/tare-oci/tare/internal/field"
)

// kernelTakes installs a program in a new process and says whether seccomp(2) took it.
func kernelTakes(t *testing.T, filter []byte) bool {
	t.Helper()
	if len(filter) < 8 {
		return false
	}
	status := behind(t, filter, 0, unix.SYS_EXIT_GROUP)
	return status.Exited() && status.ExitStatus() == 0
}

// ends lets a process end whatever the program behind it says.
func ends() []instruction {
	return []instruction{{codeLoad, 0, 0, offsetNr}, {codeJEQ, 0, 1, unix.SYS_EXIT_GROUP}, {codeRet, 0, 0, uint32(retAllow)}}
}

// TestVerifyIsTheKernels damages programs, and asks the kernel about each: what
// Verify takes, the kernel takes; what the kernel refuses, Verify refuses.
func TestVerifyIsTheKernels(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 2))
	codes := []uint16{codeLoad, codeAnd, codeJA, codeJEQ, codeJGT, codeJGE, codeJSET, codeRet, 0x28, 0x16, 0x02, 0x34, 0x60, 0x87, 0xffff, 0}
	taken, refused, stricter := 0, 0, 0
	for seed := range uint64(60) {
		var errs field.List
		p := Compile(randomProfile(seed, runtime.GOARCH), runtime.GOARCH, &errs)
		if p == nil {
			continue
		}
		whole, err := decode(p.Filter)
		if err != nil {
			t.Fatal(err)
		}
		for range 8 {
			damaged := append(ends(), whole...)
			for range r.IntN(3) {
				in := &damaged[3+r.IntN(len(damaged)-3)]
				switch r.IntN(5) {
				case 0:
					in.code = codes[r.IntN(len(codes))]
				case 1:
					in.jt = uint8(r.IntN(256))
				case 2:
					in.jf = uint8(r.IntN(256))
				case 3:
					in.k = r.Uint32N(80)
				case 4:
					in.k = r.Uint32()
				}
			}
			if r.IntN(5) == 0 {
				damaged = damaged[:3+r.IntN(len(damaged)-2)]
			}
			bytes := code(damaged...)
			err := Verify(bytes)
			kernel := kernelTakes(t, bytes)
			switch {
			case err == nil && !kernel:
				t.Fatalf("Verify takes what the kernel refuses: %x", bytes)
			case err == nil:
				taken++
			case !kernel:
				refused++
			case strings.Contains(err.Error(), "which no filter needs"):
				stricter++ // on purpose
			default:
				t.Fatalf("the kernel takes what Verify refuses for %q: %x", err, bytes)
			}
		}
	}
	t.Logf("%d taken and %d refused by both, %d refused by Verify alone", taken, refused, stricter)
	if taken < 50 || refused < 50 {
		t.Error("too few to say anything")
	}
}

// FuzzVerify: whatever bytes Verify takes are a program that ends.
func FuzzVerify(f *testing.F) {
	for seed := range uint64(10) {
		var errs field.List
		if p := Compile(randomProfile(seed, "amd64"), "amd64", &errs); p != nil {
			f.Add(p.Filter)
		}
	}
	f.Add(code(instruction{code: codeRet}))
	f.Add([]byte("#!/bin/sh\n"))
	f.Fuzz(func(t *testing.T, filter []byte) {
		p, err := decode(filter)
		if err != nil {
			return
		}
		for _, nr := range []uint32{0, 59, x32Bit, ^uint32(0)} {
			if _, steps, _ := bpf(p).run(&call{nr: nr, arch: auditX86_64, args: [6]uint64{1, ^uint64(0)}}, nil); steps > len(p) {
				t.Fatalf("%d steps of %d instructions", steps, len(p))
			}
		}
		for native, s := range map[string]uint64{"amd64": 3, "arm64": 4} {
			var errs field.List
			if out := Adopt(randomProfile(s, native), native, filter, &errs); out != nil && Verify(out.Filter) != nil {
				t.Fatalf("with the rule in front: %v", Verify(out.Filter))
			}
		}
	})
}
