// Package initbin holds the init, the small static C program that runs inside
// a container, and hands it out as a sealed file in memory.
//
// `make` compiles the program into bin/ before it builds tare. Without it the
// packages still build and vet, and Open says what is missing.
package initbin

import (
	"errors"
	"runtime"

	"github.com/tare-oci/tare/internal/sealed"
)

// ErrMissing is returned by Open when tare was built without its init.
var ErrMissing = errors.New("tare was built without its init program; build it with make")

// Open returns a descriptor of the init, close-on-exec, that nobody can change:
// a container that gets hold of its own /proc/self/exe finds a sealed file and
// not a file of the host (CVE-2019-5736).
func Open() (int, error) {
	f, err := files.Open("bin/" + runtime.GOARCH + "/init")
	if err != nil {
		return -1, ErrMissing
	}
	defer f.Close()
	return sealed.Open("init", f)
}
