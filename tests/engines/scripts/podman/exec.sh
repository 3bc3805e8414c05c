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
pty podman --runtime "$RT" run -it --rm --network none --name "$N" box sh <<'END'
size 31 97
expect / #
send sleep 1; stty size\r
expect (31 97)
size 40 100
send sleep 1; stty size\r
expect (40 100)
send tty; test -t 0 && test -t 1 && test -t 2 && echo all-"three"\r
expect (/dev/\S+)
expect (all-three)
send exit 7\r
END
echo "# exec -it"
prun -dit box sh >/dev/null 2>&1
pty podman exec -it "$N" sh <<'END'
size 21 77
expect / #
send sleep 1; stty size; tty\r
expect (21 77)
expect (/dev/\S+)
send exit 5\r
END
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
