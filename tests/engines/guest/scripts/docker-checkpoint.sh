#!/bin/sh
# shellcheck disable=SC2016 # the shell of the container is meant
# docker checkpoint, which is experimental.
# shellcheck source=tests/engines/scripts/lib.sh
. /srv/engines/lib.sh
count='i=0; while :; do i=$((i+1)); echo $i >/count; sleep 0.1; done'
drun -d --security-opt seccomp=unconfined box sh -c "$count" >/dev/null
c() { counted docker exec "$N"; }
before=$(c)
timeout 100 docker checkpoint create "$N" one 2>&1
echo "exit $?"
docker checkpoint ls "$N" | tail -n 1
until_ sh -c "docker inspect --format '{{.State.Status}}' $N | grep -q exited"
look '{{.State.Status}} {{.State.ExitCode}}'
timeout 60 docker start --checkpoint one "$N" 2>&1
echo "exit $?"
look '{{.State.Status}}'
after=$(c)
[ "$after" -ge "$before" ] && [ "$after" -le $((before + 200)) ] && echo "it counts on"
docker checkpoint create --leave-running "$N" two
echo "exit $?"
look '{{.State.Status}}'
docker checkpoint rm "$N" two && docker checkpoint ls "$N" | tail -n 1
gone "$N"
