// Package allowance is the guard against growing heavier little by little: what
// each command asks of the kernel is counted and held against allowance.json,
// and so are the sizes of the programs and what packages do before main. Counts
// are the same on a busy machine; times are not, and none is judged here.
//
//	go test ./tests/allowance            # as root, with a built tare
//	go test ./tests/allowance -update    # write what is now into the file
//
// A change that needs more raises the file in the same commit, with its reason.
// The file is that of the reference host: amd64, the nine usual cgroup v1
// hierarchies. Elsewhere the test skips.
package allowance
