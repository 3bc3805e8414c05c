//go:build tare_net_fault

package network

import (
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// fault makes a step fail or kills the process, as the environment says:
// TARE_NET_FAULT=fail:STEP or kill:STEP. Only test builds have it.
func fault(step string) error {
	how, at, _ := strings.Cut(os.Getenv("TARE_NET_FAULT"), ":")
	if at != step {
		return nil
	}
	if how == "kill" {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	return fmt.Errorf("fault asked for at step %s", step)
}
