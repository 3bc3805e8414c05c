package integration

import (
	"strings"
	"testing"

	"github.com/opencontainers/runtime-spec/specs-go"
	"golang.org/x/sys/unix"
)

func TestCapabilitySets(t *testing.T) {
	kill, chown, raw, audit := "CAP_KILL", "CAP_CHOWN", "CAP_NET_RAW", "CAP_AUDIT_WRITE"
	for _, row := range []struct {
		name                                                 string
		caps                                                 *specs.LinuxCapabilities
		uid                                                  uint32
		bounding, effective, permitted, inheritable, ambient string
	}{
		{"absent", nil, 0, capMask(), capMask(), capMask(), capMask(), capMask()},
		{"empty", &specs.LinuxCapabilities{}, 0, capMask(), capMask(), capMask(), capMask(), capMask()},
		{"user keeps permitted only through exec of root", &specs.LinuxCapabilities{Bounding: []string{kill}, Effective: []string{kill}, Permitted: []string{kill}}, 1000,
			capMask(unix.CAP_KILL), capMask(), capMask(), capMask(), capMask()},
		{"ambient of a user", &specs.LinuxCapabilities{Bounding: []string{kill, chown}, Effective: []string{kill}, Permitted: []string{kill, chown},
			Inheritable: []string{kill}, Ambient: []string{kill}}, 1000,
			capMask(unix.CAP_KILL, unix.CAP_CHOWN), capMask(unix.CAP_KILL), capMask(unix.CAP_KILL), capMask(unix.CAP_KILL), capMask(unix.CAP_KILL)},
		// execve of root gives it permitted = effective = bounding (capabilities(7)).
		{"root", &specs.LinuxCapabilities{Bounding: []string{raw, audit}, Effective: []string{raw}, Permitted: []string{raw}}, 0,
			capMask(unix.CAP_NET_RAW, unix.CAP_AUDIT_WRITE), capMask(unix.CAP_NET_RAW, unix.CAP_AUDIT_WRITE), capMask(unix.CAP_NET_RAW, unix.CAP_AUDIT_WRITE), capMask(), capMask()},
		// CVE-2022-29162: nothing is inheritable unless it is listed.
		{"inheritable", &specs.LinuxCapabilities{Bounding: []string{kill, raw}, Effective: []string{kill}, Permitted: []string{kill}, Inheritable: []string{raw}}, 0,
			capMask(unix.CAP_KILL, unix.CAP_NET_RAW), capMask(unix.CAP_KILL, unix.CAP_NET_RAW), capMask(unix.CAP_KILL, unix.CAP_NET_RAW), capMask(unix.CAP_NET_RAW), capMask()},
	} {
		t.Run(strings.ReplaceAll(row.name, " ", "_"), func(t *testing.T) {
			b := newBox(t)
			b.spec.Process.Capabilities = row.caps
			b.spec.Process.User.UID = row.uid
			r := b.probe()
			if !isTare && row.caps == nil {
				return // runc gives what it has itself
			}
			expect(t, "bounding", r.Caps.Bounding, row.bounding)
			expect(t, "effective", r.Caps.Effective, row.effective)
			expect(t, "permitted", r.Caps.Permitted, row.permitted)
			expect(t, "inheritable", r.Caps.Inheritable, row.inheritable)
			expect(t, "ambient", r.Caps.Ambient, row.ambient)
		})
	}
}

// TestCapabilityUnknown: config.md wants a warning, and the container all the same.
func TestCapabilityUnknown(t *testing.T) {
	b := newBox(t, prober())
	for _, set := range []*[]string{&b.spec.Process.Capabilities.Bounding, &b.spec.Process.Capabilities.Permitted, &b.spec.Process.Capabilities.Effective} {
		*set = []string{"CAP_KILL", "CAP_NOPE"}
	}
	r := b.run()
	expect(t, "exit code", r.Code, 0)
	expect(t, "bounding", b.parse(r.Stdout).Caps.Bounding, capMask(unix.CAP_KILL))
}

func TestCapabilityContradictions(t *testing.T) {
	b := newBox(t)
	b.spec.Process.Capabilities = &specs.LinuxCapabilities{Effective: []string{"CAP_KILL"}, Inheritable: []string{"CAP_CHOWN"}}
	b.createFails("process.capabilities.effective", "CAP_KILL", "process.capabilities.inheritable", "CAP_CHOWN")
}

// TestCapabilitiesUserNamespace: a user namespace's root has what the config lists.
func TestCapabilitiesUserNamespace(t *testing.T) {
	b := newBox(t, userNamespace(100000))
	b.own(100000)
	b.spec.Process.Capabilities = &specs.LinuxCapabilities{Bounding: []string{"CAP_SYS_ADMIN"}, Effective: []string{"CAP_SYS_ADMIN"}, Permitted: []string{"CAP_SYS_ADMIN"}}
	expect(t, "effective", b.probe().Caps.Effective, capMask(unix.CAP_SYS_ADMIN))
}
