#!/bin/sh
# Namespaces: own, the host's, another container's.
. /run/engines/scripts/lib.sh
docker run --name "$N" --runtime "$RT" -d --hostname first --ipc shareable box sh -c 'sleep 777 & wait' >/dev/null
pid=$(look '{{.State.Pid}}')
ns() { readlink "/proc/$1/ns/$2"; }
compare() { # WHAT OPTION...: which namespaces are the host's, and which the first container's
	_what=$1
	shift
	docker run -d --name "$N-2" --runtime "$RT" "$@" box sleep 1000 >/dev/null || return
	_pid=$(look '{{.State.Pid}}' "$N-2")
	_text=
	for n in cgroup ipc mnt net pid user uts; do
		case $(ns "$_pid" $n) in
		"$(ns self $n)") _text="$_text $n=host" ;;
		"$(ns "$pid" $n)") _text="$_text $n=first" ;;
		esac
	done
	echo "$_what:$_text"
	gone "$N-2"
}
compare own
compare cgroupns --cgroupns private
compare pid --pid host
compare ipc --ipc host
compare uts --uts host
compare net --network host
compare userns --userns host
compare none --network none
compare pid-container --pid "container:$N"
compare ipc-container --ipc "container:$N"
compare net-container --network "container:$N"
compare all-containers --pid "container:$N" --ipc "container:$N" --network "container:$N"
echo "# what that means inside"
until_ sh -c "docker top $N | grep -qE '[0-9] +sleep 777'"
dbox --pid "container:$N" box ps -o args | grep -c 'sleep 777'
dnet --network "container:$N" box hostname
dnet --network none box sh -c 'cat /proc/net/dev | sed 1,2d | cut -d : -f 1'
dnet --network bridge box sh -c 'ip -o -4 addr show eth0 | grep -c 172.17; ip route | grep -c default'
[ "$(dbox --uts host box hostname)" = "$(hostname)" ] && echo "the host's name"
echo "# killing one with the pid namespace of another leaves the other"
docker run -d --name "$N-2" --runtime "$RT" --pid "container:$N" box sh -c 'sleep 888 & sleep 999' >/dev/null
docker kill "$N-2" >/dev/null
docker wait "$N-2"
until_ sh -c "! docker top $N | grep -q 'sleep 888'" && echo "its processes are gone"
look '{{.State.Status}}'
gone "$N-2"
echo "# with the host's pid namespace too"
docker run -d --name "$N-2" --runtime "$RT" --pid host box sh -c "sleep 8877 & sleep 9977" >/dev/null
until_ sh -c "docker top $N-2 | grep -q 'sleep 8877'"
docker kill "$N-2" >/dev/null
docker wait "$N-2"
until_ sh -c "! docker top $N-2 2>/dev/null | grep -q 'sleep 8877'" && echo "its processes are gone"
gone "$N-2"
gone
