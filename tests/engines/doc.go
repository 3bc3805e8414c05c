// Package engines runs the same scripts through Docker, containerd, podman and
// buildah with runc and with tare, and compares what the engines then say.
//
// Everything happens in a machine of its own: namespaces for mounts, processes,
// network, host name, IPC and cgroups, with /run, /var/lib, /home and /etc that
// belong to the tests. The daemons are started in there on their standard paths
// with the configuration files of contrib/, and end with it. What an engine or a
// runtime leaves behind can therefore be counted exactly: every process, mount,
// cgroup and link in there is ours.
//
// A script is scripts/ENGINE/NAME.sh. It is run once for each runtime, with RT
// set to the runtime's name as the engine knows it. What it prints is the
// transcript; it must be that of NAME.want, and the same for both runtimes,
// except for what differences.go lists with its reason.
//
//	go test ./tests/engines [-run TestDocker/stop] [-args -update]
package engines
