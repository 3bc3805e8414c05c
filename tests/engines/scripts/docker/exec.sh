#!/bin/sh
# docker exec: exit codes, streams, user, environment, directory, privilege.
. /run/engines/scripts/lib.sh
drun -d -e BASE=1 box sleep 1000 >/dev/null
x() { docker exec "$@"; }
for n in 0 1 42 126 127 137; do
	code x "$N" sh -c "exit $n"
done
code x "$N" sh -c 'kill -9 $$'
has 'executable file not found' x "$N" nothing-there
has 'no such file or directory' x "$N" /nothing/there
has 'permission denied' x "$N" /noexec
has 'no such file or directory' x -w /nowhere "$N" true
echo "# streams"
x "$N" sh -c 'echo out; echo err >&2' 2>err
cat err
printf 'one\ntwo\n' | x -i "$N" wc -l
head -c 3000000 /dev/zero | x -i "$N" wc -c
x "$N" head -c 3000000 /dev/zero | wc -c
echo "# who and where"
x "$N" id
x -u 1000 "$N" id
x -u user "$N" sh -c 'id; echo $HOME'
x -u 1234:4321 "$N" id
has 'unable to find user' x -u nobody-here "$N" id
x -w /tmp "$N" pwd
x -e EXTRA=2 "$N" sh -c 'echo $BASE $EXTRA $HOME'
echo "# in the same namespaces and cgroups"
for ns in cgroup ipc mnt net pid user uts; do
	[ "$(x "$N" readlink /proc/self/ns/$ns)" = "$(x "$N" readlink /proc/1/ns/$ns)" ] || echo "$ns differs"
done
x "$N" sh -c 'diff /proc/1/cgroup /proc/self/cgroup && echo the same cgroups'
x "$N" ps -o comm | sort | tr '\n' ' '
echo
echo "# capabilities and seccomp as in the container, all with --privileged"
x "$N" grep -E 'Cap|NoNew|Seccomp' /proc/1/status >one
x "$N" grep -E 'Cap|NoNew|Seccomp' /proc/self/status >two
diff one two && echo "as the container"
x -u 1000 "$N" grep -E 'Cap(Prm|Eff|Amb)|Seccomp' /proc/self/status
echo "# detached"
x -d "$N" sh -c 'echo done >/tmp/f'
until_ x "$N" grep -q done /tmp/f && echo written
echo "# it ends with the container"
(x "$N" sleep 500; echo "exit $?") >ended &
until_ sh -c "docker top $N | grep -q 'sleep 500'"
docker kill "$N" >/dev/null
wait
cat ended
has 'is not running' x "$N" true
gone
