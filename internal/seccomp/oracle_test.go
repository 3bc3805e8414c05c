package seccomp

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
)

var update = flag.Bool("update", false, "write testdata/filters.gz with what libseccomp makes")

// oracleSeconds bounds one run of the oracle, in seconds of processor time, which do not
// depend on what else the machine does: libseccomp 2.5.4 never ends on some profiles.
const oracleSeconds = "4"

// An answer is what libseccomp says to a profile.
type answer struct {
	Filter  []byte           // exported BPF
	Refused bool             // two rules contradict each other
	Stuck   bool             // it did not answer
	Newest  map[string]int64 // audit column → greatest number named; see newest
}

// record is the content of testdata/filters.gz.
type record struct {
	Unknown []string          // names in our table that libseccomp does not know
	Answers map[string]answer // by question
}

// question identifies a sample in a record: if the profile or its text change,
// the record is out of date.
func question(s sample) string {
	return fmt.Sprintf("%s %x", s.name, sha256.Sum256([]byte(wireText(s))))
}

const recordFile = "testdata/filters.gz"

func readRecord(t testing.TB) record {
	t.Helper()
	var r record
	if err := json.Unmarshal(readCompressed(t, recordFile), &r); err != nil {
		t.Fatal(err)
	}
	return r
}

func writeRecord(t testing.TB, r record) {
	t.Helper()
	var b bytes.Buffer
	z, err := gzip.NewWriterLevel(&b, gzip.BestCompression)
	if err != nil {
		t.Fatal(err)
	}
	if err := json.NewEncoder(z).Encode(r); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(recordFile, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// buildOracle compiles the oracle, or skips the test with the reason.
func buildOracle(t testing.TB) string {
	t.Helper()
	if runtime.GOARCH != "amd64" {
		t.Skipf("the oracle's answers are compared on amd64, this is %s", runtime.GOARCH)
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skipf("no C compiler: %v", err)
	}
	probe := exec.Command("gcc", "-fsyntax-only", "-x", "c", "-")
	probe.Stdin = strings.NewReader("#include <seccomp.h>\n")
	if out, err := probe.CombinedOutput(); err != nil {
		t.Skipf("no libseccomp header: %v\n%s", err, out)
	}
	bin := filepath.Join(t.TempDir(), "oracle")
	if out, err := exec.Command("gcc", "-Wall", "-Wextra", "-Werror", "-O1", "-o", bin,
		"testdata/oracle/oracle.c", "-lseccomp").CombinedOutput(); err != nil {
		t.Fatalf("compile the oracle: %v\n%s", err, out)
	}
	return bin
}

// ask lets libseccomp compile a profile.
func ask(t testing.TB, bin, text string) answer {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `ulimit -t `+oracleSeconds+`; exec "$0" export`, bin)
	cmd.Stdin = strings.NewReader(text)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit) && exit.Sys().(syscall.WaitStatus).Signaled():
		// SIGKILL, where the soft limit is the hard one
		if s := exit.Sys().(syscall.WaitStatus).Signal(); s != syscall.SIGXCPU && s != syscall.SIGKILL {
			t.Fatalf("oracle: %v\n%s\nprofile:\n%s", err, stderr.String(), text)
		}
		return answer{Stuck: true}
	case errors.As(err, &exit) && exit.ExitCode() == 2:
		return answer{Refused: true}
	case err != nil:
		t.Fatalf("oracle: %v\n%s\nprofile:\n%s", err, stderr.String(), text)
	}
	return answer{Filter: out}
}

// resolveAll asks for the numbers of names: columns in the order of our table.
func resolveAll(t testing.TB, bin string, names []string) map[string][]int64 {
	t.Helper()
	cmd := exec.Command(bin, "resolve")
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n"))
	out, err := cmd.Output()
	if err != nil {
		t.Fatal(err)
	}
	numbers := map[string][]int64{}
	for line := range strings.Lines(string(out)) {
		var name string
		n := make([]int64, 5)
		if _, err := fmt.Sscan(line, &name, &n[0], &n[1], &n[2], &n[3], &n[4]); err != nil {
			t.Fatal(err)
		}
		numbers[name] = n
	}
	return numbers
}

// wireActions are libseccomp's numbers, written down a second time.
var wireActions = map[specs.LinuxSeccompAction]uint32{
	"SCMP_ACT_KILL": 0, "SCMP_ACT_KILL_THREAD": 0, "SCMP_ACT_KILL_PROCESS": 0x80000000,
	"SCMP_ACT_TRAP": 0x30000, "SCMP_ACT_ERRNO": 0x50000, "SCMP_ACT_TRACE": 0x7ff00000,
	"SCMP_ACT_LOG": 0x7ffc0000, "SCMP_ACT_ALLOW": 0x7fff0000, "SCMP_ACT_NOTIFY": 0x7fc00000,
}

var wireOperators = map[specs.LinuxSeccompOperator]int{
	"SCMP_CMP_NE": 1, "SCMP_CMP_LT": 2, "SCMP_CMP_LE": 3, "SCMP_CMP_EQ": 4,
	"SCMP_CMP_GE": 5, "SCMP_CMP_GT": 6, "SCMP_CMP_MASKED_EQ": 7,
}

var wireArchs = map[specs.Arch]string{
	"SCMP_ARCH_X86_64": "x86_64", "SCMP_ARCH_X86": "x86", "SCMP_ARCH_X32": "x32",
	"SCMP_ARCH_AARCH64": "aarch64", "SCMP_ARCH_ARM": "arm",
}

func wireAction(a specs.LinuxSeccompAction, errno *uint) uint32 {
	n := wireActions[a]
	if a == "SCMP_ACT_ERRNO" || a == "SCMP_ACT_TRACE" {
		if errno == nil {
			return n | 1
		}
		return n | uint32(*errno)
	}
	return n
}

// wireText says to the oracle what runc says to libseccomp.
func wireText(s sample) string {
	var b strings.Builder
	fallback := wireAction(s.cfg.DefaultAction, s.cfg.DefaultErrnoRet)
	fmt.Fprintf(&b, "default %d\n", fallback)
	if s.native == "arm64" {
		b.WriteString("native aarch64\n")
	}
	for _, a := range s.cfg.Architectures {
		fmt.Fprintf(&b, "arch %s\n", wireArchs[a])
	}
	for _, call := range s.cfg.Syscalls {
		act := wireAction(call.Action, call.ErrnoRet)
		if act == fallback {
			continue
		}
		seen := map[uint]bool{}
		var args []string
		repeated := false
		for _, a := range call.Args {
			repeated = repeated || seen[a.Index]
			seen[a.Index] = true
			args = append(args, fmt.Sprintf(" %d %d %d %d", a.Index, wireOperators[a.Op], a.Value, a.ValueTwo))
		}
		for _, name := range call.Names {
			if !repeated {
				fmt.Fprintf(&b, "rule %d %s %d%s\n", act, name, len(args), strings.Join(args, ""))
				continue
			}
			for _, a := range args {
				fmt.Fprintf(&b, "rule %d %s 1%s\n", act, name, a)
			}
		}
	}
	return b.String()
}

// without drops names that libseccomp does not know, and rules that then name
// nothing, from a profile.
func without(cfg *specs.LinuxSeccomp, names []string) *specs.LinuxSeccomp {
	out := *cfg
	out.Syscalls = nil
	for _, call := range cfg.Syscalls {
		call.Names = slices.DeleteFunc(slices.Clone(call.Names), func(n string) bool { return slices.Contains(names, n) })
		if len(call.Names) > 0 {
			out.Syscalls = append(out.Syscalls, call)
		}
	}
	return &out
}

// ask every sample, several at a time.
func askAll(t *testing.T, bin string) record {
	var names []string
	for i := range syscalls {
		names = append(names, syscalls[i].name)
	}
	numbers := resolveAll(t, bin, names)
	r := record{Answers: map[string]answer{}}
	for name, n := range numbers {
		if n[0] == -1 {
			r.Unknown = append(r.Unknown, name)
		}
	}
	slices.Sort(r.Unknown)
	var wg sync.WaitGroup
	var mu sync.Mutex
	slots := make(chan bool, runtime.NumCPU())
	for _, s := range samples(t) {
		s.cfg = without(s.cfg, r.Unknown)
		wg.Go(func() {
			slots <- true
			text := wireText(s)
			a := ask(t, bin, text)
			a.Newest = newestNamed(s.cfg, numbers)
			<-slots
			mu.Lock()
			r.Answers[question(s)] = a
			mu.Unlock()
		})
	}
	wg.Wait()
	return r
}

// newestNamed finds the greatest number that a profile names, by column.
func newestNamed(cfg *specs.LinuxSeccomp, numbers map[string][]int64) map[string]int64 {
	out := map[string]int64{}
	for i, column := range []string{"x86_64", "x86", "x32", "aarch64", "arm"} {
		newest := int64(0)
		for _, call := range cfg.Syscalls {
			for _, name := range call.Names {
				if n, ok := numbers[name]; ok && n[i] > newest {
					newest = n[i]
				}
			}
		}
		if newest > 0 {
			out[column] = newest
		}
	}
	return out
}

// TestOracleLive compares with the libseccomp of this machine.
func TestOracleLive(t *testing.T) {
	bin := buildOracle(t)
	r := askAll(t, bin)
	if *update {
		writeRecord(t, r)
	}
	for _, name := range r.Unknown {
		call := findSyscall(name)
		if n := call.nr[abiX86_64]; n >= 0 && n < 424 && name != "uprobe" && name != "uretprobe" {
			t.Errorf("libseccomp does not know %s, which is number %d since before Linux 5.1", name, n)
		}
	}
	compareAll(t, r)
}

// TestOracleRecorded compares with what libseccomp 2.5.4 made; it runs
// everywhere.
func TestOracleRecorded(t *testing.T) {
	compareAll(t, readRecord(t))
}
