// Package network tests tare-net from outside: containers that a real runtime
// starts, in network namespaces of which one plays the host and one the world
// beyond it. Each test names the checks of docs/network.md that it proves.
//
// TARE is the runtime, TARE_NET the hook; by default those that `make` builds.
package network
