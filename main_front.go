//go:build tare_front

// Command tare is an OCI low-level container runtime. This is its front: see
// package whole.
package main

import (
	"os"

	_ "github.com/tare-oci/tare/internal/cli/early"
	"github.com/tare-oci/tare/internal/whole"
)

// main is for the commands that package early, which has run before it, has left.
func main() {
	err := whole.Exec()
	_, _ = os.Stderr.WriteString("tare: " + err.Error() + "\n")
	os.Exit(1)
}
