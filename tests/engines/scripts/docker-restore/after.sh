#!/bin/sh
# The daemon has been killed and is there again.
. /run/engines/scripts/lib.sh
until_ sh -c "docker inspect --format '{{.State.Status}}' $RT-ends | grep -q exited"
look '{{.State.Status}} {{.State.ExitCode}}' "$RT-ends"
look '{{.State.Status}}' "$RT-kept"
[ "$(look '{{.State.Pid}}' "$RT-kept")" = "$(cat "$TMPDIR/$RT-kept")" ] && echo "the same process"
last=$(docker logs --tail 1 "$RT-kept")
until_ sh -c "[ \"\$(docker logs --tail 1 $RT-kept)\" != '$last' ]" && echo "its logs go on"
code docker exec "$RT-kept" sh -c 'echo exec; exit 3'
docker stop -t 20 "$RT-kept" >/dev/null
look '{{.State.Status}} {{.State.ExitCode}}' "$RT-kept"
look '{{.State.Status}}' "$RT-paused"
docker unpause "$RT-paused" >/dev/null
look '{{.State.Status}}' "$RT-paused"
for c in kept ends paused; do gone "$RT-$c"; done
