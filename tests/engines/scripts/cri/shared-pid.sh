#!/bin/sh
# A pod whose containers share one pid namespace, and the host's network; an OOM kill; a killed sandbox.
. /run/engines/scripts/lib.sh
mkdir -p logs
cat >pod.json <<END
{"metadata": {"name": "$N", "uid": "$N-uid", "namespace": "ns", "attempt": 1}, "log_directory": "$PWD/logs",
 "linux": {"cgroup_parent": "/k8s.io", "security_context": {"namespace_options": {"pid": 0, "network": 2}}}}
END
ctr() {
	cat <<END
{"metadata": {"name": "$1"}, "image": {"image": "docker.io/library/box:box"}, "command": ["sh", "-c", "$2"], "log_path": "$1.log",
 "linux": {"resources": {"memory_limit_in_bytes": 16777216}, "security_context": {"namespace_options": {"pid": 0, "network": 2}}}}
END
}
ctr one 'sleep 777 & sleep 888' >one.json
ctr two 'tail /dev/zero' >two.json
pod=$(cri runp "$RT" pod.json) || exit 1
one=$(cri create "$pod" pod.json one.json)
two=$(cri create "$pod" pod.json two.json)
cri start "$one"
until_ sh -c "cri exec $one ps -o args | grep -q '^sleep 777'"
cri exec "$one" sh -c 'ps -o pid,args | grep -E "sleep 21474|sleep [78]" | grep -v grep | sed "s/^ *[0-9]* //" | sort'
[ "$(cri exec "$one" readlink /proc/self/ns/net)" = "$(readlink /proc/self/ns/net)" ] && echo "the host's network"
cri start "$two"
until_ sh -c "cri inspect $two | grep -q 'EXITED.*OOMKilled'" # the reason comes by itself
cri inspect "$two"
cri rm "$two"
cri stop "$one" 1
cri inspect "$one"
cri stopp "$pod"
cri rmp "$pod"
cri pods | grep -c "$N" || true
