#!/bin/sh
# The life cycle step by step: create, start, exec, pause, resume, ps, metrics, kill, delete.
. /run/engines/scripts/lib.sh
crun -d "$BOX" "$N" sh -c 'trap "exit 9" TERM; echo up >/tmp/up; i=0; while :; do i=$((i+1)); echo $i >/tmp/count; sleep 0.1; done'
state
x() { ctr tasks exec --exec-id "e$1" "$N" sh -c "$2"; }
until_ x w 'test -s /tmp/count'
code x 1 'exit 0'
code x 2 'echo out; echo err >&2; exit 7' 2>err
cat err
code x 3 'kill -9 $$'
has 'executable file not found' ctr tasks exec --exec-id e4 "$N" nothing-there
ctr tasks exec --exec-id e5 --cwd /tmp --user 1000 "$N" sh -c 'pwd; id'
printf 'a\nb\n' | ctr tasks exec --exec-id e6 "$N" sh -c 'read a; read b; echo $b $a'
pty ctr tasks exec -t --exec-id e7 "$N" sh <<'END'
size 22 55
expect / #
send until stty size | grep 22.55; do sleep 0.1; done; tty\r
expect (22 55)
expect (/dev/pts/\d+)
send exit 4\r
END
echo "# pause"
ctr tasks pause "$N"
state
has 'cannot exec in a paused' ctr tasks exec --exec-id e8 "$N" true
ctr tasks resume "$N"
state
code x 9 'exit 0'
echo "# ps and metrics"
[ "$(ctr tasks ps "$N" | awk 'NR > 1' | wc -l)" -ge 1 ] && echo "has processes"
ctr tasks metrics "$N" | awk '$1 == "pids.current" && $2 >= 1 {print "pids"} $1 == "memory.usage_in_bytes" && $2 > 0 {print "memory"}' | sort
echo "# the end"
ctr tasks kill "$N"
until_ sh -c "ctr tasks ls | grep -q '^$N .*STOPPED'"
ctr tasks rm "$N" 2>&1 | grep -o "exit with .*"
has 'not found' ctr tasks kill "$N"
ctr containers rm "$N"
echo "# while it runs"
crun -d --null-io "$BOX" "$N" sleep 100
has 'unning' ctr tasks rm "$N"
has '' ctr tasks rm -f "$N"
ctr containers rm "$N"
echo "# a container in another's namespaces"
crun -d "$BOX" "$N" sleep 1000
pid=$(ctr tasks ls | awk -v n="$N" '$1 == n {print $2}')
crun --rm --with-ns "pid:/proc/$pid/ns/pid" --with-ns "network:/proc/$pid/ns/net" --with-ns "ipc:/proc/$pid/ns/ipc" --with-ns "uts:/proc/$pid/ns/uts" "$BOX" "$N-2" sh -c 'for n in pid net ipc uts mnt; do readlink /proc/self/ns/$n; done; ps -o args | grep -c "sleep 100[0]"' >joined
for n in pid net ipc uts mnt; do
	grep -qxF "$(readlink "/proc/$pid/ns/$n")" joined && echo "$n is the other's"
done
tail -n 1 joined
cgone
