#!/bin/sh
# shellcheck disable=SC2016 # the shell of the container is meant
# podman with cgroup_manager systemd, and its checkpoint.
pod_() { podman --runtime "$RT" "$@"; }
look() { podman inspect --format "$1" "$N"; }
pod_ run -d --network none --name "$N" -m 64m --pids-limit 50 localhost/box sh -c 'i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.1; done'
unit=libpod-$(look '{{.Id}}').scope
place() { cut -d : -f 3 "/proc/$(look '{{.State.Pid}}')/cgroup"; }
place
look '{{.HostConfig.CgroupManager}}'
for p in ActiveState Slice MemoryMax TasksMax; do systemctl show "$unit" --property $p; done
podman exec "$N" sh -c 'echo inside; exit 3'
echo "exit $?"
podman pause "$N" >/dev/null && look '{{.State.Status}}'
podman unpause "$N" >/dev/null
echo "# checkpoint"
before=$(podman exec "$N" cat /count)
pod_ container checkpoint "$N" >/dev/null
echo "exit $?"
look '{{.State.Status}} {{.State.Checkpointed}}'
pod_ container restore "$N" >/dev/null
echo "exit $?"
look '{{.State.Status}}'
place
after=$(podman exec "$N" cat /count)
[ "$after" -ge "$before" ] && echo "it counts on"
podman rm -f -t 0 "$N" >/dev/null
systemctl show "$unit" --property LoadState
