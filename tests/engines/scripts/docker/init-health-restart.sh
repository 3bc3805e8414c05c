#!/bin/sh
# --init, HEALTHCHECK, restart policies.
. /run/engines/scripts/lib.sh
echo "# --init"
dbox --init box sh -c 'cat /proc/1/comm; sleep 0 & sleep 0.2; ps -o stat,comm | grep -c "^Z"'
code dbox --init box sh -c 'exit 8'
drun -d --init box sh -c 'sleep 1000' >/dev/null
docker stop -t 30 "$N" >/dev/null
look '{{.State.ExitCode}}'
gone
echo "# a health check is an exec"
drun -d --health-cmd 'test -e /tmp/well' --health-interval 300ms --health-retries 2 box sleep 1000 >/dev/null
until_ sh -c "docker inspect --format '{{.State.Health.Status}}' $N | grep -q unhealthy" && look '{{.State.Health.Status}}'
docker exec "$N" touch /tmp/well
until_ sh -c "docker inspect --format '{{.State.Health.Status}}' $N | grep -qx healthy" && look '{{.State.Health.Status}}'
gone
echo "# restart policies"
drun -d --restart on-failure:2 box sh -c 'echo run; exit 3' >/dev/null
until_ sh -c "docker inspect --format '{{.State.Status}} {{.RestartCount}}' $N | grep -q 'exited 2'"
look '{{.State.Status}} {{.State.ExitCode}} {{.RestartCount}}'
docker logs "$N"
gone
drun -d --restart on-failure box true >/dev/null
until_ sh -c "docker inspect --format '{{.State.Status}}' $N | grep -q exited"
look '{{.RestartCount}}'
gone
drun -d --restart always box sh -c 'sleep 0.3' >/dev/null
until_ sh -c "[ \$(docker inspect --format '{{.RestartCount}}' $N) -ge 2 ]" && echo "again and again"
docker stop -t 5 "$N" >/dev/null
until_ is exited look '{{.State.Status}}' && echo exited
gone
drun -d --restart unless-stopped box sh -c 'sleep 0.3; exit 4' >/dev/null
until_ sh -c "[ \$(docker inspect --format '{{.RestartCount}}' $N) -ge 2 ]" && echo "again until it is stopped"
docker stop -t 5 "$N" >/dev/null
until_ is exited look '{{.State.Status}}'
sleep 1 # in which it would be started again
look '{{.State.Status}} {{.State.Running}}'
docker start "$N" >/dev/null
until_ sh -c "[ \$(docker inspect --format '{{.RestartCount}}' $N) -ge 1 ]" && echo "and after a start again"
gone
