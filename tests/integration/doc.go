// Package integration tests a container runtime from outside: it runs the
// binary, looks at the host, and looks from inside through the prober, a static
// program that prints everything it can observe about itself.
//
// The binary is the one that the environment variable TARE (or RUNTIME) names,
// ../../tare by default. The tests need root. They run in a mount and a network
// namespace of their own, so that whatever a container leaves behind is seen and
// nothing reaches the host; after every test that is checked (residue.go).
//
// With another runtime, for example RUNTIME=/usr/sbin/runc, the same checks run
// without those of tare's own wordings: so the tests themselves are proven.
package integration
