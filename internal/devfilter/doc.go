// Package devfilter restricts a cgroup of cgroup v2 to some devices, which v1 had
// a controller for and v2 leaves to an eBPF program: it compiles an access list,
// loads the program and attaches it (Documentation/admin-guide/cgroup-v2.rst,
// "Device controller").
//
// The kernel asks the program about every open(2) and mknod(2) of a device node
// by a process in the cgroup or below it. When several programs are attached, by
// systemd, to a cgroup above, all of them have to allow it; so nothing that is
// attached here can allow more than before.
package devfilter
