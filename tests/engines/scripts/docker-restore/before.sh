#!/bin/sh
# Two containers that live on when the daemon is killed, one that ends meanwhile.
. /run/engines/scripts/lib.sh
docker run -d --name "$RT-kept" --runtime "$RT" box sh -c 'trap "exit 6" TERM; i=0; while :; do i=$((i+1)); echo $i; sleep 0.1; done' >/dev/null
docker run -d --name "$RT-ends" --network none --runtime "$RT" box sh -c 'while ! [ -e /tmp/go ]; do sleep 0.1; done; exit 5' >/dev/null
docker run -d --name "$RT-paused" --network none --runtime "$RT" box sleep 1000 >/dev/null
docker pause "$RT-paused" >/dev/null
docker inspect --format '{{.State.Pid}}' "$RT-kept" >"$TMPDIR/$RT-kept"
docker inspect --format '{{.State.Pid}}' "$RT-ends" >"$TMPDIR/$RT-ends"
docker ps --format '{{.Names}} {{.State}}' | grep "^$RT-" | sort
