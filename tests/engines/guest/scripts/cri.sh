#!/bin/sh
# shellcheck disable=SC2016 # the shell of the container is meant
# Pods of containerd's CRI in units of systemd's: SystemdCgroup = true.
# shellcheck source=tests/engines/scripts/lib.sh
. /srv/engines/lib.sh
logs=/srv/engines/$N
mkdir -p "$logs"
cd "$logs" || exit 1
slice=kubepods-$RT.slice
cat >pod.json <<END
{"metadata": {"name": "$N", "uid": "$N-uid", "namespace": "ns", "attempt": 1}, "log_directory": "$logs",
 "linux": {"cgroup_parent": "$slice", "security_context": {"namespace_options": {"network": 2, "pid": 1}}}}
END
ctr_() { # NAME WORDS STDIN: a container's config
	cat <<END
{"metadata": {"name": "$1"}, "image": {"image": "docker.io/library/box:latest"}, "command": ["sh", "-c", "$2"], "log_path": "$1.log",
 "stdin": ${3:-false}, "stdin_once": ${3:-false},
 "linux": {"resources": {"memory_limit_in_bytes": 67108864, "cpu_shares": 262144, "cpu_quota": 50000, "cpu_period": 100000, "unified": {"pids.max": "40"}},
  "security_context": {"namespace_options": {"network": 2, "pid": 1}, "run_as_user": {"value": 1000}, "no_new_privs": true}}}
END
}
ctr_ main 'trap \"exit 7\" TERM; while :; do echo tick; sleep 0.2; done' >main.json
ctr_ reads 'read x; echo got $x; exit 4' true >reads.json
pod=$(cri runp "$RT" pod.json) || exit 1
shown() { systemctl show "cri-containerd-$1.scope" --property "$2"; }
shown "$pod" ActiveState
main=$(cri create "$pod" pod.json main.json)
cri inspect "$main"
cri start "$main"
cri inspect "$main"
for p in ActiveState Slice Delegate MemoryMax CPUQuotaPerSecUSec CPUWeight; do shown "$main" $p; done
group=/sys/fs/cgroup/kubepods.slice/$slice/cri-containerd-$main.scope
(cd "$group" && cat memory.max cpu.max cpu.weight pids.max && cut -d . -f 1 cgroup.type)
echo "# exec"
code cri exec "$main" sh -c 'id -u; cat /proc/self/cgroup; grep -E "CapEff|NoNewPrivs" /proc/self/status; exit 3'
has 'executable file not found' cri exec "$main" nothing-there
(cri exec "$main" sleep 777 >/dev/null 2>&1 &)
until_ sh -c "xargs -I{} cat /proc/{}/cmdline <$group/cgroup.procs | tr '\\0' ' ' | grep -q 'sleep 777'" && echo "in the container's cgroup"
echo "# streams"
(echo first; sleep 1; echo last) | code cri stream "$main" sh -c 'read a; echo "got $a"; read b; echo "err $b" >&2; exit 6' 2>err
cat err
(sleep 1; echo "size 33 99"; sleep 2; echo 'until stty size | grep "33 99"; do sleep 0.1; done; exit 2'; sleep 2) | cri stream -t "$main" sh >out
echo "exit $?"
tr -d '\r' <out | grep -x '33 99'
reads=$(cri create "$pod" pod.json reads.json)
cri start "$reads"
(echo one; sleep 2) | cri attach "$reads"
until_ sh -c "cri inspect $reads | grep -q EXITED"
cri inspect "$reads"
until_ grep -q 'got one' reads.log
cut -d ' ' -f 2- reads.log
cri rm "$reads"
unloaded shown "$reads" LoadState
echo "# stats and update"
until_ sh -c "cri stats $main | grep -qE 'cpu [1-9][0-9]* memory [1-9]'" && echo "has stats"
cri update "$main" 50331648
cat "$group/memory.max"
systemctl daemon-reload
shown "$main" MemoryMax
echo "# stop"
cri stop "$main" 20
cri inspect "$main"
grep -q 'stdout F tick' main.log && echo "logged"
cri rm "$main"
unloaded shown "$main" LoadState
cri stopp "$pod"
cri rmp "$pod"
unloaded shown "$pod" LoadState
cri ps | grep -c "$N"
find "/sys/fs/cgroup/kubepods.slice/$slice" -name "*.scope" | wc -l
systemctl stop kubepods.slice
