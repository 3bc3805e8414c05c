#!/bin/sh
# logs while it runs, attach without a terminal, a long output whole.
. /run/engines/scripts/lib.sh
drun -di box sh -c 'while read x; do echo "got $x"; echo "err $x" >&2; done; echo end' >/dev/null
printf '1\n2\n' | docker attach "$N" 2>err
cat err
docker wait "$N"
docker logs "$N" 2>/dev/null
gone
drun box sh -c 'i=0; while [ $i -lt 20000 ]; do echo "line $i of many"; i=$((i+1)); done' | md5sum
docker logs "$N" | md5sum
docker logs --tail 1 "$N"
gone
