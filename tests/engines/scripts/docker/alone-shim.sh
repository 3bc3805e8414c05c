#!/bin/sh
# The shim is killed: the engine cleans up with the runtime's delete --force.
. /run/engines/scripts/lib.sh
drun -d box sleep 1000 >/dev/null
id=$(look '{{.Id}}')
pid=$(look '{{.State.Pid}}')
shim=$(awk '/^PPid:/ {print $2}' "/proc/$pid/status")
tr '\0' ' ' <"/proc/$shim/cmdline" | grep -c "containerd-shim-runc-v2.*$id"
[ "$(find /run/docker/runtime-*/moby -maxdepth 1 -name "$id*" | wc -l)" -ge 1 ] && echo "has state"
kill -9 "$shim"
docker wait "$N"
look '{{.State.Status}}'
until_ sh -c "! [ -e /proc/$pid ]" && echo "its process is gone"
until_ sh -c "! ls -d /run/docker/runtime-*/moby/$id* /sys/fs/cgroup/*/docker/$id 2>/dev/null | grep -q ." && echo "its state and cgroups are gone"
docker start "$N" >/dev/null
look '{{.State.Status}}'
gone
