#!/bin/sh
# A pod and its containers through containerd's CRI, as the kubelet does it.
. /run/engines/scripts/lib.sh
logs=$PWD/logs
mkdir -p "$logs"
cat >pod.json <<END
{"metadata": {"name": "$N", "uid": "$N-uid", "namespace": "ns", "attempt": 1}, "hostname": "pod-host", "log_directory": "$logs",
 "labels": {"app": "box"}, "annotations": {"a": "b"}, "port_mappings": [],
 "linux": {"cgroup_parent": "/k8s.io", "sysctls": {"net.ipv4.ip_forward": "0", "net.core.somaxconn": "99"},
  "security_context": {"namespace_options": {"pid": 1}}}}
END
ctr() { # NAME WORDS: a container's config
	cat <<END
{"metadata": {"name": "$1", "attempt": 0}, "image": {"image": "docker.io/library/box:box"}, "command": ["sh", "-c"], "args": ["$2"],
 "envs": [{"key": "A", "value": "b"}], "working_dir": "/tmp", "log_path": "$1.log", "stdin": ${3:-false}, "stdin_once": ${3:-false},
 "mounts": [{"container_path": "/data", "host_path": "$PWD", "readonly": true}],
 "linux": {"resources": {"memory_limit_in_bytes": 67108864, "cpu_shares": 256, "cpu_quota": 50000, "cpu_period": 100000, "oom_score_adj": 900},
  "security_context": {"namespace_options": {"pid": 1}, "run_as_user": {"value": 1000}, "supplemental_groups": [2000], "readonly_rootfs": true,
   "no_new_privs": true, "capabilities": {"add_capabilities": ["NET_RAW"], "drop_capabilities": ["CHOWN"]},
   "masked_paths": ["/proc/kcore"], "readonly_paths": ["/proc/sys"], "seccomp": {"profile_type": 0}}}}
END
}
ctr main 'trap \"exit 7\" TERM; while :; do echo tick; sleep 0.2; done' >main.json
ctr fails 'exit 5' >fails.json
ctr reads 'read x; echo got $x; read y; echo then $y; exit 4' true >reads.json
pod=$(cri runp "$RT" pod.json) || exit 1
cri pods | awk -v id="$pod" '$1 == id {print $3, $4}'
cri ip "$pod" | sed 's/10\.[0-9.]*$/an address/'
main=$(cri create "$pod" pod.json main.json)
cri inspect "$main"
cri start "$main"
cri inspect "$main"
echo "# exec"
code cri exec "$main" sh -c 'echo $A; pwd; id; hostname; cat /proc/self/oom_score_adj /proc/sys/net/core/somaxconn'
cri exec "$main" grep -E 'Cap(Bnd|Eff)|NoNewPrivs|Seccomp:' /proc/self/status
code cri exec "$main" sh -c 'touch /x; exit 3' 2>&1
has 'executable file not found' cri exec "$main" nothing-there
cri exec "$main" sh -c 'touch /data/x' 2>&1
cri exec "$main" sh -c 'ps -o args | grep -c "sleep 214748364[7]"'
echo "# streams"
(echo first; sleep 1; echo last) | code cri stream "$main" sh -c 'read a; echo "got $a"; read b; echo "err $b" >&2; exit 6' 2>err
cat err
(sleep 0.5; echo "size 33 99"; sleep 1; echo 'until stty size | grep 33.99; do sleep 0.1; done; tty; exit 2'; sleep 1) | cri stream -t "$main" sh >out
echo "exit $?"
tr -d '\r' <out | grep -xE '33 99|/dev/pts/[0-9]+'
echo "# attach"
reads=$(cri create "$pod" pod.json reads.json)
cri start "$reads"
(echo one; sleep 0.5; echo two; sleep 1) | cri attach "$reads"
until_ sh -c "cri inspect $reads | grep -q EXITED"
cri inspect "$reads"
until_ grep -q 'then two' logs/reads.log
cut -d ' ' -f 2- logs/reads.log
echo "# one that fails"
fails=$(cri create "$pod" pod.json fails.json)
cri start "$fails"
until_ sh -c "cri inspect $fails | grep -q EXITED"
cri inspect "$fails"
echo "# stats and update"
until_ sh -c "cri stats $main | grep -qE 'cpu [1-9][0-9]* memory [1-9]'" && echo "has stats"
cri update "$main" 50331648
cri exec "$main" grep memory: /proc/self/cgroup | sed 's,.*:,/sys/fs/cgroup/memory,;s,$,/memory.limit_in_bytes,' | xargs cat
echo "# stop"
cri stop "$main" 20
cri inspect "$main"
grep -q 'stdout F tick' logs/main.log && echo "logged"
cri rm "$main"
cri rm "$fails"
cri rm "$reads"
cri stopp "$pod"
cri ip "$pod"
cri rmp "$pod"
cri ps | grep -c "$N" || true
