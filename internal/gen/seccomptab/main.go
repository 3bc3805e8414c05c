// Command seccomptab writes internal/seccomp/syscalls_table.go: the numbers of
// every system call on the architectures for which the compiler makes code.
//
// Two sources are joined. libseccomp, asked through the oracle program of the
// compiler's tests, decides for all names that it knows, so that a profile
// means the same to both. Its table ends with the kernel of its release; later
// system calls come from golang.org/x/sys/unix. Where both know a name they
// must agree. Linux numbers all new system calls alike since 5.1, which is how
// those of x32, an ABI that x/sys does not have, are found.
//
// Run it with go generate in internal/seccomp; it needs gcc and libseccomp's
// header and library.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"log"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// The columns of the table, in the order in which the oracle prints them.
const (
	x86_64 = iota
	i386
	x32
	aarch64
	arm
	columns
)

const (
	none        = -1      // no such call on this architecture
	x32Bit      = 1 << 30 // set in the number of every x32 call
	unified     = 424     // from here on, all architectures share numbers
	headerNames = "/usr/include/seccomp-syscalls.h"
)

// row is one line of the table.
type row struct {
	nr         [columns]int
	known      bool // to libseccomp, which is then right about x32
	socketcall int  // the first argument of i386's socketcall(2), or 0
	ipc        int  // the first argument of i386's ipc(2), or 0
}

func main() {
	log.SetFlags(0)
	log.SetPrefix("seccomptab: ")
	if len(os.Args) != 2 {
		log.Fatal("usage: seccomptab FILE")
	}
	rows, err := collect()
	if err != nil {
		log.Fatal(err)
	}
	src, err := format.Source(render(rows))
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(os.Args[1], src, 0o644); err != nil {
		log.Fatal(err)
	}
}

func collect() (map[string]*row, error) {
	kernel, err := kernelTables()
	if err != nil {
		return nil, err
	}
	names, err := candidates(kernel)
	if err != nil {
		return nil, err
	}
	rows, err := libseccompTable(names)
	if err != nil {
		return nil, err
	}
	for column, table := range kernel {
		if err := merge(rows, column, table); err != nil {
			return nil, err
		}
	}
	for _, r := range rows {
		if n := r.nr[x86_64]; !r.known && n >= unified {
			r.nr[x32] = n | x32Bit
		}
	}
	return rows, nil
}

var sysnum = regexp.MustCompile(`(?m)^\tSYS_(\w+)\s*= (\d+)$`)

// notCalls are constants of x/sys that bound the number space or mark holes.
var notCalls = regexp.MustCompile(`^(ARCH_SPECIFIC_SYSCALL|SYSCALL_MASK|OABI_SYSCALL_BASE|(RESERVED|UNUSED)\d+)$`)

// kernelTables reads the system call numbers in golang.org/x/sys/unix. The
// column none collects names of the architectures that have no column.
func kernelTables() (map[int]map[string]int, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "golang.org/x/sys").Output()
	if err != nil {
		return nil, fmt.Errorf("find golang.org/x/sys: %w", err)
	}
	files, err := filepath.Glob(filepath.Join(strings.TrimSpace(string(dir)), "unix", "zsysnum_linux_*.go"))
	if err != nil {
		return nil, err
	}
	columnOf := map[string]int{"amd64": x86_64, "386": i386, "arm64": aarch64, "arm": arm}
	tables := map[int]map[string]int{none: {}}
	for _, file := range files {
		src, err := os.ReadFile(file)
		if err != nil {
			return nil, err
		}
		goarch := strings.TrimSuffix(strings.TrimPrefix(filepath.Base(file), "zsysnum_linux_"), ".go")
		column, ok := columnOf[goarch]
		if !ok {
			column = none
		}
		if tables[column] == nil {
			tables[column] = map[string]int{}
		}
		for _, m := range sysnum.FindAllSubmatch(src, -1) {
			if notCalls.Match(m[1]) {
				continue
			}
			n, err := strconv.Atoi(string(m[2]))
			if err != nil {
				return nil, fmt.Errorf("%s: %w", file, err)
			}
			tables[column][strings.ToLower(string(m[1]))] = n
		}
	}
	return tables, nil
}

var headerName = regexp.MustCompile(`#define __SNR_(\w+)`)

// candidates are all names to ask libseccomp for.
func candidates(kernel map[int]map[string]int) ([]string, error) {
	header, err := os.ReadFile(headerNames)
	if err != nil {
		return nil, err
	}
	var names []string
	for _, m := range headerName.FindAllSubmatch(header, -1) {
		names = append(names, string(m[1]))
	}
	for _, table := range kernel {
		for name := range table {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return slices.Compact(names), nil
}

// libseccompTable asks libseccomp for the numbers of names and keeps those
// that it knows. Its negative numbers below -1 stand for "not here", or, on
// i386, for a call that was once only reached through socketcall or ipc.
func libseccompTable(names []string) (map[string]*row, error) {
	dir, err := os.MkdirTemp("", "seccomptab")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	oracle := filepath.Join(dir, "oracle")
	if out, err := exec.Command("gcc", "-O1", "-o", oracle, "testdata/oracle/oracle.c", "-lseccomp").CombinedOutput(); err != nil {
		return nil, fmt.Errorf("compile the oracle: %w\n%s", err, out)
	}
	cmd := exec.Command(oracle, "resolve")
	cmd.Stdin = strings.NewReader(strings.Join(names, "\n"))
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("run the oracle: %w", err)
	}
	rows := map[string]*row{}
	for line := range strings.Lines(string(out)) {
		r := &row{known: true}
		var name string
		if _, err := fmt.Sscan(line, &name, &r.nr[0], &r.nr[1], &r.nr[2], &r.nr[3], &r.nr[4]); err != nil {
			return nil, fmt.Errorf("oracle line %q: %w", line, err)
		}
		if r.nr[x86_64] == none {
			continue
		}
		switch n := -r.nr[i386]; {
		case n > 100 && n <= 120:
			r.socketcall = n - 100
		case n > 200 && n <= 224:
			r.ipc = n - 200
		}
		for i := range r.nr {
			r.nr[i] = max(r.nr[i], none)
		}
		rows[name] = r
	}
	return rows, nil
}

// merge adds what the kernel's table of one column has and libseccomp lacks.
// Numbers that libseccomp knows by another name keep only that name.
func merge(rows map[string]*row, column int, table map[string]int) error {
	taken := map[int]bool{}
	if column != none {
		for _, r := range rows {
			taken[r.nr[column]] = true
		}
	}
	for name, n := range table {
		r := rows[name]
		if column == none {
			// Known somewhere: not a spelling mistake, but nothing to compile.
			if r == nil && n > 0 {
				rows[name] = &row{nr: [columns]int{none, none, none, none, none}}
			}
			continue
		}
		switch {
		case r != nil && r.nr[column] == n:
		case r != nil && r.nr[column] != none:
			return fmt.Errorf("%s: libseccomp has number %d, x/sys has %d", name, r.nr[column], n)
		case taken[n]:
			// An alias, such as fstatat for newfstatat.
		case r == nil:
			r = &row{nr: [columns]int{none, none, none, none, none}}
			rows[name] = r
			fallthrough
		default:
			r.nr[column] = n
		}
	}
	return nil
}

func render(rows map[string]*row) []byte {
	names := make([]string, 0, len(rows))
	for name := range rows {
		names = append(names, name)
	}
	slices.Sort(names)
	var b bytes.Buffer
	b.WriteString(`// Code generated by internal/gen/seccomptab; DO NOT EDIT.

package seccomp

// syscalls has every known system call, ordered by name. The numbers are those
// of x86_64, i386, x32, aarch64 and arm; -1 says that the architecture does not
// have the call.
var syscalls = [...]entry{
`)
	for _, name := range names {
		r := rows[name]
		fmt.Fprintf(&b, "{%q, [abiCount]int32{%d, %d, %d, %d, %d}, %d, %d},\n", name,
			r.nr[x86_64], r.nr[i386], r.nr[x32], r.nr[aarch64], r.nr[arm], r.socketcall, r.ipc)
	}
	b.WriteString("}\n")
	return b.Bytes()
}
