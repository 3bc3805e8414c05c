//go:build !tare_front

// Command tare is an OCI low-level container runtime.
package main

import (
	"os"

	"github.com/tare-oci/tare/internal/cli/early"
	"github.com/tare-oci/tare/internal/cli/usage"
	_ "github.com/tare-oci/tare/internal/cli/withsystemd"
)

// main prints help. Commands have run, and ended the program, before it begins:
// see packages early and
// withsystemd.
func main() {
	usage.Print(early.Help, os.Stdout)
	os.Exit(early.Code)
}
