#!/bin/sh
# Limits, seen from inside, and an OOM kill that is reported.
. /run/engines/scripts/lib.sh
r='cd /sys/fs/cgroup; cat'
dbox --memory 64m --memory-swap 96m --memory-reservation 32m --memory-swappiness 10 box sh -c "$r memory/memory.limit_in_bytes memory/memory.memsw.limit_in_bytes memory/memory.soft_limit_in_bytes memory/memory.swappiness"
dbox --memory 64m --oom-kill-disable box sh -c "$r memory/memory.oom_control"
dbox --cpus 1.5 --cpu-shares 512 box sh -c "$r cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpu/cpu.shares"
dbox --cpu-period 50000 --cpu-quota 20000 --cpuset-cpus 1 --cpuset-mems 0 box sh -c "$r cpu/cpu.cfs_quota_us cpu/cpu.cfs_period_us cpuset/cpuset.cpus cpuset/cpuset.mems; nproc"
dbox --pids-limit 17 box sh -c "$r pids/pids.max"
dbox --blkio-weight 300 box sh -c "$r blkio/blkio.bfq.weight 2>/dev/null || cat blkio/blkio.weight"
dev=$(lsblk -dno PATH,TYPE 2>/dev/null | awk '$2 == "disk" {print $1; exit}')
if [ -n "$dev" ]; then
	dbox --device-read-bps "$dev:1mb" --device-write-iops "$dev:77" box sh -c "$r blkio/blkio.throttle.read_bps_device blkio/blkio.throttle.write_iops_device" | cut -d ' ' -f 2
fi
echo "# more processes than allowed"
dbox --pids-limit 6 box sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 3 & done; wait' 2>&1 | grep -c "can't fork"
echo "# more memory than allowed"
# Docker forgets that memory ran out when it hears of the end first: then once more.
oomed() { # COMMAND...
	for _ in 1 2 3 4 5; do
		drun --memory 16m box "$@" >out 2>/dev/null
		look 'exit {{.State.ExitCode}} oom={{.State.OOMKilled}}' >>out
		gone
		! grep -q oom=true out || break
	done
	cat out
}
oomed tail /dev/zero
oomed sh -c 'exec 2>&1; tail /dev/zero; echo "inner $?"'
drun --memory 16m box true
look 'exit {{.State.ExitCode}} oom={{.State.OOMKilled}}'
gone
echo "# limits that cannot be"
has 'Minimum memory limit' dbox --memory 1m box true
has 'CPU' dbox --cpuset-cpus 77 box true
echo "# ulimits, oom score, shm"
dbox --ulimit nofile=100:200 --ulimit core=0 box sh -c 'ulimit -n; ulimit -Hn; ulimit -c'
dbox --oom-score-adj 500 box cat /proc/self/oom_score_adj
dbox --shm-size 2m box sh -c "df -k /dev/shm | awk 'NR==2 {print \$2}'"
