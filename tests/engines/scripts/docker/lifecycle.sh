#!/bin/sh
# create, start, logs, stop with its grace period, kill, restart, rm.
. /run/engines/scripts/lib.sh
look_state() { look '{{.State.Status}} {{.State.ExitCode}} oom={{.State.OOMKilled}} pid={{if .State.Pid}}yes{{else}}no{{end}} err={{.State.Error}}'; }
docker create --runtime "$RT" --name "$N" -e A=b box sh -c 'trap "echo ended; exit 3" TERM; echo "began $A"; while :; do sleep 0.1; done' >/dev/null
look_state
docker start "$N" | grep -c .
look_state
until_ sh -c "docker logs $N | grep -q began"
echo "# stop is heard"
docker stop -t 20 "$N" >/dev/null
look_state
docker logs "$N"
echo "# again"
docker restart "$N" >/dev/null
look_state
until_ sh -c "docker logs $N | grep -c began | grep -q 2"
docker kill --signal TERM "$N" >/dev/null
docker wait "$N"
docker start "$N" >/dev/null
docker kill "$N" >/dev/null
docker wait "$N"
look_state
docker rm "$N" >/dev/null
echo "# stop is not heard: the grace period, then KILL"
drun -d box sh -c 'trap "" TERM; echo deaf; while :; do sleep 0.1; done' >/dev/null
until_ sh -c "docker logs $N | grep -q deaf"
before=$(date +%s)
docker stop -t 2 "$N" >/dev/null
took=$(($(date +%s) - before))
[ "$took" -ge 2 ] && [ "$took" -lt 15 ] && echo "the grace period was kept"
look_state
echo "# a start that fails leaves a container that can be removed"
docker rm "$N" >/dev/null
has 'executable file not found' drun box nothing
look '{{.State.Status}} {{.State.ExitCode}}'
docker rm "$N" >/dev/null
has 'No such object' docker inspect "$N"
