// Package netdev moves network devices from the runtime's network namespace
// into a container's (config-linux.md, Network Devices), and back when a
// container could not be made.
//
// It speaks rtnetlink(7) itself: five requests are all that this needs, and the
// libraries for it bring package net, tables that are made at every start, and
// ten times the code.
//
// A device is moved under a name that nobody else has, and renamed where it has
// arrived: that makes it certain which device it is there, whatever index it
// got, and that a name which is taken, or a template such as "eth%d", is judged
// by the kernel. The kernel keeps MTU and hardware address over a move, and
// drops the addresses: those that are permanent and of global scope are set
// again.
package netdev
