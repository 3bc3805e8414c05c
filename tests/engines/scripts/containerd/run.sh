#!/bin/sh
# ctr run: exit codes, streams, options of the config.
. /run/engines/scripts/lib.sh
for n in 0 1 42 126 127 137; do
	code crun --rm "$BOX" "$N" sh -c "exit $n"
done
code crun --rm "$BOX" "$N" sh -c 'exec 2>/dev/null; kill -9 $$; sleep 9 & kill -9 $!; wait $!; echo "child $?"'
has 'executable file not found' crun --rm "$BOX" "$N" nothing-there
has 'no such file or directory' crun --rm "$BOX" "$N" /nothing/there
has 'permission denied' crun --rm "$BOX" "$N" /noexec
crun --rm "$BOX" "$N" sh -c 'echo out; echo err >&2' 2>err
cat err
printf 'one\ntwo\n' | crun --rm "$BOX" "$N" sh -c 'read a; read b; echo "$b $a"' # ctr never closes stdin
crun --rm "$BOX" "$N" sh -c 'head -c 2000000 /dev/zero' | wc -c
echo "# options"
crun --rm --env A=b --cwd /tmp "$BOX" "$N" sh -c 'echo $A; pwd'
crun --rm --read-only "$BOX" "$N" sh -c 'touch /x' 2>&1
crun --rm --memory-limit 33554432 --cpus 0.5 --cpu-shares 200 --cgroup "/default/$N-own" "$BOX" "$N" sh -c 'grep -E ":(memory|cpu):" /proc/self/cgroup | cut -d : -f 2- | sort'
crun --rm --mount type=bind,src=/etc,dst=/host,options=rbind:ro "$BOX" "$N" sh -c 'test -e /host/hostname && touch /host/x' 2>&1
crun --rm --seccomp --cap-drop CAP_CHOWN --cap-add CAP_SYS_TIME "$BOX" "$N" grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status
crun --rm --allow-new-privs "$BOX" "$N" grep -E 'CapEff|Seccomp:|NoNewPrivs' /proc/self/status
crun --rm --device /dev/fuse "$BOX" "$N" sh -c 'exec 3<>/dev/fuse && echo opened'
crun --rm --net-host "$BOX" "$N" readlink /proc/self/ns/net >net
[ "$(cat net)" = "$(readlink /proc/self/ns/net)" ] && echo "the host's network"
crun --rm --rootfs-propagation shared --annotation a.b=c "$BOX" "$N" sh -c 'grep " / " /proc/self/mountinfo | grep -q shared: && echo "root is shared" || echo "root is not shared"'
echo "# a user namespace"
crun --rm --uidmap 0:100000:65536 --gidmap 0:100000:65536 "$BOX" "$N" sh -c 'id; cat /proc/self/uid_map | tr -s " "; touch /tmp/x && ls -ln /tmp/x | cut -c 1-10; cat /dev/null && echo devices; hostname inside 2>&1; ls -ln /proc/1/ns/user | wc -l'
echo "# a terminal"
pty ctr run --rm -t --runc-binary "$RTPATH" "$BOX" "$N" sh <<'END'
size 25 66
expect / #
send until stty size | grep 25.66; do sleep 0.1; done\r
expect (25 66)
send exit 3\r
END
