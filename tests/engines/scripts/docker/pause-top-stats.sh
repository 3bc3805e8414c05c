#!/bin/sh
# pause, unpause, top, stats, update.
. /run/engines/scripts/lib.sh
drun -d --memory 64m --cpus 1 --pids-limit 50 box sh -c 'i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 0.05; done' >/dev/null
until_ docker exec "$N" test -s /tmp/count
docker pause "$N" >/dev/null
look '{{.State.Status}} {{.State.Paused}}'
has 'is paused' docker exec "$N" true
pid=$(look '{{.State.Pid}}')
one=$(cat "/proc/$pid/root/tmp/count")
sleep 0.5
two=$(cat "/proc/$pid/root/tmp/count")
[ "$one" = "$two" ] && echo "it stands still"
docker unpause "$N" >/dev/null
look '{{.State.Status}}'
# The shell empties the file before it writes to it.
until_ sh -c "[ \"\$(cat /proc/$pid/root/tmp/count)\" != '$two' ]" && echo "it goes on"
echo "# top"
docker top "$N" -o pid,comm,args | awk 'NR == 1 || $2 == "sh" && !n++ {print $2, $3}'
echo "# stats"
docker stats --no-stream --format '{{.MemUsage}}' "$N" | sed 's,^[1-9.][0-9.]*[KM]iB,some,'
docker stats --no-stream --format '{{.PIDs}}' "$N" | grep -c '^[1-9]'
echo "# update"
g=$(sed -n 's/^[0-9]*:memory:.*\(\/docker.*\)/\1/p' "/proc/$pid/cgroup")
limits() { cat "/sys/fs/cgroup/memory$g/memory.limit_in_bytes" "/sys/fs/cgroup/cpu$g/cpu.cfs_quota_us" "/sys/fs/cgroup/cpu$g/cpu.shares" "/sys/fs/cgroup/pids$g/pids.max" "/sys/fs/cgroup/cpuset$g/cpuset.cpus" | tr '\n' ' '; echo; }
limits
docker update --memory 96m --memory-swap 96m --cpus 0.5 --cpu-shares 300 --pids-limit 20 --cpuset-cpus 0 "$N" >/dev/null
limits
docker update --memory-reservation 32m "$N" >/dev/null
cat "/sys/fs/cgroup/memory$g/memory.soft_limit_in_bytes"
limits
echo "# kill while it is paused"
docker pause "$N" >/dev/null
docker kill "$N" >/dev/null
docker wait "$N"
gone
