#!/bin/sh
# Limits, pause, stats, top, update, an OOM kill, a health check, --cgroups=disabled.
. /run/engines/scripts/lib.sh
r='cd /sys/fs/cgroup; cat'
pbox --memory 64m --memory-swap 96m --cpus 0.5 --cpu-shares 300 --pids-limit 20 --cpuset-cpus 0 box sh -c "$r memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes cpu/cpu.cfs_quota_us cpu/cpu.shares pids/pids.max cpuset/cpuset.cpus"
prun --memory 16m box tail /dev/zero
plook 'exit {{.State.ExitCode}} oom={{.State.OOMKilled}}'
pgone
prun -d --memory 64m --health-cmd 'test -e /tmp/well' --health-retries 1 box sh -c 'i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 0.05; done' >/dev/null 2>&1
echo "# health"
has '' podman healthcheck run "$N"
podman exec "$N" touch /tmp/well
has '' podman healthcheck run "$N"
plook '{{.State.Health.Status}}'
echo "# pause"
podman pause "$N" >/dev/null
plook '{{.State.Status}}'
pid=$(plook '{{.State.Pid}}')
one=$(cat "/proc/$pid/root/tmp/count")
sleep 0.5
[ "$one" = "$(cat "/proc/$pid/root/tmp/count")" ] && echo "it stands still"
podman unpause "$N" >/dev/null
# The shell empties the file before it writes to it.
until_ sh -c "[ \"\$(cat /proc/$pid/root/tmp/count)\" != '$one' ]" && echo "it goes on"
echo "# top and stats"
podman top "$N" pid comm | sed -n 2p | tr -s ' '
podman stats --no-stream --format '{{.MemUsage}} {{.PIDs}}' "$N" | sed 's,^[1-9][0-9.]*[kM]*B,some,;s,[1-9]$,some,'
echo "# update"
podman --runtime "$RT" update --memory 96m --cpu-shares 400 "$N" >/dev/null
podman exec "$N" sh -c "$r memory/memory.limit_in_bytes cpu/cpu.shares"
pgone 2>/dev/null
echo "# devices, capabilities, read-only, users"
pbox --device /dev/fuse box sh -c 'exec 3<>/dev/fuse && echo opened'
pbox --cap-drop all --cap-add net_admin box grep -E 'CapEff|CapBnd|Seccomp:|NoNewPrivs' /proc/self/status
pbox --security-opt seccomp=unconfined --security-opt no-new-privileges box grep -E 'Seccomp:|NoNewPrivs' /proc/self/status
pbox --read-only box sh -c 'exec 2>&1; touch /x; touch /tmp/x && echo tmp'
pbox --user 1000 --group-add 3000 box id
pbox --init box sh -c 'cat /proc/1/comm'
pbox --tmpfs /t:size=1m,mode=1700 --shm-size 2m --ulimit nofile=100:200 --ulimit nproc=100:200 --sysctl net.core.somaxconn=77 --hostname here box sh -c 'stat -c %a /t; df -k /dev/shm | awk "NR==2 {print \$2}"; ulimit -n; cat /proc/sys/net/core/somaxconn; hostname'
pbox -v "$PWD:/v:ro" box sh -c 'touch /v/x' 2>&1
for p in private slave shared; do
	pbox -v "$PWD:/v:$p" box sh -c 'grep " /v " /proc/self/mountinfo' | grep -oE '(shared|master)' | tr '\n' ' ' | sed "s/^/$p: /"
	echo
done
echo "# a user namespace"
pbox --uidmap 0:100000:65536 --gidmap 0:100000:65536 box sh -c 'id -u; tr -s " " </proc/self/uid_map; touch /tmp/x && echo written'
