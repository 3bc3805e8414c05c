package main

import (
	"maps"
	"strings"
	"testing"
)

// The lines are those of perf 6.1 script -F comm,ip,sym,dso.
const perfOutput = `tare 
	    45d2c1 [unknown] (/tmp/tare)

tare 
	ffffffff81a3 kernfs_fop_open+0x10 ([kernel.kallsyms])
	ffffffff81a2 do_sys_openat2 ([kernel.kallsyms])
	ffffffff81a1 __x64_sys_openat ([kernel.kallsyms])
	ffffffff81a0 entry_SYSCALL_64_after_hwframe ([kernel.kallsyms])
	    45d2c1 [unknown] (/tmp/tare)

tare:init 
	ffffffff81a3 clear_page_erms ([kernel.kallsyms])
	ffffffff81a2 exc_page_fault ([kernel.kallsyms])
	ffffffff81a1 __x64_sys_openat ([kernel.kallsyms])

tare:init 
	    55d2c1 [unknown] (/memfd:tare-init (deleted))

sh 
	ffffffff81a1 __x64_sys_clone ([kernel.kallsyms])

payload 
	ffffffff81a1 unmap_vmas ([kernel.kallsyms])
	ffffffff81a1 do_exit ([kernel.kallsyms])
	ffffffff81a1 __x64_sys_exit_group ([kernel.kallsyms])
`

func TestReadProfileDividesTheSamples(t *testing.T) {
	p, err := readProfile(strings.NewReader(perfOutput), []string{"tare", "tare:init", "payload"})
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]int{partGo: 1, partCgroups: 1, partFaults: 1, partInit: 1, partExit: 1}
	if !maps.Equal(p.Parts, want) {
		t.Errorf("parts %v, want %v", p.Parts, want)
	}
	if got := p.kernelShare(); got < 0.599 || got > 0.601 {
		t.Errorf("share of the kernel %v, want 3 of 5", got)
	}
	if _, err := readProfile(strings.NewReader(""), []string{"tare"}); err == nil {
		t.Error("no samples: no error")
	}
}
