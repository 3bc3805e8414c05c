#!/bin/sh
# Docker with native.cgroupdriver=systemd.
# shellcheck source=tests/engines/scripts/lib.sh
. /srv/engines/lib.sh
drun() { docker run --runtime "$RT" --network none "$@"; }
drun -d --name "$N" -m 64m --cpus 0.5 --pids-limit 50 box sleep 1000
pid=$(docker inspect --format '{{.State.Pid}}' "$N")
cut -d : -f 3 "/proc/$pid/cgroup"
unit=docker-$(docker inspect --format '{{.Id}}' "$N").scope
shown() { systemctl show "$unit" --property "$1"; }
for p in ActiveState Slice Delegate MemoryMax TasksMax CPUQuotaPerSecUSec; do shown $p; done
docker exec "$N" sh -c 'echo inside; exit 3'
echo "exit $?"
docker update -m 96m --memory-swap 96m "$N" >/dev/null
systemctl daemon-reload
shown MemoryMax
cat "/sys/fs/cgroup/system.slice/$unit/memory.max"
docker stats --no-stream --format '{{.MemUsage}}' "$N" | cut -d / -f 2
docker pause "$N" >/dev/null && docker inspect --format '{{.State.Status}}' "$N"
docker unpause "$N" >/dev/null
docker stop -t 1 "$N" >/dev/null
docker inspect --format '{{.State.ExitCode}}' "$N"
docker rm "$N" >/dev/null
unloaded shown LoadState
ls -d "/sys/fs/cgroup/system.slice/$unit" 2>/dev/null
drun --rm --cgroup-parent limits-test.slice --cgroupns host box cat /proc/self/cgroup
drun --rm -m 16m box tail /dev/zero
echo "exit $?"
echo "# --privileged"
drun --rm --privileged box sh -c 'grep -E "Seccomp:|NoNew|Cap" /proc/self/status; mount -t tmpfs x /mnt && echo mounted
mknod /tmp/n c 1 3 && exec 3<>/tmp/n && echo opened; grep " /sys " /proc/mounts | cut -d " " -f 4 | cut -d , -f 1; ls -l /proc/kcore | cut -c 1'
