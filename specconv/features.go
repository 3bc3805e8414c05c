package specconv

import (
	"sort"

	"github.com/opencontainers/runtime-spec/specs-go"
	"github.com/opencontainers/runtime-spec/specs-go/features"

	"github.com/tare-oci/tare/internal/plan"
	"github.com/tare-oci/tare/internal/seccomp"
)

// Features is the features structure (features.md): what a config may ask for,
// read out of the tables that Compile itself uses, whatever this host can do.
func Features() *features.Features {
	yes := true
	unsafe := append([]string{"bundle", "org.systemd.property.", "org.criu.config"}, annotations[:]...)
	names := make([]string, len(nsTypes))
	for i := range nsTypes {
		names[i] = string(nsTypes[i].name)
	}
	sort.Strings(names)
	caps := make([]string, plan.LastCap+1)
	for i := range caps {
		caps[i] = plan.CapName(uint(i))
	}
	return &features.Features{
		OCIVersionMin: "1.0.0",
		OCIVersionMax: specs.Version,
		Hooks:         []string{"prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"},
		MountOptions:  MountOptionNames(),
		Linux: &features.Linux{
			Namespaces:   names,
			Capabilities: caps,
			Cgroup:       &features.Cgroup{V1: &yes, V2: &yes, Systemd: &yes, SystemdUser: &yes, Rdma: &yes},
			Seccomp: &features.Seccomp{Enabled: &yes, Actions: seccomp.Actions(), Operators: seccomp.Operators(),
				Archs: seccomp.Archs(), KnownFlags: seccomp.Flags(), SupportedFlags: seccomp.Flags()},
			Apparmor:        &features.Apparmor{Enabled: &yes},
			Selinux:         &features.Selinux{Enabled: &yes},
			IntelRdt:        &features.IntelRdt{Enabled: &yes, Schemata: &yes, Monitoring: &yes},
			MemoryPolicy:    &features.MemoryPolicy{Modes: nameList(memoryModes), Flags: nameList(memoryFlags)},
			MountExtensions: &features.MountExtensions{IDMap: &features.IDMap{Enabled: &yes}},
			NetDevices:      &features.NetDevices{Enabled: &yes},
		},
		Annotations: map[string]string{"org.opencontainers.runc.checkpoint.enabled": "true"},
		// Engines that let users set annotations filter these, which a runtime of
		// this kind may act on.
		PotentiallyUnsafeConfigAnnotations: unsafe,
	}
}

func nameList(table []named) []string {
	out := make([]string, len(table))
	for i := range table {
		out[i] = table[i].name
	}
	return out
}
