#!/bin/sh
# logs while it runs, attach without a terminal, a long output whole.
. /run/engines/scripts/lib.sh
printf '1\n2\n' | drun -i box sh -c 'while read x; do echo "got $x"; echo "err $x" >&2; done; echo end' 2>err
cat err
docker logs "$N" 2>/dev/null
gone
drun box sh -c 'i=0; while [ $i -lt 20000 ]; do echo "line $i of many"; i=$((i+1)); done' | md5sum
docker logs "$N" | md5sum
docker logs --tail 1 "$N"
gone
drun -d box sh -c 'while ! [ -e /tmp/go ]; do echo before; sleep 0.1; done; echo after; exit 6' >/dev/null
(code docker attach "$N") >attached &
until_ grep -q before attached
docker exec "$N" touch /tmp/go
wait
grep -v before attached
gone
