// Command slack runs hooks on many threads at once; each prints its timer slack to
// the file that the only argument names.
package main

import (
	"os"
	"runtime"

	"github.com/opencontainers/runtime-spec/specs-go"

	"github.com/tare-oci/tare/hooks"
	_ "github.com/tare-oci/tare/internal/entry" // what it is linked to begin with
)

func main() {
	h := specs.Hook{Path: "/bin/sh", Args: []string{"sh", "-c", "cat /proc/$$/timerslack_ns; sleep 0.1"}, Env: []string{"PATH=/usr/bin:/bin"}}
	done := make(chan error)
	const n = 16
	for range n {
		go func() {
			runtime.LockOSThread() // so that the others get other ones
			done <- hooks.Run("poststart", 0, &h, &hooks.Setting{Dir: "/", Stdout: os.Args[1]})
		}()
	}
	for range n {
		if err := <-done; err != nil {
			println(err.Error())
			os.Exit(1)
		}
	}
}
