// Package version knows which tare this is.
package version

import (
	"runtime"
	"runtime/debug"

	"github.com/opencontainers/runtime-spec/specs-go"
)

// Set by the linker (-X); the fallback is for `go build` and `go install`.
var (
	version = "0.1.0"
	commit  = ""
)

// Version is the release, "0.1.0".
func Version() string { return version }

// Spec is the version of the OCI runtime specification that is implemented.
func Spec() string { return specs.Version }

// Go is the version of the toolchain.
func Go() string { return runtime.Version() }

// Commit is the revision of the sources, "-dirty" appended when they were
// changed, or "unknown".
func Commit() string {
	if commit != "" {
		return commit
	}
	info, ok := debug.ReadBuildInfo()
	if !ok {
		return "unknown"
	}
	rev, dirty := "unknown", ""
	for _, s := range info.Settings {
		switch {
		case s.Key == "vcs.revision":
			rev = s.Value
		case s.Key == "vcs.modified" && s.Value == "true":
			dirty = "-dirty"
		}
	}
	return rev + dirty
}
