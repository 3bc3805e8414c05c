#!/bin/sh
# podman run: exit codes, streams, life cycle.
. /run/engines/scripts/lib.sh
for n in 0 1 125 126 127 137; do
	code pbox box sh -c "exit $n"
done
has 'executable file' pbox box nothing-there
has 'o such file or directory' pbox box /nothing/there
has 'ermission denied' pbox box /noexec
pbox box sh -c 'echo out; echo err >&2' 2>err
cat err
printf 'one\ntwo\n' | pbox -i box wc -l
echo "# life cycle"
prun -d -e A=b box sh -c 'trap "echo ended; exit 3" TERM; echo "began $A"; while :; do sleep 0.1; done' >/dev/null
until_ sh -c "podman logs $N | grep -q began"
plook '{{.State.Status}} {{.OCIRuntime}}'
podman stop -t 20 "$N" >/dev/null
plook '{{.State.Status}} {{.State.ExitCode}}'
podman logs "$N"
podman start "$N" >/dev/null
podman kill "$N" >/dev/null
podman wait "$N"
podman rm "$N" >/dev/null
podman --runtime "$RT" create --network none --name "$N" box sleep 1000 >/dev/null
podman init "$N" >/dev/null
plook '{{.State.Status}}'
podman start "$N" >/dev/null
plook '{{.State.Status}}'
pgone
podman --runtime "$RT" create --network none --name "$N" box sleep 1000 >/dev/null
podman init "$N" >/dev/null
pgone && echo "removed before it was started"
