#!/bin/sh
# docker exec -it.
. /run/engines/scripts/lib.sh
drun -d box sleep 1000 >/dev/null
pty docker exec -it "$N" sh <<'END'
size 21 77
expect / #
send until stty size | grep 21.77; do sleep 0.1; done\r
expect (21 77)
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
send exit 5\r
END
pty docker exec -it -u 1000 "$N" sh -c 'id -u; echo open >$(tty) && exit 6' <<'END'
expect (1000)
expect (open)
END
pty docker exec -it "$N" nothing-there <<'END'
expect (executable file not found)
END
gone
