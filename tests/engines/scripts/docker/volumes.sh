#!/bin/sh
# Binds, read-only, propagation, files, volumes, tmpfs.
. /run/engines/scripts/lib.sh
mkdir -p src/sub
echo text >src/file
chmod 755 . src
v=$PWD/src
dbox -v "$v:/v" box sh -c 'cat /v/file; echo new >/v/made'
cat src/made
dbox -v "$v:/v:ro" box sh -c 'touch /v/x' 2>&1
dbox -v "$v/file:/etc/one" box cat /etc/one
dbox -v "$v/file:/deep/er/one:ro" box cat /deep/er/one
dbox --mount "type=bind,source=$v,target=/v,readonly" box sh -c 'touch /v/x' 2>&1
has 'does not exist' dbox --mount "type=bind,source=/nowhere/at/all,target=/v" box true
dbox --mount type=tmpfs,target=/t,tmpfs-size=1m,tmpfs-mode=1700 box sh -c 'stat -c %a /t; df -k /t | awk "NR==2 {print \$2}"'
echo "# propagation"
for p in private rprivate slave rslave shared rshared; do
	dbox -v "$v:/v:$p" box sh -c 'grep " /v " /proc/self/mountinfo' | grep -oE '(shared|master)' | tr '\n' ' ' | sed "s/^/$p: /"
	echo
done
echo "# a mount made outside is seen by a slave, not by a private one"
seen() { # PROPAGATION
	drun -d -v "$v:/v:$1" box sleep 1000 >/dev/null
	mount -t tmpfs x src/sub && touch src/sub/seen
	pid=$(look '{{.State.Pid}}')
	if [ -e "/proc/$pid/root/v/sub/seen" ]; then echo "$1: seen"; else echo "$1: not seen"; fi
	umount src/sub
	gone
}
seen rslave
seen rprivate
seen rshared
echo "# a mount made inside is seen outside only when shared"
dbox --cap-add SYS_ADMIN --security-opt seccomp=unconfined -v "$v:/v:rshared" box sh -c 'mount -t tmpfs x /v/sub && touch /v/sub/inside'
if [ -e src/sub/inside ]; then umount src/sub && echo "rshared: seen"; fi
dbox --cap-add SYS_ADMIN --security-opt seccomp=unconfined -v "$v:/v:rslave" box sh -c 'mount -t tmpfs x /v/sub && touch /v/sub/inside'
[ -e src/sub/inside ] || echo "rslave: not seen"
echo "# mounts below a bind"
mount -t tmpfs x src/sub && touch src/sub/below
dbox -v "$v:/v" box ls /v/sub
dbox --mount "type=bind,source=$v,target=/v,bind-nonrecursive" box sh -c 'ls /v/sub | wc -l'
# on one stream: between two there is no order
dbox -v "$v:/v:ro" box sh -c 'exec 2>&1; touch /v/x; touch /v/sub/x && echo not recursive'
umount src/sub
echo "# volumes"
docker volume create "$N" >/dev/null
dbox -v "$N:/v" box sh -c 'echo kept >/v/f'
dbox -v "$N:/v" box cat /v/f
dbox -v "$N:/root" box ls -a /root
docker volume rm "$N" >/dev/null
drun -v /anonymous box sh -c 'grep -c " /anonymous " /proc/mounts'
docker run --rm --runtime "$RT" --volumes-from "$N" box sh -c 'grep -c " /anonymous " /proc/mounts'
gone
echo "# a target that is a link in the image stays in the image"
cat >Dockerfile <<'END'
FROM box
RUN ln -s /etc /link && ln -s ../../../../../../../../run/escape /out
END
DOCKER_BUILDKIT=0 docker build -q -t "$N" . >/dev/null
dbox -v "$v:/link/v" "$N" cat /etc/v/file
dbox -v "$v:/out" "$N" cat /run/escape/file
[ -e /run/escape ] || echo "nothing outside"
docker rmi "$N" >/dev/null
