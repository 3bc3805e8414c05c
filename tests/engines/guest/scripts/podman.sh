#!/bin/sh
# podman of root, whose cgroups are systemd's, and its checkpoints.
# shellcheck disable=SC2016 # the shell of the container is meant
# shellcheck source=tests/engines/scripts/lib.sh
. /srv/engines/lib.sh
pod_() { podman --cgroup-manager systemd --runtime "$RT" "$@"; }
count='i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.1; done'
pod_ run -d --network none --name "$N" --memory 64m --memory-swap 64m --cpus 0.5 --cpu-shares 262144 --pids-limit 50 box sh -c "$count" >/dev/null
id=$(plook '{{.Id}}')
pid() { plook '{{.State.Pid}}'; }
unit=libpod-$id.scope
shown() { systemctl show "$unit" --property "$1"; }
cut -d : -f 3 "/proc/$(pid)/cgroup"
for p in ActiveState Slice Delegate MemoryMax TasksMax CPUQuotaPerSecUSec CPUWeight; do shown $p; done
cat "/sys/fs/cgroup/machine.slice/$unit/memory.swap.max"
plook '{{.OCIRuntime}}'
echo "# exec"
code podman exec "$N" sh -c 'cat /proc/self/cgroup; exit 3'
code pod_ run --rm --network none box sh -c 'echo out; exit 126'
has 'executable file' podman exec "$N" nothing-there
echo "# pause, update, stats"
podman pause "$N" >/dev/null && plook '{{.State.Status}}'
podman unpause "$N" >/dev/null && plook '{{.State.Status}}'
podman update --memory 96m "$N" >/dev/null
systemctl daemon-reload
shown MemoryMax
cat "/sys/fs/cgroup/machine.slice/$unit/memory.max"
podman stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' "$N" | sed 's,^[1-9][0-9.]*[kM]*B,some,;s,[1-9]$,some,'
echo "# checkpoint"
c() { counted podman exec "$N"; }
before=$(c)
podman container checkpoint "$N" >/dev/null
echo "exit $?"
plook '{{.State.Status}} {{.State.Checkpointed}}'
unloaded shown LoadState
podman container restore "$N" >/dev/null
echo "exit $?"
plook '{{.State.Status}} {{.State.Restored}}'
cut -d : -f 3 "/proc/$(pid)/cgroup"
shown MemoryMax
after=$(c)
[ "$after" -ge "$before" ] && [ "$after" -le $((before + 200)) ] && echo "it counts on"
podman container checkpoint --export "/srv/engines/$N.tar.gz" "$N" >/dev/null
echo "exit $?"
podman rm "$N" >/dev/null
pod_ container restore --import "/srv/engines/$N.tar.gz" --name "$N" >/dev/null
echo "exit $?"
[ "$(c)" -ge "$after" ] && echo "it counts on"
unit=libpod-$(plook '{{.Id}}').scope
echo "# stop"
podman stop -t 0 "$N" >/dev/null
plook '{{.State.Status}} {{.State.ExitCode}}'
podman rm "$N" >/dev/null
unloaded shown LoadState
rm "/srv/engines/$N.tar.gz"
