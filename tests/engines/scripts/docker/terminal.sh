#!/bin/sh
# docker run -it, attach and exec -it on a real terminal.
. /run/engines/scripts/lib.sh
echo "# run -it"
pty docker run -it --rm --runtime "$RT" --name "$N" box sh <<'END'
size 31 97
expect / #
send until stty size | grep 31.97; do sleep 0.1; done\r
expect (31 97)
size 40 100
send until stty size | grep 40.100; do sleep 0.1; done\r
expect (40 100)
send tty; test -t 0 && test -t 1 && test -t 2 && echo all-"three"\r
expect (/dev/\S+)
expect (all-three)
send ls -l $(tty) | cut -c 1\r
expect \n(c)
send sh -c 'trap "echo int-""errupted; exit 4" INT; echo wait-"ing"; sleep 20 & wait'\r
expect wait-ing
send \x03
expect (int-errupted)
expect / #
send exit 7\r
END
echo "# without -i a terminal all the same"
drun -t box sh -c 'test -t 1 && echo terminal; stty size >/dev/null && echo sized' | tr -d '\r'
gone
echo "# attach and detach"
drun -dit box sh >/dev/null
pty docker attach "$N" <<'END'
send \r
expect / #
send x=kept; echo at-"tached"\r
expect (at-tached)
send \x10\x11
expect read escape sequence
END
look '{{.State.Status}}'
pty docker attach "$N" <<'END'
send echo $x-"again"\r
expect (kept-again)
send exit 9\r
END
look '{{.State.Status}} {{.State.ExitCode}}'
gone
