// Package guest has the tests of engines that need a machine of their own, which
// tests/vm starts: systemd that manages the cgroups, all capabilities, CRIU. They
// are scripts as those of package engines, run with runc and with tare, and what
// they print is held against the same transcript.
package guest
