//go:build tare_net_fault

package network

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// fault makes a step fail or kills the process, as the environment says:
// TARE_NET_FAULT=fail:STEP or kill:STEP. With hold:STEP it makes the file that
// TARE_NET_HELD names, and waits until somebody removes it. Only test builds have it.
func fault(step string) error {
	how, at, _ := strings.Cut(os.Getenv("TARE_NET_FAULT"), ":")
	if at != step {
		return nil
	}
	if how == "kill" {
		_ = unix.Kill(os.Getpid(), unix.SIGKILL)
		select {}
	}
	if file := os.Getenv("TARE_NET_HELD"); how == "hold" {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return err
		}
		for {
			if _, err := os.Stat(file); err != nil {
				return nil
			}
			time.Sleep(5 * time.Millisecond)
		}
	}
	return fmt.Errorf("fault asked for at step %s", step)
}
