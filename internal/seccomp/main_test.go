package seccomp

import (
	"os"
	"testing"
)

// TestMain lets the test binary be its own child: see coldEnv.
func TestMain(m *testing.M) {
	if os.Getenv(coldEnv) != "" {
		compileCold()
	}
	os.Exit(m.Run())
}
