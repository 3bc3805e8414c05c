#!/bin/sh
# podman exec, run -it, exec -it, attach.
. /run/engines/scripts/lib.sh
prun -d box sleep 1000 >/dev/null
x() { podman exec "$@"; }
for n in 0 1 42 125 126 127 137; do
	code x "$N" sh -c "exit $n"
done
code x "$N" sh -c 'kill -9 $$'
has 'executable file' x "$N" nothing-there
has 'o such file or directory' x "$N" /nothing/there
has 'ermission denied' x "$N" /noexec
x "$N" sh -c 'echo out; echo err >&2' 2>err
cat err
printf 'one\ntwo\n' | x -i "$N" wc -l
x -u user "$N" id
x -u 1234:4321 "$N" id
x -w /tmp -e A=b "$N" sh -c 'pwd; echo $A'
x --privileged "$N" grep -c 'CapEff:.0000000000000000' /proc/self/status
x -d "$N" sh -c 'echo done >/tmp/f'
until_ x "$N" grep -q done /tmp/f && echo written
(x "$N" sleep 500; echo "exit $?") >ended &
until_ sh -c "podman top $N args | grep -q 'sleep 500'"
podman kill "$N" >/dev/null
wait
cat ended
pgone
echo "# run -it"
prunterminal
echo "# exec -it"
prun -dit box sh >/dev/null 2>&1
pexecterminal
echo "# attach"
pty podman attach "$N" <<'END'
send \r
expect / #
send x=kept; echo $x-"again"\r
expect (kept-again)
send exit 9\r
END
until_ sh -c "podman inspect --format '{{.State.Status}}' $N | grep -q exited"
plook '{{.State.Status}} {{.State.ExitCode}}'
pgone
