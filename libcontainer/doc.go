// Package libcontainer creates, starts, signals and deletes OCI containers. It
// is the runtime itself; the command line (internal/cli) only reads flags for
// it.
//
// It needs no re-execution of the calling program and no init() hook: what runs
// inside a container is a small static program that the package carries along
// and executes from memory.
//
//	r := libcontainer.New("/run/tare")
//	c, err := r.Create(libcontainer.CreateOptions{ID: "web", Bundle: "/bundle"})
//	err = c.Start()
//	code, err := c.Wait()
//	err = c.Delete(libcontainer.DeleteOptions{})
//
// Create compiles the config into a plan (specconv) and runs the host's side of
// it (host.go); the other side is run by the init. The status of a container is
// never stored: it is derived from what can be observed (status.go).
package libcontainer
