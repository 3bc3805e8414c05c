//go:build !tare_front

package libcontainer

import (
	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/internal/probe"
	"github.com/tare-oci/tare/specconv"
)

// RootlessSpec is specconv.Default for the user who runs this program, on this host.
func RootlessSpec() *specs.Spec {
	spec := specconv.Default()
	specconv.Rootless(spec, probe.Host(probe.Want{}))
	return spec
}
