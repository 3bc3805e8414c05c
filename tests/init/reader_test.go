package initc

import (
	"encoding/binary"
	"math/rand/v2"
	"os/exec"
	"testing"

	"github.com/tare-oci/tare/internal/plan"
)

// agree demands the same verdict of both readers.
func agree(t testing.TB, r *reader, b []byte) (accepted bool) {
	t.Helper()
	_, err := plan.Decode(b)
	check := r.verdict(t, b)
	if (err == nil) != (check == 0) {
		t.Fatalf("internal/plan says %v, %s says check %d (0 accepts), for %d bytes:\n%x", err, r.name, check, len(b), b)
	}
	return err == nil
}

func TestPlansAreAccepted(t *testing.T) {
	r := sanitizedReader(t)
	for name, p := range map[string]*plan.Plan{"full": fullPlan(), "small": smallPlan()} {
		if err := p.Validate(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if !agree(t, r, p.Encode()) {
			t.Errorf("%s: refused by both", name)
		}
	}
}

// Every op of the table must be in the full plan, or its arguments would never
// be held against the reader.
func TestFullPlanHasEveryOp(t *testing.T) {
	seen := map[plan.Code]bool{}
	for _, op := range append(fullPlan().Ops, smallPlan().Ops...) {
		seen[op.Code] = true
	}
	// these three cannot stand in one plan with what replaces them
	for _, c := range []plan.Code{plan.OpUnshare, plan.OpRootMove, plan.OpRootChroot} {
		seen[c] = true
	}
	for _, c := range plan.Codes() {
		if !seen[c] {
			t.Errorf("%s is missing", c.Name())
		}
	}
}

// Every byte of the header, of the op records and of the data is changed to
// several other values.
func TestOneByteMutations(t *testing.T) {
	r := sanitizedReader(t)
	for name, p := range map[string]*plan.Plan{"full": fullPlan(), "small": smallPlan()} {
		good := p.Encode()
		accepted, total := 0, 0
		for i := range good {
			for _, v := range []byte{0, 1, good[i] + 1, good[i] - 1, good[i] ^ 0x80, 0xff, good[i] ^ 4} {
				if v == good[i] {
					continue
				}
				b := append([]byte(nil), good...)
				b[i] = v
				total++
				if agree(t, r, b) {
					accepted++
				}
			}
		}
		t.Logf("%s: %d of %d mutations leave a plan", name, accepted, total)
		if accepted == 0 || accepted == total {
			t.Errorf("%s: %d of %d mutations are accepted; the test shows nothing", name, accepted, total)
		}
	}
}

func TestHeaderMutationsAreRefused(t *testing.T) {
	r := sanitizedReader(t)
	good := fullPlan().Encode()
	for i := range 64 {
		if i >= 28 && i < 32 {
			continue // a larger table of descriptors is as good
		}
		for v := 1; v < 256; v++ {
			b := append([]byte(nil), good...)
			b[i] ^= byte(v)
			if agree(t, r, b) {
				t.Errorf("header byte %d as %#x: accepted", i, b[i])
			}
		}
	}
}

func TestTruncations(t *testing.T) {
	r := sanitizedReader(t)
	good := smallPlan().Encode()
	for n := range good {
		agree(t, r, good[:n])
		// with a header that agrees, the cut goes through ops or data
		if n >= 68 {
			b := append([]byte(nil), good[:n]...)
			binary.LittleEndian.PutUint32(b[16:], uint32(n))
			agree(t, r, b)
		}
	}
	for _, more := range []int{1, 3, 4, 64} {
		b := append(append([]byte(nil), good...), make([]byte, more)...)
		agree(t, r, b)
		binary.LittleEndian.PutUint32(b[16:], uint32(len(b)))
		agree(t, r, b)
	}
}

// mutate changes a plan where it hurts: fields of records, offsets of strings,
// lengths of blobs, the sizes in the header.
func mutate(rnd *rand.Rand, b []byte) []byte {
	out := append([]byte(nil), b...)
	le := binary.LittleEndian
	for range 1 + rnd.IntN(3) {
		switch ops := int(le.Uint32(b[20:])); rnd.IntN(7) {
		case 0: // any byte
			out[rnd.IntN(len(out))] = byte(rnd.Uint32())
		case 1: // an offset of a string or blob
			at := 64 + 64*rnd.IntN(ops) + 40 + 4*rnd.IntN(5)
			if at+4 <= len(out) {
				le.PutUint32(out[at:], rnd.Uint32N(uint32(len(b))))
			}
		case 2: // an offset near the end of everything
			at := 64 + 64*rnd.IntN(ops) + 40 + 4*rnd.IntN(5)
			if at+4 <= len(out) {
				le.PutUint32(out[at:], uint32(len(b)-64-64*ops-8+rnd.IntN(12)))
			}
		case 3: // a word
			at := 4 * rnd.IntN(len(out)/4)
			le.PutUint32(out[at:], []uint32{0, 1, 4, 0xffffffff, 0x7fffffff, 0x80000000, uint32(len(b))}[rnd.IntN(7)])
		case 4: // one record over another
			from, to := 64+64*rnd.IntN(ops), 64+64*rnd.IntN(ops)
			if max(from, to)+64 <= len(out) {
				copy(out[to:to+64], b[from:from+64])
			}
		case 5: // the same length in a header that says so
			out = out[:68+rnd.IntN(len(out)-67)]
			le.PutUint32(out[16:], uint32(len(out)))
		case 6: // a size in the header
			at := 16 + 4*rnd.IntN(5)
			le.PutUint32(out[at:], le.Uint32(out[at:])+uint32(rnd.IntN(5))-2)
		}
		if len(out) < 72 {
			break
		}
	}
	return out
}

// The seed is fixed, so that a failure comes again.
func TestRandomMutations(t *testing.T) {
	r := sanitizedReader(t)
	rnd := rand.New(rand.NewPCG(20, 26))
	plans := [][]byte{fullPlan().Encode(), smallPlan().Encode()}
	n := 60000
	if testing.Short() {
		n = 5000
	}
	accepted := 0
	for i := range n {
		if agree(t, r, mutate(rnd, plans[i%2])) {
			accepted++
		}
	}
	t.Logf("%d of %d mutations leave a plan", accepted, n)
	if accepted == 0 {
		t.Error("no mutation was accepted; the test shows nothing")
	}
}

// The reader as the other machine's compiler builds it gives the same verdicts:
// sizes, alignment and byte order are the same.
func TestReaderOnArm64(t *testing.T) {
	qemu, err := exec.LookPath("qemu-aarch64-static")
	if err != nil {
		t.Skipf("no emulator: %v", err)
	}
	program := build(t, "reader.arm64", "aarch64-linux-gnu-gcc", []string{"-std=gnu17", "-Os", "-static", "-I" + initDir, "-DTARE_HOSTED", "-fno-builtin", "-Wall", "-Wextra", "-Werror"},
		driver, initDir+"/reader.c", initDir+"/lib.c")
	r := startReader(t, "the init's reader on arm64", qemu, program)
	rnd := rand.New(rand.NewPCG(20, 64))
	good := fullPlan().Encode()
	if !agree(t, r, good) {
		t.Error("a valid plan is refused")
	}
	for range 5000 {
		agree(t, r, mutate(rnd, good))
	}
}

func FuzzReader(f *testing.F) {
	f.Add(fullPlan().Encode())
	f.Add(smallPlan().Encode())
	r := sanitizedReader(f)
	f.Fuzz(func(t *testing.T, b []byte) { agree(t, r, b) })
}
